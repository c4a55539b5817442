#!/usr/bin/env python3
"""Ten thousand idle connections, and a server without descriptors."""

import contextlib
import resource
import time

import harness
import limits_clients
from limits_clients import CHEAP, rss_bytes, until_closed

CONNECTIONS = 10_000
IDLE_BYTES_MAX = 8 * 1024  # of resident memory for each idle connection
DESCRIPTORS = CONNECTIONS + 1000


class Many(limits_clients.LimitsTestCase):
    def raise_limit(self):
        """Of this process, and so of the daemon that it starts."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard != resource.RLIM_INFINITY and hard < DESCRIPTORS:
            self.skipTest(f"NOT RUN: this machine allows {hard} descriptors")
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, DESCRIPTORS), hard))

    def test_ten_thousand_idle_connections_cost_little_and_nobody_waits(self):
        self.raise_limit()
        daemon = self.serve_ready("h100x8-busy", "--connections-max", "12000")
        peaks = []
        with self.served_throughout(daemon):
            before = rss_bytes(daemon.pid)
            for _ in range(2):
                with contextlib.ExitStack() as stack:
                    clients = [stack.enter_context(daemon.connect()) for _ in range(CONNECTIONS)]
                    for client in clients[::2]:  # half of them have been used
                        client.sendall(CHEAP)
                        self.assertEqual(harness.read_response(client, 0).status, 200)
                    harness.wait_until("all are there",
                                       lambda: limits_clients.http_of(daemon)["active"] >= CONNECTIONS)
                    peaks.append(rss_bytes(daemon.pid))
                    clients[0].sendall(CHEAP)
                    self.assertEqual(harness.read_response(clients[0], 0).status, 200)
                harness.wait_until("all are gone", lambda: limits_clients.http_of(daemon)["active"] < 10)
        if not limits_clients.SANITIZED:
            stalls = daemon.get("/proxy/v1/daemon").json()["loop_stalls"]
            self.assertLess(stalls["median"], 50, "microseconds that a turn keeps the loop, in the median")
            each = (peaks[0] - before) / CONNECTIONS
            print(f"{each:.0f} bytes for each idle connection")
            self.assertLess(each, IDLE_BYTES_MAX)
            self.assertLess(peaks[1] - peaks[0], 1 << 20, "what was given back is used again")

    def test_out_of_descriptors_it_says_so_and_recovers(self):
        daemon = self.serve_ready()
        descriptors = harness.descriptors(daemon.pid)
        kept = daemon.connect()
        kept.sendall(CHEAP)
        self.assertEqual(harness.read_response(kept, 0).status, 200)
        soft, hard = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (descriptors + 10, hard))
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(daemon.connect()) for _ in range(50)]
            for client in clients:
                client.sendall(CHEAP)
            answers = [client.recv(12) for client in clients]
            self.assertEqual(set(answers), {b"HTTP/1.1 200", b"HTTP/1.1 503"})
            self.assertIn(answers.count(b"HTTP/1.1 200"), range(5, 12))
            started = time.monotonic()
            kept.sendall(CHEAP)
            self.assertEqual(harness.read_response(kept, started).status, 200, "who is in stays in")
            self.assertLess(time.monotonic() - started, limits_clients.SERVED_WITHIN_S)
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (soft, hard))
        kept.close()
        harness.wait_until("it serves again", lambda: daemon.get("/proxy/stats").status == 200)
        harness.wait_until("no descriptor is left", lambda: harness.descriptors(daemon.pid) <= descriptors)
        failures = limits_clients.http_of(daemon)["failures"]
        self.assertGreater(failures.pop("accept"), 0)
        self.assertEqual(set(failures.values()), {0})

    def test_a_full_server_turns_the_rest_away_and_is_not_harmed(self):
        daemon = self.serve_ready("h100x8-busy", "--connections-max", "100")
        with contextlib.ExitStack() as stack:
            inside = [stack.enter_context(daemon.connect()) for _ in range(100)]
            for client in inside:
                client.sendall(CHEAP)
                self.assertEqual(harness.read_response(client, 0).status, 200)
            for _ in range(5):
                outside = [daemon.connect() for _ in range(100)]
                for client in outside:
                    with client:
                        answer = until_closed(client)
                    # Beyond those that can be told at a time the connection is closed without a word.
                    self.assertTrue(answer == b"" or answer.startswith(b"HTTP/1.1 503 "), answer)
            for client in inside:
                client.sendall(CHEAP)
                self.assertEqual(harness.read_response(client, 0).status, 200)
        harness.wait_until("there is room again", lambda: daemon.get("/proxy/healthz").status == 200)


if __name__ == "__main__":
    harness.main()
