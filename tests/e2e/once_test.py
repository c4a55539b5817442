#!/usr/bin/env python3
"""`gputach once`: the same figures without a server, and an exit status that tells how it went."""

import json

import harness


def once(scenario, *arguments, library=harness.SIMULATOR):
    environment = {"GPUTACH_SIM_SCENARIO": scenario, "GPUTACH_SIM_TIME_S": str(harness.FROZEN_TIME_S)}
    return harness.run_gputach("once", "--nvml-library", str(library), *arguments, environment=environment)


class Once(harness.TestCase):
    def test_0_and_the_figures_that_the_server_gives_when_every_gpu_was_read(self):
        run = once("h100x8-busy")
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        daemon = self.serve_ready("h100x8-busy")
        self.assertEqual(json.loads(run.stdout)["gpus"], daemon.stats("/proxy/stats?missing=list")["gpus"])

    def test_what_a_board_does_not_have_is_named(self):
        page = json.loads(once("gb10").stdout)
        self.assertIn("fan_speed_percent", page["gpus"][0]["unsupported"])

    def test_the_table_has_a_line_for_each_gpu_and_a_dash_for_what_is_missing(self):
        run = once("h100x8-busy", "--format", "table")
        self.assertEqual(run.returncode, 0)
        lines = run.stdout.splitlines()
        self.assertEqual(len(lines), 9)
        self.assertTrue(all(" - " in line for line in lines[1:]), run.stdout)

    def test_1_when_some_gpu_failed_and_it_is_named(self):
        run = once("one-gpu-lost")
        self.assertEqual(run.returncode, 1)
        self.assertEqual([error["error"] for error in json.loads(run.stdout)["errors"]], ["GPU is lost"])
        self.assertIn("GPU is lost", once("one-gpu-lost", "--format", "table").stdout)

    def test_3_and_the_reason_when_there_are_no_figures(self):
        for scenario, reason in (("no-gpus", "no GPUs found"), ("driver-not-loaded", "NVML not initialized")):
            with self.subTest(scenario):
                run = once(scenario)
                self.assertEqual(run.returncode, 3)
                self.assertEqual(json.loads(run.stdout), {"error": f"Failed to query GPU: {reason}"})
        run = once("h100x8-busy", library="/nonexistent.so")
        self.assertEqual(run.returncode, 3)
        self.assertIn("/nonexistent.so", run.stderr, "the reason is said")

    def test_a_start_that_takes_its_time_is_waited_for_and_said(self):
        run = once("slow-start?delay_ms=50", "--nvml-timeout", "100ms")
        self.assertEqual((run.returncode, run.stderr), (0, "gputach: waiting for the driver to start\n"))

    def test_2_for_bad_usage(self):
        self.assertEqual(once("h100x8-busy", "--format", "xml").returncode, 2)


if __name__ == "__main__":
    harness.main()
