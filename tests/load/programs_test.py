#!/usr/bin/env python3
"""The load programs against servers and clients that a test holds in its hands."""

import contextlib
import json
import os
import pathlib
import random
import re
import socket
import subprocess
import tempfile
import threading
import time
import unittest

LOAD = pathlib.Path(os.environ.get("GPUTACH_BUILD", "build/release")).resolve() / "load"
PATIENCE_S = 60
REQUEST_END = b"\r\n\r\n"


def answer(body, status="200 OK"):
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


class Server:
    """Answers each request with what `respond(number)` gives, sent as it decides with `send(client, bytes)`."""

    def __init__(self, test, respond, send=lambda client, data: client.sendall(data)):
        self._respond, self._send = respond, send
        self._lock, self._count = threading.Lock(), 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        test.addCleanup(self._listener.close)

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        pending = b""
        with client:
            while more := client.recv(65536):
                pending += more
                while REQUEST_END in pending:
                    pending = pending.partition(REQUEST_END)[2]
                    with self._lock:  # a stall is everybody's
                        self._count += 1
                        self._send(client, self._respond(self._count))


class Poller(unittest.TestCase):
    def poll(self, mode, port, **options):
        command = [str(LOAD / "load_poller"), mode, "--port", str(port)]
        for name, value in options.items():
            command += [f"--{name}", str(value)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
        return json.loads(done.stdout)

    def test_answers_cut_anywhere_are_counted_right(self):
        seed = random.randrange(2**32)
        print(f"seed {seed}", flush=True)
        dice = random.Random(seed)

        def send_in_pieces(client, data):
            while data:
                size = dice.randint(1, 40)
                client.sendall(data[:size])
                data = data[size:]

        server = Server(self, lambda number: answer(b"x" * (number % 90)), send_in_pieces)
        found = self.poll("closed", server.port, connections=3, depth=8, requests=300)
        self.assertEqual((found["requests"], found["refused"]), (300, 0))

    def test_other_statuses_are_refusals(self):
        server = Server(self, lambda number: answer(b"no", "503 Service Unavailable" if number % 3 == 0 else "200 OK"))
        found = self.poll("closed", server.port, connections=1, depth=1, requests=30)
        self.assertEqual((found["requests"], found["refused"]), (30, 10))

    def test_the_open_loop_sends_at_its_rate_and_with_the_seed_it_says(self):
        server = Server(self, lambda number: answer(b"x"))
        found = self.poll("open", server.port, connections=10, rate=20, seconds=1, warmup=0.5, seed=7)
        self.assertEqual((found["seed"], found["unanswered"]), (7, 0))
        self.assertEqual((found["requests"], found["measured"]), (300, 200))

    def test_the_open_loop_counts_what_was_due_while_the_server_stood_still(self):
        def stall_once(number):
            if number == 200:
                end = time.monotonic() + 0.5
                while time.monotonic() < end:
                    time.sleep(0.05)
            return answer(b"x")

        server = Server(self, stall_once)
        found = self.poll("open", server.port, connections=20, rate=40, seconds=1, warmup=0)
        # Half of all requests were due during half a second without an answer. A client that waits for its answers
        # before it sends again would have sent twenty of them, 3% of all.
        self.assertEqual(found["measured"], 800)
        self.assertGreater(found["p90_us"], 300_000)

    def test_idle_connections_stay_until_the_input_ends(self):
        server = Server(self, lambda number: answer(b"x"))
        command = [str(LOAD / "load_poller"), "idle", "--port", str(server.port), "--connections", "5", "--ask", "1"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            self.assertEqual(json.loads(process.stdout.readline())["connections"], 5)
            self.assertIsNone(process.poll())
            process.stdin.close()
            self.assertEqual(process.wait(PATIENCE_S), 0)


class LateRelay:
    """Passes bytes between a client and `port`, those of the server in pieces of any size and `late_s` late."""

    def __init__(self, test, port, late_s, dice):
        self._port, self._late_s, self._dice = port, late_s, dice
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        test.addCleanup(self._listener.close)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._port))
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._pass, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, True), daemon=True).start()

    def _pass(self, source, sink, late):
        with contextlib.suppress(OSError), sink:
            while data := source.recv(65536):
                if late:
                    time.sleep(self._late_s)
                while data:
                    size = self._dice.randint(1, 300)
                    sink.sendall(data[:size])
                    data = data[size:]


