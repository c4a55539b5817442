#!/usr/bin/env python3
"""Nobody asks: the driver is not called and no process wakes up."""

import pathlib
import time

import harness


class Idle(harness.TestCase):
    WATCHED_S = 3

    def setUp(self):
        if harness.THREAD_SANITIZER:
            self.skipTest("NOT RUN: the thread sanitizer wakes every process up itself")

    def switches(self, daemon):
        counted = {}
        for process in daemon.processes():
            total = 0
            for task in pathlib.Path(f"/proc/{process.pid}/task").iterdir():
                lines = (task / "status").read_text().splitlines()
                total += next(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))
            counted[process.comm] = total
        return counted

    def watch_for_a_while(self, daemon):
        """How often each process woke up, and how often the driver was called."""
        calls, before = len(daemon.calls()), self.switches(daemon)
        end = time.monotonic() + self.WATCHED_S
        harness.wait_until("3 s pass", lambda: time.monotonic() > end)
        after = self.switches(daemon)
        self.assertEqual(set(after), {"gputach", "gputach-spawner", "gputach-worker"})
        return {name: after[name] - before[name] for name in after}, len(daemon.calls()) - calls

    def assert_sleeps(self, daemon):
        woken, calls = self.watch_for_a_while(daemon)
        self.assertEqual(calls, 0, "the driver was called")
        self.assertEqual([(name, count) for name, count in woken.items() if count > 2], [])

    def test_before_the_first_request(self):
        daemon = self.serve_ready()
        harness.wait_until("the worker has come to rest", lambda: daemon.count_calls("nvmlDeviceGetName", 7) == 1)
        self.assert_sleeps(daemon)

    def test_after_requests(self):
        daemon = self.serve_ready()
        before = harness.descriptors(daemon.pid)
        for _ in range(10):
            daemon.stats()
        harness.wait_until("the connections have ended", lambda: harness.descriptors(daemon.pid) <= before)
        self.assert_sleeps(daemon)

    def test_while_connections_are_kept_open_the_worker_sleeps(self):
        daemon = self.serve_ready()
        with daemon.connect() as client:
            client.sendall(b"GET /proxy/stats HTTP/1.1\r\nHost: e2e\r\n\r\n")
            self.assertEqual(harness.read_response(client, 0).status, 200)
            woken, calls = self.watch_for_a_while(daemon)
        self.assertEqual(calls, 0, "the driver was called")
        for name in ("gputach-worker", "gputach-spawner"):
            self.assertLessEqual(woken[name], 2, name)


if __name__ == "__main__":
    harness.main()
