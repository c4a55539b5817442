#!/usr/bin/env python3
"""--devices limits what is shown, and GPUs that are not meant are left alone."""

import expected
import harness

ROWS = expected.rows("h100x8-busy")
UUIDS = [row["uuid"] for row in ROWS]
IDENTITY = {"nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetUUID", "nvmlDeviceGetName"}


class Devices(harness.TestCase):
    def shown(self, devices, scenario="h100x8-busy"):
        daemon = self.serve_ready(scenario, "--devices", devices, "--cache-ttl", "0s")
        daemon.get()
        return daemon, daemon.stats()["gpus"]

    def test_by_index(self):
        _, gpus = self.shown("1,6")
        self.assertEqual(gpus, [ROWS[1], ROWS[6]])

    def test_by_uuid(self):
        _, gpus = self.shown(f"{UUIDS[5]},{UUIDS[2]}")
        self.assertEqual(gpus, [ROWS[2], ROWS[5]])

    def test_by_both(self):
        _, gpus = self.shown(f"7,{UUIDS[0]},3")
        self.assertEqual(gpus, [ROWS[0], ROWS[3], ROWS[7]])

    def test_the_index_stays_nvmls_and_so_do_those_of_the_header(self):
        daemon, gpus = self.shown("4,2")
        self.assertEqual([gpu["index"] for gpu in gpus], [2, 4])
        header = daemon.get().headers["Gputach-Unsupported"]
        self.assertEqual(expected.dictionary_of_inner_lists(header), {"fan_speed_percent": [2, 4]})

    def test_named_twice_is_shown_once(self):
        _, gpus = self.shown(f"3,3,{UUIDS[3]}")
        self.assertEqual(gpus, [ROWS[3]])

    def test_what_is_not_there_is_ignored_beside_what_is(self):
        _, gpus = self.shown("1,40,GPU-00000000-0000-0000-0000-000000000000")
        self.assertEqual(gpus, [ROWS[1]])

    def test_none_that_match_are_no_gpus(self):
        for devices in ("12", "GPU-00000000-0000-0000-0000-000000000000"):
            with self.subTest(devices):
                self.assert_query_error(self.serve("h100x8-busy", "--devices", devices).get(), "no GPUs found")

    def test_empty_means_all(self):
        _, gpus = self.shown("")
        self.assertEqual(gpus, ROWS)

    def test_by_index_no_other_gpu_ever_gets_a_call(self):
        daemon, _ = self.shown("1,6")
        self.assertEqual({call.gpu for call in daemon.calls()}, {None, 1, 6})

    def test_by_uuid_the_others_are_asked_for_their_identity_and_for_nothing_else(self):
        daemon, _ = self.shown(UUIDS[6])
        others = {call.symbol for call in daemon.calls() if call.gpu not in (None, 6)}
        self.assertLessEqual(others, IDENTITY)
        for gpu in range(6):
            self.assertEqual(daemon.count_calls("nvmlDeviceGetUUID", gpu), 1)

    def test_a_lost_gpu_that_is_not_meant_is_no_error(self):
        daemon, gpus = self.shown("1,6", "one-gpu-lost")
        self.assertEqual(gpus, [ROWS[1], ROWS[6]])
        self.assertNotIn("errors", daemon.stats())

    def test_a_lost_gpu_that_is_meant_is_one(self):
        daemon, gpus = self.shown("2,6", "one-gpu-lost")
        self.assertEqual(gpus, [ROWS[6]])
        self.assertEqual([error["index"] for error in daemon.stats()["errors"]], [2])

    def test_a_hanging_gpu_that_is_not_meant_costs_nothing(self):
        daemon, gpus = self.shown("1,6", "hang")
        self.assertEqual(gpus, [ROWS[1], ROWS[6]])
        self.assertLess(daemon.get().seconds, 0.3 * harness.SCALE)


if __name__ == "__main__":
    harness.main()
