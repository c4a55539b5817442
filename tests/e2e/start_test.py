#!/usr/bin/env python3
"""A node whose GPUs take seconds to wake: the worker is given its time, and requests are not kept waiting for it."""

import time

import expected
import harness

START_TEXT = "NVML not initialized"


class SlowStart(harness.TestCase):
    def watch_start(self, daemon, wait_s, handles_s):
        """Asks until it is ready; every answer on the way is judged, and so is the worker's life."""
        worker, asked = daemon.worker(), 0
        deadline = time.monotonic() + handles_s * harness.SCALE + harness.PATIENCE_S
        while (response := daemon.get()).status != 200:
            self.assertLess(time.monotonic(), deadline, "it does not become ready")
            self.assert_query_error(response, START_TEXT)
            self.assertLess(response.seconds, wait_s + 0.4 * harness.SCALE)
            asked += response.cache == "MISS"
        self.assertEqual(response.json()["gpus"], expected.rows("h100x8-busy"))
        self.assertGreaterEqual(asked, 2)
        self.assertEqual(daemon.worker(), worker, "it was killed while handles arrived")
        self.assertEqual(daemon.count_calls("nvmlInit_v2"), 1)
        for gpu in range(8):
            self.assertEqual(daemon.count_calls("nvmlDeviceGetHandleByIndex_v2", gpu), 1)

    def test_eight_gpus_of_3_seconds_each_start_with_one_worker(self):
        self.watch_start(self.serve("slow-start"), 2.0, 24)

    def test_requests_during_the_start_wait_at_most_nvml_timeout(self):
        daemon = self.serve("slow-start?delay_ms=400", "--nvml-timeout", "300ms", "--cache-ttl", "100ms")
        self.watch_start(daemon, 0.3, 3.2)

    def test_whoever_asks_just_before_it_is_ready_gets_the_answer(self):
        daemon = self.serve("slow-start?delay_ms=50", "--nvml-timeout", "60s")
        response = daemon.get()
        self.assertEqual((response.status, response.cache), (200, "MISS"))

    def test_one_gpu_that_does_not_wake_does_not_cost_the_worker_its_life(self):
        daemon = self.serve("hang?call=nvmlDeviceGetHandleByIndex_v2&gpu=1&for_s=3", "--nvml-timeout", "300ms",
                            "--cache-ttl", "100ms")
        worker = daemon.worker()
        self.assert_query_error(daemon.get(), START_TEXT)
        harness.wait_until("all GPUs are there", lambda: daemon.get().status == 200)
        self.assertEqual(len(daemon.stats()["gpus"]), 8)
        self.assertEqual(daemon.worker(), worker)

    def test_the_worker_starts_with_the_daemon_and_not_with_the_first_request(self):
        daemon = self.serve()
        harness.wait_until("all handles are there", lambda: daemon.count_calls("nvmlDeviceGetHandleByIndex_v2", 7) == 1)

    def test_other_pages_answer_at_once_during_the_start(self):
        daemon = self.serve("slow-start?delay_ms=500")
        for path in ("/proxy/healthz", "/proxy/readyz", "/proxy/version", "/proxy/v1/"):
            response = daemon.get(path)
            self.assertEqual(response.status, 200)
            self.assertLess(response.seconds, 0.3 * harness.SCALE)


if __name__ == "__main__":
    harness.main()
