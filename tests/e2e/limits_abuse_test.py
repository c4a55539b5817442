#!/usr/bin/env python3
"""Slow, impatient and broken clients: who behaves is served throughout, and all is as before when they are gone."""

import contextlib
import time

import harness
import limits_clients
from limits_clients import CHEAP, REQUEST, limit, reset, rss_bytes, until_closed

MIB = 1 << 20
SLOW = """
[[fault]]
call = "nvmlDeviceGetPowerUsage"
gpu = 0
delay_ms = 20
"""


def send_byte(client, byte):
    """False when the other side has ended the connection."""
    try:
        return client.send(bytes([byte])) == 1
    except (BrokenPipeError, ConnectionResetError):
        return False


class Abuse(limits_clients.LimitsTestCase):
    def test_a_hundred_heads_byte_by_byte(self):
        daemon = self.serve_ready("h100x8-busy", "--head-timeout", "500ms")
        clients = [daemon.connect() for _ in range(100)]
        with contextlib.ExitStack() as stack, self.served_throughout(daemon):
            for client in clients:
                stack.enter_context(client)
            gone = 0
            # A byte at a time, and many more of them than the timeout allows.
            for byte in REQUEST[:-2] + b"A: " + b"a" * 5000 * int(harness.SCALE):
                time.sleep(0.005)
                gone = sum(not send_byte(client, byte) for client in clients)
                if gone == len(clients):
                    break
            self.assertEqual(gone, len(clients))
            stack.close()
        self.assertEqual(limit(daemon, "head_timeout"), len(clients))

    def test_readers_that_do_not_read(self):
        daemon = self.serve_ready("h100x8-busy", "--write-timeout", "1s")
        before = rss_bytes(daemon.pid)
        small = limits_clients.SmallBuffers(daemon)
        clients = [small.connect() for _ in range(50)]
        with contextlib.ExitStack() as stack, self.served_throughout(daemon):
            for client in clients:
                stack.enter_context(client)
                client.setblocking(False)
            sent = 0
            for _ in range(20):
                for client in clients:
                    with contextlib.suppress(BlockingIOError, ConnectionError):
                        sent += client.send(REQUEST * 200)
            self.assertGreater(sent, 50 * 20_000)
            if not limits_clients.SANITIZED:
                # Of each client: up to 64 KiB of answers, and its input. The kernel's buffers are extra.
                self.assertLess(rss_bytes(daemon.pid) - before, 50 * 160 * 1024)
            harness.wait_until("each is given up", lambda: limit(daemon, "write_timeout") == len(clients))
            stack.close()

    def test_a_reader_that_is_slow_but_reads_gets_all_of_it(self):
        daemon = self.serve_ready("h100x64", "--write-timeout", "500ms", "--cache-ttl", "30s")
        expected = daemon.get().body
        count = 100
        with limits_clients.SmallBuffers(daemon).connect() as client, self.served_throughout(daemon):
            client.sendall(REQUEST * (count - 1) + REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            data = b""
            while more := client.recv(32768):
                data += more
                time.sleep(0.001)
            client.close()
            self.assertEqual(data.count(expected), count)
        self.assertEqual(limit(daemon, "write_timeout"), 0)

    def test_thousands_of_connections_that_come_and_go(self):
        daemon = self.serve_ready()

        def closes(client):
            client.close()

        def asks_and_resets(client):
            client.sendall(REQUEST)
            reset(client)

        def asks_and_closes(client):
            client.sendall(REQUEST * 3)
            client.close()

        def rounds(count):
            for _ in range(count):
                for leave in (closes, reset, asks_and_resets, asks_and_closes):
                    leave(daemon.connect())

        with self.served_throughout(daemon):
            rounds(250)
            before = rss_bytes(daemon.pid)
            rounds(2000)
            after = rss_bytes(daemon.pid)
            harness.wait_until("all were taken", lambda: limits_clients.http_of(daemon)["accepted"] >= 9000)
        if not limits_clients.SANITIZED:
            self.assertLess(after - before, MIB, "8000 connections later")

    def test_half_closed_connections_get_their_answers(self):
        daemon = self.serve_ready()
        with self.served_throughout(daemon):
            for requests in (0, 1, 3, 200):
                for cut in (b"", REQUEST[:20]):
                    with self.subTest(requests=requests, cut=cut), daemon.connect() as client:
                        client.sendall(REQUEST * requests + cut)
                        client.shutdown(1)  # SHUT_WR
                        self.assertEqual(until_closed(client).count(b"HTTP/1.1 200 OK\r\n"), requests)

    def test_resets_at_every_point_of_a_request(self):
        daemon = self.serve_ready()
        body = b"POST /proxy/stats HTTP/1.1\r\nHost: e2e\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        with self.served_throughout(daemon):
            for request in (REQUEST + CHEAP, body):
                for end in range(len(request) + 1):
                    client = daemon.connect()
                    client.sendall(request[:end])
                    reset(client)

    def test_resets_at_every_point_of_a_response(self):
        daemon = self.serve_ready("h100x64", "--cache-ttl", "30s")
        small = limits_clients.SmallBuffers(daemon)
        size = len(daemon.get().body)
        with self.served_throughout(daemon):
            for end in range(0, size, 97):
                client = small.connect()
                client.sendall(REQUEST * 2)
                left = end
                while left > 0:
                    left -= len(client.recv(left))
                reset(client)

    def test_clients_that_vanish_while_their_answer_is_made(self):
        scenario = self.scenario_file("h100x8-busy")
        scenario.become("h100x8-busy", SLOW)
        daemon = self.serve_ready(scenario, "--cache-ttl", "0s")
        with self.served_throughout(daemon):
            for leave in (reset, lambda client: client.close()) * 40:
                client = daemon.connect()
                client.sendall(REQUEST)
                leave(client)


if __name__ == "__main__":
    harness.main()
