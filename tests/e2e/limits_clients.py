"""Clients that misbehave, and one that does not: for the tests of what bounds the server."""

import contextlib
import os
import pathlib
import socket
import struct
import threading
import time

import harness

REQUEST = b"GET /proxy/stats HTTP/1.1\r\nHost: e2e\r\n\r\n"
CHEAP = b"GET /proxy/healthz HTTP/1.1\r\nHost: e2e\r\n\r\n"
# Memory says nothing about the shipped binary there.
SANITIZED = os.environ.get("GPUTACH_SANITIZE", "") != ""
SERVED_WITHIN_S = 1 * harness.SCALE  # what a well-behaved client may wait, whatever the others do


def http_of(daemon):
    return daemon.get("/proxy/v1/daemon").json()["http"]


def limit(daemon, name):
    """How often this limit was reached."""
    return http_of(daemon)["limits"][name]


def rss_bytes(pid):
    line = next(l for l in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if l.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


def reset(client):
    """RST instead of FIN."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def until_closed(client):
    data = b""
    try:
        while more := client.recv(65536):
            data += more
    except ConnectionResetError:
        pass
    return data


class SmallBuffers:
    """Connections whose kernel takes little from the server on credit."""

    def __init__(self, daemon):
        self.address = (daemon.host, daemon.port)

    def connect(self):
        client = socket.socket(socket.AF_INET6 if ":" in self.address[0] else socket.AF_INET)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(harness.PATIENCE_S)
        client.connect(self.address)
        return client


class WellBehaved:
    """Asks on one connection again and again, and on a new one in between, while the others do their worst."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.answers = 0
        self.slowest_s = 0.0
        self.failure = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _ask(self, client):
        started = time.monotonic()
        client.sendall(REQUEST)
        response = harness.read_response(client, started)
        if response.status != 200:
            raise AssertionError(f"status {response.status}")
        self.slowest_s = max(self.slowest_s, response.seconds)
        self.answers += 1

    def _run(self):
        try:
            with self.daemon.connect() as kept:
                while not self._stop.wait(0.002):
                    self._ask(kept)
                    with self.daemon.connect() as fresh:
                        self._ask(fresh)
        except (OSError, AssertionError) as error:
            self.failure = f"after {self.answers} answers: {error!r}"

    @contextlib.contextmanager
    def throughout(self):
        self._thread.start()
        try:
            harness.wait_until("the well-behaved client is served", lambda: self.answers > 1 or self.failure)
            yield self
            before = self.answers
            harness.wait_until("it still is", lambda: self.answers > before + 1 or self.failure)
        finally:
            self._stop.set()
            self._thread.join()


class LimitsTestCase(harness.TestCase):
    @contextlib.contextmanager
    def served_throughout(self, daemon):
        """One that behaves is served all the time, and afterwards connections and descriptors are as before."""
        descriptors = harness.descriptors(daemon.pid)
        with WellBehaved(daemon).throughout() as client:
            yield client
        self.assertIsNone(client.failure)
        self.assertLess(client.slowest_s, SERVED_WITHIN_S, f"of {client.answers} answers")
        self.assert_recovered(daemon, descriptors)

    def assert_recovered(self, daemon, descriptors):
        harness.wait_until("only the asking connection is active", lambda: http_of(daemon)["active"] == 1)
        harness.wait_until("no descriptor is left", lambda: harness.descriptors(daemon.pid) <= descriptors)
        self.assertEqual(set(http_of(daemon)["failures"].values()), {0})
