#!/usr/bin/env python3
"""Readings that a board does not have, and boards that are not like others: MIG, unified memory, fast fans."""

import pathlib

import expected
import harness


class Unsupported(harness.TestCase):
    def header(self, response):
        return expected.dictionary_of_inner_lists(response.headers["Gputach-Unsupported"])

    def test_a_reading_that_the_board_does_not_have_is_0_and_the_header_names_it(self):
        response = self.serve_ready().get()
        self.assertEqual({gpu["fan_speed_percent"] for gpu in response.json()["gpus"]}, {0})
        self.assertEqual(self.header(response), {"fan_speed_percent": list(range(8))})

    def test_a_board_that_has_everything_gets_no_such_header(self):
        self.assertNotIn("Gputach-Unsupported", self.serve_ready("rtx4090").get().headers)

    def test_the_header_lists_the_fields_of_the_page_and_the_indices_that_lack_them(self):
        scenario = self.scenario_file("rtx4090")
        scenario.become("rtx4090", '\n[[gpu]]\nname = "bare"\nutilization_percent = 7\n')
        self.assertEqual(
            self.header(self.serve_ready(scenario).get()),
            {"temperature_c": [1], "power_draw_w": [1], "power_limit_w": [1], "fan_speed_percent": [1],
             "encoder_util_percent": [1], "decoder_util_percent": [1]})

    def test_missing_list_adds_the_unsupported_fields_to_each_gpu(self):
        daemon = self.serve_ready()
        response = daemon.get("/proxy/stats?missing=list")
        self.assertTrue(expected.PAGE_WITH_MISSING.fullmatch(response.body), response.body)
        wanted = [row | {"unsupported": ["fan_speed_percent"]} for row in expected.rows("h100x8-busy")]
        self.assertEqual(response.json()["gpus"], wanted)
        # The header stays, and so does the plain page, made from the same pass.
        self.assertIn("Gputach-Unsupported", response.headers)
        self.assertEqual(daemon.stats()["gpus"], expected.rows("h100x8-busy"))

    def test_missing_list_gives_an_empty_list_where_nothing_is_missing(self):
        gpu = self.serve_ready("rtx4090").stats("/proxy/stats?missing=list")["gpus"][0]
        self.assertEqual(gpu["unsupported"], [])

    def test_another_value_of_missing_changes_nothing(self):
        for query in ("missing=", "missing=none", "missing", "Missing=list", "x=missing=list"):
            with self.subTest(query):
                self.assertNotIn(b"unsupported", self.serve_ready().get("/proxy/stats?" + query).body)


class Boards(harness.TestCase):
    def test_a_fan_faster_than_its_maximum_is_clamped_to_100(self):
        scenario = self.scenario_file("rtx4090")
        scenario.write(scenario.path.read_text().replace("fan_percent = { idle = 0, busy = 52, lag_s = 20 }",
                                                         "fan_percent = 104"))
        self.assertEqual(self.serve_ready(scenario).stats()["gpus"][0]["fan_speed_percent"], 100)

    def test_a_partitioned_gpu_is_one_row_with_the_memory_of_the_parent(self):
        response = self.serve_ready("a100-mig").get()
        gpus = response.json()["gpus"]
        self.assertEqual([(gpu["index"], gpu["name"]) for gpu in gpus], [(0, "NVIDIA A100-SXM4-40GB (simulated)")])
        self.assertEqual((gpus[0]["memory_used_mb"], gpus[0]["memory_total_mb"]), (20480, 40960))

    def test_where_the_parents_memory_is_refused_it_is_the_sum_of_the_instances(self):
        gpu = self.serve_ready("a100-mig?memory_return=NO_PERMISSION").stats()["gpus"][0]
        self.assertEqual((gpu["memory_used_mb"], gpu["memory_total_mb"]), (12288 + 6144 + 2048, 19968 + 9856 + 4864))
        self.assertEqual(gpu["memory_util_percent"], round((12288 + 6144 + 2048) / (19968 + 9856 + 4864) * 100, 3))

    def test_the_utilisation_of_a_partitioned_gpu_is_unsupported(self):
        for scenario in ("a100-mig", "a100-mig?memory_return=NO_PERMISSION"):
            with self.subTest(scenario):
                response = self.serve_ready(scenario).get()
                header = expected.dictionary_of_inner_lists(response.headers["Gputach-Unsupported"])
                self.assertEqual(header["utilization_percent"], [0])
                self.assertEqual(response.json()["gpus"][0]["utilization_percent"], 0.0)
                self.assertNotIn("memory_used_mb", header)

    def test_a_part_with_unified_memory_shows_the_systems(self):
        response = self.serve_ready("gb10").get()
        gpu = response.json()["gpus"][0]
        lines = dict(line.split(":") for line in pathlib.Path("/proc/meminfo").read_text().splitlines())
        total_kb, available_kb = (int(lines[name].split()[0]) for name in ("MemTotal", "MemAvailable"))
        self.assertEqual(gpu["memory_total_mb"], total_kb // 1024)
        # The machine is alive: its use moves between the two looks.
        self.assertAlmostEqual(gpu["memory_used_mb"], (total_kb - available_kb) // 1024, delta=total_kb // 1024 / 4)
        self.assertAlmostEqual(gpu["memory_util_percent"], 100 * gpu["memory_used_mb"] / gpu["memory_total_mb"], 1)
        header = expected.dictionary_of_inner_lists(response.headers["Gputach-Unsupported"])
        self.assertEqual(set(header), {"power_limit_w", "fan_speed_percent"})


if __name__ == "__main__":
    harness.main()
