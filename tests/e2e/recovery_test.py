#!/usr/bin/env python3
"""After a repair the next answer within 5 s is right, without a restart (worker_faults_test: the worker itself)."""

import time

import expected
import harness

GOOD = "h100x8-busy"
RECOVERY_S = 5 * harness.SCALE


def broken_for(daemon, seconds, text):
    """Asked once in a while, as a dashboard does, so that every delay between attempts has grown to its longest."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        response = daemon.get()
        if response.body != harness.query_error(text):
            raise AssertionError(response.body)
        due = min(end, time.monotonic() + 0.5)
        harness.wait_until("half a second passes", lambda due=due: time.monotonic() >= due)


class Recovery(harness.TestCase):
    def assert_recovers(self, daemon, rows=None):
        harness.wait_until("the answer is right", lambda: daemon.get().status == 200, RECOVERY_S)
        self.assertEqual(daemon.stats()["gpus"], rows if rows is not None else expected.rows(GOOD))

    def test_when_the_driver_is_loaded(self):
        scenario = self.scenario_file("driver-not-loaded")
        daemon = self.serve(scenario)
        broken_for(daemon, 8, "NVML not initialized")
        scenario.become(GOOD)
        self.assert_recovers(daemon)

    def test_when_the_driver_is_installed(self):
        library = self.folder() / "libnvidia-ml.so.1"
        daemon = self.serve(GOOD, library=library)
        self.assert_query_error(daemon.get(), "NVML not initialized")
        library.symlink_to(harness.SIMULATOR)
        self.assert_recovers(daemon)

    def test_when_gpus_appear(self):
        scenario = self.scenario_file("no-gpus")
        daemon = self.serve(scenario)
        broken_for(daemon, 2, "no GPUs found")
        scenario.become(GOOD)
        self.assert_recovers(daemon)

    def test_when_the_driver_is_unloaded_under_us_and_loaded_again(self):
        scenario = self.scenario_file(GOOD)
        daemon = self.serve_ready(scenario, "--cache-ttl", "100ms")
        self.assertEqual(daemon.get().status, 200)
        scenario.become(GOOD, '\n[[fault]]\ncall = "*"\nreturn = "DRIVER_NOT_LOADED"\n')
        harness.wait_until("it is noticed", lambda: daemon.get().status == 500)
        scenario.become(GOOD)
        self.assert_recovers(daemon)

    def test_the_first_request_is_right_when_nobody_asked_in_between(self):
        scenario = self.scenario_file("driver-not-loaded")
        daemon = self.serve(scenario)
        broken_for(daemon, 4, "NVML not initialized")
        scenario.become(GOOD)
        due = time.monotonic() + 5
        harness.wait_until("5 s pass", lambda: time.monotonic() >= due)
        self.assertEqual(daemon.stats()["gpus"], expected.rows(GOOD))

    def test_a_board_that_was_exchanged_is_shown_with_its_own_uuid(self):
        scenario = self.scenario_file("rtx4090")
        daemon = self.serve_ready(scenario, "--cache-ttl", "100ms")
        before = daemon.stats()["gpus"][0]["uuid"]
        # The old board goes, the driver is loaded anew, and another board is there.
        scenario.become("rtx4090", '\n[[fault]]\ncall = "*"\nreturn = "DRIVER_NOT_LOADED"\n')
        harness.wait_until("it is noticed", lambda: daemon.get().status == 500)
        scenario.write(scenario.path.read_text().split("[[fault]]")[0].replace("seed = 4090", "seed = 4091"))
        harness.wait_until("the answer is right", lambda: daemon.get().status == 200, RECOVERY_S)
        after = daemon.stats()["gpus"][0]["uuid"]
        self.assertRegex(after, r"^GPU-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
        self.assertNotEqual(after, before)


if __name__ == "__main__":
    harness.main()