class Engine(unittest.TestCase):
    """load_engine with load_poller streams."""

    def setUp(self):
        process = subprocess.Popen([str(LOAD / "load_engine")], stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait, PATIENCE_S)
        self.addCleanup(process.kill)
        self.port = int(re.fullmatch(r"port (\d+)\n", process.stdout.readline()).group(1))

    poll = Poller.poll

    def streams(self, port, rate, **more):
        path = f"/v1/chat/completions?stream=1&rate={rate}&events=1000000000"
        return self.poll("streams", port, rate=rate, path=path, **{"body-bytes": 500}, **more)

    def test_events_come_at_their_rate_and_none_is_silent(self):
        found = self.streams(self.port, 100, connections=5, seconds=0.8, warmup=0.2)
        self.assertEqual(found["silent"], 0)
        self.assertAlmostEqual(found["requests"], 500, delta=60)
        self.assertLessEqual(found["transit_p50_us"], found["late_p50_us"])

    def test_what_a_proxy_adds_is_seen_however_it_cuts_the_bytes(self):
        seed = random.randrange(2**32)
        print(f"seed {seed}", flush=True)
        relay = LateRelay(self, self.port, 0.05, random.Random(seed))
        found = self.streams(relay.port, 10, connections=3, seconds=0.8, warmup=0.2)
        self.assertGreater(found["measured"], 10)
        for figure in ("late_p50_us", "transit_p50_us", "stream_p50_median_us"):
            self.assertGreaterEqual(found[figure], 50_000)
            self.assertLess(found[figure], 5_000_000)

    def test_streams_without_a_rate_are_as_fast_as_they_are_read(self):
        found = self.streams(self.port, 0, connections=2, seconds=0.4, warmup=0.1)
        self.assertGreater(found["requests"], 10_000)

    def test_posts_are_answered_and_leave_when_they_are_due(self):
        found = self.poll("open", self.port, connections=4, rate=50, seconds=0.5, warmup=0.1, sleep=1,
                          path="/v1/chat/completions", **{"body-bytes": 500})
        self.assertEqual((found["unanswered"], found["refused"]), (0, 0))
        self.assertAlmostEqual(found["requests"], 120, delta=8)


class RawEpoll(unittest.TestCase):
    def setUp(self):
        self.page = answer(b"page" * 1000)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        file = pathlib.Path(folder.name) / "page"
        file.write_bytes(self.page)
        self.process = subprocess.Popen([str(LOAD / "load_epoll"), "--response", str(file)], stdout=subprocess.PIPE)
        self.addCleanup(self.process.wait)
        self.addCleanup(self.process.stdout.close)
        self.addCleanup(self.process.kill)
        port = int(self.process.stdout.readline().split()[1])
        self.client = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self.addCleanup(self.client.close)

    def receive(self, count):
        received = b""
        while len(received) < count * len(self.page):
            more = self.client.recv(65536)
            self.assertTrue(more)
            received += more
        self.assertEqual(received, self.page * count)

    def test_requests_in_one_piece_and_in_many_are_each_answered_once(self):
        request = b"GET /proxy/stats HTTP/1.1\r\nHost: h\r\n\r\n"
        self.client.sendall(request * 5 + request[:10])
        self.receive(5)
        for byte in request[10:]:
            self.client.sendall(bytes([byte]))
        self.receive(1)

    def test_a_client_that_reads_late_gets_every_byte(self):
        count = 3000  # 12 MB: more than the sockets hold
        self.client.sendall(b"GET / HTTP/1.1\r\n\r\n" * count)
        self.receive(count)


if __name__ == "__main__":
    unittest.main(verbosity=2)
