#!/usr/bin/env python3
"""The body of GET /proxy/stats, against the document's grammar and against figures computed without the binary."""

import datetime
import time

import expected
import harness


class Body(harness.TestCase):
    def test_the_body_has_exactly_the_documents_keys_in_order_with_their_types_as_compact_json(self):
        for scenario in ("h100x8-busy", "rtx4090", "gb10", "a100-mig", "one-gpu-lost"):
            with self.subTest(scenario):
                response = self.serve_ready(scenario).get()
                self.assertEqual(response.status, 200)
                self.assertTrue(expected.PAGE.fullmatch(response.body), response.body)

    def test_moving_loads_keep_to_the_grammar_too(self):
        daemon = self.serve_ready("rtx4090", "--cache-ttl", "0s", frozen=False)
        pages = {daemon.get().body for _ in range(50)}
        self.assertGreater(len(pages), 1)
        for page in pages:
            self.assertTrue(expected.PAGE.fullmatch(page), page)

    def test_every_figure_is_the_drivers(self):
        for scenario in ("h100x8-busy", "rtx4090"):
            with self.subTest(scenario):
                page = self.serve_ready(scenario).stats()
                self.assertEqual(page["gpus"], expected.rows(scenario))

    def test_the_expected_figures_are_not_all_alike(self):
        # Otherwise the test above would not notice two fields or two boards changed for each other.
        rows = expected.rows("h100x8-busy")
        for key in ("index", "uuid", "utilization_percent", "memory_used_mb", "temperature_c", "power_draw_w"):
            self.assertGreater(len({row[key] for row in rows}), 3, key)
        row = expected.rows("rtx4090")[0]
        numbers = [row[key] for key in expected.KEYS[3:]]
        self.assertEqual(len(set(numbers)), len(numbers), numbers)

    def test_floats_print_a_point_and_one_to_three_decimals_and_ints_none(self):
        scenario = self.scenario_file("h100x8-busy")
        scenario.write("""
            [[gpu]]
            name = "exact"
            utilization_percent = 50
            memory_total_mib = 1000
            memory_used_mib = 500
            temperature_c = 65
            power_w = 350.512
            power_limit_w = 400
            fan_percent = 45
            encoder_percent = 0
            decoder_percent = 100
            """)
        body = self.serve_ready(scenario).get().body
        self.assertIn(
            b'"utilization_percent":50.0,"memory_used_mb":500,"memory_total_mb":1000,"memory_util_percent":50.0,'
            b'"temperature_c":65,"power_draw_w":350.512,"power_limit_w":400.0,"fan_speed_percent":45,'
            b'"encoder_util_percent":0,"decoder_util_percent":100}', body)

    def test_memory_is_bytes_over_2_to_the_20_rounded_down_and_its_share_is_of_bytes(self):
        scenario = self.scenario_file("h100x8-busy")
        scenario.write("""
            [[gpu]]
            utilization_percent = 1
            memory_total_mib = 1000.9
            memory_used_mib = 999.95
            temperature_c = 1
            power_w = 1
            power_limit_w = 1
            encoder_percent = 0
            decoder_percent = 0
            """)
        gpu = self.serve_ready(scenario).stats()["gpus"][0]
        self.assertEqual((gpu["memory_used_mb"], gpu["memory_total_mb"]), (999, 1000))
        self.assertEqual(gpu["memory_util_percent"], round(999.95 / 1000.9 * 100, 3))

    def test_timestamp_is_the_moment_of_collection_in_utc_with_six_decimals(self):
        daemon = self.serve_ready()
        before = datetime.datetime.now(datetime.timezone.utc)
        text = daemon.stats()["timestamp"]
        after = datetime.datetime.now(datetime.timezone.utc)
        moment = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=datetime.timezone.utc)
        # Its microseconds are cut off, which may put it before the request by less than one of them.
        self.assertLessEqual(before - datetime.timedelta(microseconds=1), moment)
        self.assertLessEqual(moment, after)

    def test_timestamp_stays_that_of_the_collection_while_the_cache_answers(self):
        daemon = self.serve_ready("h100x8-busy", "--cache-ttl", "60s")
        first = daemon.stats()["timestamp"]
        began = time.time()
        harness.wait_until("the wall clock moves on", lambda: time.time() > began + 0.05)
        self.assertEqual(daemon.stats()["timestamp"], first)


class Fallbacks(harness.TestCase):
    """The second column of calls: what is asked when the first call is not there."""

    def page_without(self, *absent):
        scenario = self.scenario_file("rtx4090")
        text = scenario.path.read_text().replace("[driver]", f"[driver]\nabsent = {list(absent)}")
        scenario.write(text)
        return self.serve_ready(scenario)

    def test_temperature_comes_from_the_older_call_where_the_newer_is_absent(self):
        daemon = self.page_without("nvmlDeviceGetTemperatureV")
        self.assertEqual(daemon.stats()["gpus"], expected.rows("rtx4090"))
        self.assertEqual(daemon.count_calls("nvmlDeviceGetTemperature", 0), 1)

    def test_memory_comes_from_the_older_call_where_the_newer_is_absent(self):
        gpu = self.page_without("nvmlDeviceGetMemoryInfo_v2").stats()["gpus"][0]
        wanted = expected.rows("rtx4090")[0]
        # The older one counts the 346 MiB that the driver reserves; otherwise they are left out.
        self.assertEqual(gpu["memory_used_mb"], wanted["memory_used_mb"] + 346)
        self.assertEqual(gpu["memory_total_mb"], wanted["memory_total_mb"])

    def test_the_power_limit_is_the_enforced_one_where_no_other_is_told(self):
        scenario = self.scenario_file("rtx4090")
        text = scenario.path.read_text().replace("\npower_limit_w = 450", "").replace("= 450", "= 333")
        scenario.write(text)
        self.assertEqual(self.serve_ready(scenario).stats()["gpus"][0]["power_limit_w"], 333.0)


if __name__ == "__main__":
    harness.main()
