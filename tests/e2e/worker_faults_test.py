#!/usr/bin/env python3
"""The worker as a whole hangs, is stopped, is killed or crashes: the error says which, and it is replaced."""

import os
import signal
import time

import expected
import harness

GOOD = "h100x8-busy"
RECOVERY_S = 5 * harness.SCALE
CRASH = '\n[[fault]]\ncall = "nvmlDeviceGetPowerUsage"\ncrash = true\n'


class WorkerFaults(harness.TestCase):
    def assert_recovers(self, daemon):
        harness.wait_until("the answer is right again", lambda: daemon.get().status == 200, RECOVERY_S)
        self.assertEqual(daemon.stats()["gpus"], expected.rows(GOOD))

    def assert_timed_out(self, daemon, seconds, text):
        response = daemon.get()
        self.assert_query_error(response, text)
        self.assertEqual(response.cache, "MISS")
        self.assertGreaterEqual(response.seconds, seconds - 0.01)
        self.assertLess(response.seconds, seconds + 0.4 * harness.SCALE)


class Hanging(WorkerFaults):
    def test_a_driver_that_hangs_is_told_after_2_seconds_by_default(self):
        daemon = self.serve_ready("hang?gpu=all")
        self.assert_timed_out(daemon, 2.0, "NVML timed out after 2.0 s")

    def test_the_time_and_the_text_follow_nvml_timeout(self):
        for flag, seconds, text in (("250ms", 0.25, "0.25 s"), ("1500ms", 1.5, "1.5 s"), ("1s", 1.0, "1.0 s")):
            with self.subTest(flag):
                daemon = self.serve_ready("hang?gpu=all", "--nvml-timeout", flag)
                self.assert_timed_out(daemon, seconds, "NVML timed out after " + text)

    def test_a_call_that_blocks_the_whole_library_is_such_a_hang(self):
        daemon = self.serve_ready("hang?gpu=0&hold_lock=true", "--nvml-timeout", "400ms")
        self.assert_timed_out(daemon, 0.4, "NVML timed out after 0.4 s")

    def test_it_is_right_within_5_seconds_of_the_end_of_the_hang(self):
        scenario = self.scenario_file("hang")
        daemon = self.serve_ready(f"{scenario}?gpu=all", "--nvml-timeout", "400ms")
        self.assertEqual(daemon.get().status, 500)
        scenario.become(GOOD, "\n[parameters]\ngpu = 0\n")
        self.assert_recovers(daemon)

    def test_a_worker_that_hangs_is_replaced_and_reaped(self):
        daemon = self.serve_ready("hang?gpu=all", "--nvml-timeout", "300ms")
        hung = daemon.worker()
        self.assertEqual(daemon.get().status, 500)
        harness.wait_until("another worker", lambda: daemon.child_of(daemon.spawner()) not in (None, hung))
        self.assertNotIn(hung, [process.pid for process in daemon.processes()])


class Stopped(WorkerFaults):
    def test_a_worker_that_is_stopped_is_a_hang_and_is_replaced(self):
        daemon = self.serve_ready(GOOD, "--nvml-timeout", "500ms")
        stopped = daemon.worker()
        harness.freeze(stopped)
        self.assert_timed_out(daemon, 0.5, "NVML timed out after 0.5 s")
        self.assert_recovers(daemon)
        self.assertNotEqual(daemon.worker(), stopped)

    def test_with_the_defaults_it_says_2_seconds(self):
        daemon = self.serve_ready()
        harness.freeze(daemon.worker())
        self.assert_timed_out(daemon, 2.0, "NVML timed out after 2.0 s")


class Killed(WorkerFaults):
    def test_whoever_waits_for_a_worker_that_is_killed_is_told_at_once(self):
        daemon = self.serve_ready("hang?gpu=all", "--nvml-timeout", "30s")
        with daemon.connect() as client:
            started = time.monotonic()
            client.sendall(b"GET /proxy/stats HTTP/1.1\r\nHost: e2e\r\n\r\n")
            harness.wait_until("the worker is in the driver", lambda: daemon.passes() == 1)
            os.kill(daemon.worker(), signal.SIGKILL)
            response = harness.read_response(client, started)
        self.assert_query_error(response, "worker stopped")
        self.assertLess(response.seconds, 5 * harness.SCALE)

    def test_it_is_right_within_5_seconds_of_the_kill(self):
        daemon = self.serve_ready(GOOD, "--cache-ttl", "0s")
        for _ in range(3):
            os.kill(daemon.worker(), signal.SIGKILL)
            self.assert_recovers(daemon)

    def test_a_new_worker_is_there_before_somebody_asks(self):
        daemon = self.serve_ready()
        os.kill(daemon.worker(), signal.SIGKILL)
        daemon.wait_for_log("worker_ready", RECOVERY_S, count=2)
        self.assertEqual(daemon.passes(), 0)
        self.assertEqual(daemon.get().status, 200)

    def test_nothing_older_than_the_ttl_is_served_while_the_worker_is_away(self):
        scenario = self.scenario_file(GOOD)
        daemon = self.serve_ready(scenario, "--cache-ttl", "300ms")
        self.assertEqual(daemon.get().status, 200)
        scenario.write('[driver]\ninit = "DRIVER_NOT_LOADED"\n')
        os.kill(daemon.worker(), signal.SIGKILL)
        expired = time.monotonic() + 0.3
        harness.wait_until("the TTL passes", lambda: time.monotonic() > expired)
        self.assertEqual(daemon.get().status, 500)


class Crashing(WorkerFaults):
    def test_a_worker_that_crashes_is_told(self):
        scenario = self.scenario_file(GOOD)
        scenario.become(GOOD, CRASH)
        self.assert_query_error(self.serve_ready(scenario).get(), "worker stopped")

    def test_it_is_right_within_5_seconds_of_the_end_of_a_crash_loop(self):
        scenario = self.scenario_file(GOOD)
        scenario.become(GOOD, CRASH)
        daemon = self.serve_ready(scenario, "--cache-ttl", "100ms")
        # The back-off is at its longest after a few.
        harness.wait_until("six workers have crashed", lambda: daemon.get().status == 500 and len(
            [line for line in daemon.log() if "worker_exited" in line]) >= 6, 30 * harness.SCALE)
        scenario.become(GOOD)
        self.assert_recovers(daemon)


if __name__ == "__main__":
    harness.main()
