#!/usr/bin/env python3
"""Every limit of the server is a flag, does what the flag says, and is counted on /proxy/v1/daemon."""

import re
import time

import harness
import limits_clients
from limits_clients import CHEAP, REQUEST, limit, until_closed


class Flags(limits_clients.LimitsTestCase):
    def assert_reached(self, daemon, name, times=1):
        self.assertEqual(limit(daemon, name), times)
        self.assertEqual(sum(limits_clients.http_of(daemon)["limits"].values()), times, "and no other limit")

    def test_connections_max(self):
        daemon = self.serve_ready("h100x8-busy", "--connections-max", "2")
        first, second = daemon.connect(), daemon.connect()
        with first, second:
            for client in (first, second):
                client.sendall(CHEAP)
                self.assertEqual(harness.read_response(client, 0).status, 200)
            with daemon.connect() as third:
                answer = until_closed(third)
            self.assertTrue(answer.startswith(b"HTTP/1.1 503 "), answer)
            self.assertIn(b"\r\nRetry-After: 1\r\n", answer)
            self.assertIn(b"\r\nConnection: close\r\n", answer)
        harness.wait_until("there is room again", lambda: daemon.get("/proxy/healthz").status == 200)
        self.assertGreaterEqual(limit(daemon, "connections_max"), 1)

    def test_head_bytes_max(self):
        daemon = self.serve_ready("h100x8-busy", "--head-bytes-max", "1KiB")

        def with_head_of(size):
            head = b"GET /proxy/healthz HTTP/1.1\r\nHost: e2e\r\nConnection: close\r\nA: "
            with daemon.connect() as client:
                client.sendall(head + b"a" * (size - len(head) - 4) + b"\r\n\r\n")
                return until_closed(client).split(b"\r\n")[0]

        self.assertEqual(with_head_of(1024), b"HTTP/1.1 200 OK")
        self.assertEqual(with_head_of(1025), b"HTTP/1.1 431 Request Header Fields Too Large")
        self.assert_reached(daemon, "head_bytes_max")

    def test_body_bytes_max(self):
        daemon = self.serve_ready("h100x8-busy", "--body-bytes-max", "1KiB")
        self.assertEqual(daemon.get(body=b"a" * 1024).status, 200)
        self.assertEqual(daemon.get(body=b"a" * 1025).status, 413)
        self.assert_reached(daemon, "body_bytes_max")

    def test_requests_per_connection_max(self):
        daemon = self.serve_ready("h100x8-busy", "--requests-per-connection-max", "3")
        with daemon.connect() as client:
            client.sendall(CHEAP * 5)
            answers = until_closed(client)
        self.assertEqual(answers.count(b"HTTP/1.1 200 OK\r\n"), 3)
        self.assertEqual([m.start() > answers.rindex(b"HTTP/1.1") for m in re.finditer(b"Connection: close", answers)],
                         [True], "the last says so, and no other")
        self.assert_reached(daemon, "requests_per_connection_max")

    def test_pipelined_before_yield(self):
        daemon = self.serve_ready("h100x8-busy", "--pipelined-before-yield", "4")
        with daemon.connect() as client:
            client.sendall(CHEAP * 19 + CHEAP.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            self.assertEqual(until_closed(client).count(b"HTTP/1.1 200 OK\r\n"), 20)
        self.assertIn(limit(daemon, "pipelined_before_yield"), (4, 5))

    def test_head_timeout_of_a_head(self):
        daemon = self.serve_ready("h100x8-busy", "--head-timeout", "200ms")
        started = time.monotonic()
        with daemon.connect() as client:
            client.sendall(REQUEST[:-2])
            answer = until_closed(client)
        self.assertTrue(answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n"), answer)
        self.assertGreaterEqual(time.monotonic() - started, 0.2)
        self.assert_reached(daemon, "head_timeout")

    def test_head_timeout_of_a_body(self):
        daemon = self.serve_ready("h100x8-busy", "--head-timeout", "200ms")
        with daemon.connect() as client:
            client.sendall(REQUEST[:-2] + b"Content-Length: 5\r\n\r\nabcd")
            answer = until_closed(client)
        self.assertTrue(answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n"), answer)
        self.assert_reached(daemon, "body_timeout")

    def test_idle_timeout(self):
        daemon = self.serve_ready("h100x8-busy", "--idle-timeout", "200ms")
        with daemon.connect() as fresh, daemon.connect() as used:
            used.sendall(CHEAP)
            self.assertEqual(harness.read_response(used, 0).status, 200)
            self.assertEqual((until_closed(fresh), until_closed(used)), (b"", b""))
        self.assert_reached(daemon, "idle_timeout", 2)

    def test_write_timeout(self):
        daemon = self.serve_ready("h100x8-busy", "--write-timeout", "200ms")
        with limits_clients.SmallBuffers(daemon).connect() as client:
            client.settimeout(0.05 * harness.SCALE)
            with self.assertRaises((TimeoutError, ConnectionError)):
                while True:  # until the server has stopped taking requests whose answers it cannot send
                    client.sendall(REQUEST * 100)
            harness.wait_until("it is counted", lambda: limit(daemon, "write_timeout") == 1)
        self.assert_reached(daemon, "write_timeout")


if __name__ == "__main__":
    harness.main()
