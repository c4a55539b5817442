"""What the tests of the stand-in share: a client of sockets, and an engine for each test."""

import http.client
import json
import socket
import struct
import sys
import unittest

import standin_process

PATIENCE_S = 10
JSON = {"Content-Type": "application/json"}
CHAT = {"messages": [{"role": "user", "content": "hello"}]}


class Client:
    """A socket, and no HTTP library between it and the test."""

    def __init__(self, engine):
        if "/" in engine.address:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(PATIENCE_S)
            self.socket.connect(engine.address)
        else:
            self.socket = socket.create_connection(engine.host_port, timeout=PATIENCE_S)

    def send(self, method, path, body=b"", **headers):
        fields = {"Host": "test", "Content-Length": str(len(body))}
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value is not None)
        self.socket.sendall(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
        return self

    def post(self, path, ask, **headers):
        return self.send("POST", path, json.dumps(ask).encode(), Content_Type="application/json", **headers)

    def until(self, end):
        data = b""
        while end not in data:
            piece = self.socket.recv(1)
            if not piece:
                raise AssertionError(f"the connection ended before {end!r}: {data!r}")
            data += piece
        return data

    def rest(self):
        """Everything up to the end of the connection, and how that was: "close" or "reset"."""
        data = b""
        try:
            while piece := self.socket.recv(65536):
                data += piece
        except ConnectionResetError:
            return data, "reset"
        return data, "close"

    def vanish(self):
        """RST, as from a process that was killed with bytes in its socket."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self):
        self.socket.close()


class StandInTest(unittest.TestCase):
    def setUp(self):
        self.engine = standin_process.StandIn()
        self.addCleanup(self.engine.stop)
        self.addCleanup(self.assert_no_internal_error)

    def assert_no_internal_error(self):
        self.assertEqual(self.engine.state()["internal_errors"], 0)

    def client(self):
        client = Client(self.engine)
        self.addCleanup(client.close)
        return client

    def ask(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection(*self.engine.host_port, timeout=PATIENCE_S)
        self.addCleanup(connection.close)
        connection.request(method, path, json.dumps(body) if isinstance(body, dict) else body, headers or JSON)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()

    def fails(self, fault, path="/bytes?n=1000", body=b"", method="POST"):
        return self.client().send(method, path, body, X_Fault=fault).rest()


def main():
    result = unittest.main(module="__main__", verbosity=2, exit=False).result
    sys.exit(0 if result.wasSuccessful() and result.testsRun > 0 else 1)
