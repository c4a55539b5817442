#!/usr/bin/env python3
"""What a client is told when there is nothing to show: status 500, the document's shape, exact texts."""

import ctypes
import os
import pathlib
import re
import signal

import expected
import harness


class Texts(harness.TestCase):
    def assert_answers(self, daemon, text):
        response = daemon.get()
        self.assert_query_error(response, text)
        self.assertTrue(expected.ERROR_PAGE.fullmatch(response.body))
        self.assertEqual(response.headers["Content-Type"], "application/json")
        self.assertEqual(response.cache, "MISS")
        self.assertNotIn("Gputach-Unsupported", response.headers)

    def test_no_gpus(self):
        self.assert_answers(self.serve("no-gpus"), "no GPUs found")

    def test_driver_not_loaded(self):
        self.assert_answers(self.serve("driver-not-loaded"), "NVML not initialized")

    def test_any_other_refusal_of_the_driver_to_start(self):
        for code in ("LIB_RM_VERSION_MISMATCH", "NO_PERMISSION", "UNKNOWN", "4711"):
            with self.subTest(code):
                scenario = self.scenario_file("driver-not-loaded")
                init = code if code.isdigit() else f'"{code}"'
                scenario.write(f"[driver]\ninit = {init}\n")
                self.assert_answers(self.serve(scenario), "NVML not initialized")

    def test_nothing_else_is_said_while_the_driver_stays_broken(self):
        # Asked all the time, also in the moments between one attempt and the next.
        for scenario, text in (("driver-not-loaded", "NVML not initialized"), ("no-gpus", "no GPUs found")):
            with self.subTest(scenario):
                daemon = self.serve(scenario, "--cache-ttl", "0s")
                bodies = set()
                harness.wait_until("five attempts to start", lambda: bodies.add(daemon.get().body) or len(
                    [line for line in daemon.log() if "worker_exited" in line]) >= 5)
                self.assertEqual(bodies, {harness.query_error(text)})

    def test_the_reason_stays_until_the_worker_that_found_it_has_been_reaped(self):
        scenario = self.scenario_file("driver-not-loaded")
        scenario.write('[driver]\ninit = "DRIVER_NOT_LOADED"\ninit_delay_ms = 500\n')
        daemon = self.serve(scenario)
        daemon.worker()
        harness.freeze(daemon.spawner())  # it reaps nobody now
        try:
            daemon.wait_for_log("driver_refused")
            self.assert_answers(daemon, "NVML not initialized")
        finally:
            os.kill(daemon.spawner(), signal.SIGCONT)

    def test_missing_library(self):
        self.assert_answers(self.serve(library="/nonexistent/libnvidia-ml.so.1"), "NVML not initialized")

    def test_a_file_that_is_no_library(self):
        self.assert_answers(self.serve(library=pathlib.Path(__file__)), "NVML not initialized")

    def test_a_library_that_is_not_nvml(self):
        maps = pathlib.Path("/proc/self/maps").read_text()
        libc = re.search(r"\S+/libc\.so\.6$", maps, re.MULTILINE).group()
        daemon = self.serve(library=libc)
        self.assert_answers(daemon, "NVML not initialized")
        daemon.wait_for_log(r"driver_refused .*no symbol nvmlInit_v2")

    def test_the_log_says_why_nvml_is_not_initialized(self):
        self.serve("driver-not-loaded").wait_for_log(r"driver_refused .*Driver Not Loaded \(9\)")
        self.serve(library="/nonexistent/libnvidia-ml.so.1").wait_for_log(r"driver_refused .*/nonexistent/")

    def test_all_gpus_failed(self):
        daemon = self.serve_ready("one-gpu-lost?gpu=all")
        self.assert_answers(daemon, "all GPUs failed")

    def test_a_single_gpu_that_is_lost_is_all_of_them(self):
        scenario = self.scenario_file("rtx4090")
        daemon = self.serve_ready(scenario, "--cache-ttl", "0s")
        self.assertEqual(daemon.get().status, 200)
        scenario.become("rtx4090", '\n[[fault]]\ncall = "*"\nreturn = "GPU_IS_LOST"\n')
        harness.wait_until("the simulated driver has read the file", lambda: daemon.get().status == 500)
        self.assert_answers(daemon, "all GPUs failed")

    def test_a_driver_that_hangs_while_it_starts_is_not_initialized_yet(self):
        daemon = self.serve("hang?call=nvmlInit_v2&gpu=all", "--nvml-timeout", "300ms")
        response = daemon.get()
        self.assert_query_error(response, "NVML not initialized")
        self.assertGreaterEqual(response.seconds, 0.29)
        self.assertLess(response.seconds, 0.3 + 0.5 * harness.SCALE)


def real_driver():
    for name in ("libnvidia-ml.so.1", "/usr/lib/wsl/lib/libnvidia-ml.so.1"):
        try:
            ctypes.CDLL(name)
        except OSError:
            continue
        return name
    return None


class WithoutDriver(harness.TestCase):
    def test_the_simulator_is_never_used_unless_told_to(self):
        if found := real_driver():
            self.skipTest(f"NOT RUN: this machine has a driver ({found})")
        # It lies beside the binary, and its variables are set.
        self.assertTrue((harness.BINARY.parent / "libnvidia-ml.so.1").exists())
        daemon = self.serve(library=None)
        self.assert_query_error(daemon.get(), "NVML not initialized")
        self.assertEqual(daemon.calls(), [])
        self.assertNotIn("Gputach-Simulated", daemon.get().headers)


if __name__ == "__main__":
    harness.main()
