"""A daemon in front of the stand-in engine, and clients that see every byte."""

import contextlib
import http.client
import json
import re
import socket
import sys
import time

import harness

sys.path.insert(0, str(harness.ROOT / "tests" / "engine"))

import standin_process  # noqa: E402  (it lives beside the engine)

CHAT = {"model": "tiny-random", "messages": [{"role": "user", "content": "hello"}]}
JSON = {"Content-Type": "application/json"}


def chat(**more):
    return json.dumps({**CHAT, **more})


class Chunks:
    """The chunks of a response on a socket, each with the time at which it came."""

    def __init__(self, client):
        self.client = client
        self.data = b""

    def _until(self, mark):
        while mark not in self.data:
            more = self.client.recv(65536)
            if not more:
                raise EOFError("the connection ended within the chunks")
            self.data += more
        line, _, self.data = self.data.partition(mark)
        return line

    def head(self):
        return self._until(b"\r\n\r\n").decode()

    def __iter__(self):
        while size := int(self._until(b"\r\n"), 16):
            while len(self.data) < size + 2:
                more = self.client.recv(65536)
                if not more:
                    raise EOFError("the connection ended within a chunk")
                self.data += more
            piece, self.data = self.data[:size], self.data[size + 2:]
            yield time.monotonic(), piece
        self._until(b"\r\n")


class TestCase(harness.TestCase):
    def engine(self, *flags):
        return self.enterContext(standin_process.StandIn(*flags))

    def serve_engine(self, *flags, used=True, **more):
        """The engine, and a daemon that forwards to it. `used`: it has done so, and has asked for the engine's models,
        which it does once a minute; what is counted and armed from then on is the test's alone."""
        engine = self.engine()
        daemon = self.serve("h100x8-busy", "--upstream", engine.url, *flags, **more)
        if used:
            daemon.get("/ping")
            engine.wait_ended(2)
            engine.clear()
        return engine, daemon

    def send(self, daemon, text):
        client = self.enterContext(contextlib.closing(daemon.connect()))
        client.sendall(text.encode() if isinstance(text, str) else text)
        return client

    def occupy(self, engine, daemon):
        """A request that the engine takes and does not answer; with one connection allowed it holds it."""
        engine.arm("silent", times=1)
        holder = self.send(daemon, "GET /version HTTP/1.1\r\nHost: a\r\n\r\n")
        engine.wait("it is there", lambda state: state["requests"]["active"] == 1)
        return holder

    def wait_queued(self, daemon, count):
        harness.wait_until(f"{count} wait", lambda: self.traffic(daemon)["queued_requests"] == count)

    def assert_gateway_error(self, response, status, code):
        """The shape that OpenAI's clients parse."""
        self.assertEqual(response.status, status, response.body)
        error = response.json()["error"]
        self.assertEqual(error["code"], code)
        self.assertTrue(error["message"])
        self.assertTrue(error["type"])
        self.assertRegex(response.headers["Proxy-Status"], rf"^gputach; error={re.escape(code)}")

    def assert_incomplete(self, daemon, method, path, headers=None, body=None):
        """The answer began, and nobody can take what came of it for the whole."""
        connection = http.client.HTTPConnection(daemon.host, daemon.port, timeout=harness.PATIENCE_S)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            self.assertEqual(answer.status, 200)
            with self.assertRaises((http.client.IncompleteRead, ConnectionResetError)):
                answer.read()
        finally:
            connection.close()

    def traffic(self, daemon):
        return daemon.get("/proxy/v1/proxy").json()


def until_closed(client):
    """All that comes until the end; None where the connection was reset."""
    data = b""
    try:
        while more := client.recv(65536):
            data += more
    except ConnectionResetError:
        return None
    return data


def closed_within(client, seconds):
    client.settimeout(seconds)
    try:
        return until_closed(client) is not False
    except socket.timeout:
        return False
