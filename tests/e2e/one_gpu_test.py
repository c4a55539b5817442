#!/usr/bin/env python3
"""One GPU fails: it is named in `errors`, all others keep their row and their index, nobody waits for it."""

import time

import expected
import harness

POWER = "nvmlDeviceGetPowerUsage"
ROWS = expected.rows("h100x8-busy")


def fault(gpu, call=POWER, **effects):
    lines = [f"gpu = {gpu}", f'call = "{call}"', *(f"{key} = {value}" for key, value in effects.items())]
    return "\n[[fault]]\n" + "\n".join(lines) + "\n"


class OneGpu(harness.TestCase):
    def assert_only_missing(self, page, gpu, error, uuid=None):
        self.assertEqual(page["gpus"], ROWS[:gpu] + ROWS[gpu + 1 :])
        uuid = ROWS[gpu]["uuid"] if uuid is None else uuid
        self.assertEqual(page["errors"], [{"index": gpu, "uuid": uuid, "error": error}])
        self.assertEqual(list(page), ["timestamp", "gpus", "errors"])

    def assert_in_grammar(self, response):
        self.assertTrue(expected.PAGE.fullmatch(response.body), response.body)

    def broken_from_start(self, more, *flags):
        scenario = self.scenario_file("h100x8-busy")
        scenario.become("h100x8-busy", more)
        return scenario, self.serve_ready(scenario, *flags)


class Lost(OneGpu):
    def test_a_gpu_that_is_lost_while_we_run_is_named_and_the_others_keep_their_index(self):
        scenario = self.scenario_file("h100x8-busy")
        daemon = self.serve_ready(scenario, "--cache-ttl", "0s")
        healthy = daemon.stats()
        self.assertEqual(healthy["gpus"], ROWS)
        self.assertNotIn("errors", healthy)
        scenario.become("h100x8-busy", fault(2, "*", **{"return": '"GPU_IS_LOST"'}))
        response = harness.wait_until("GPU 2 is missing",
                                      lambda: r if b'"errors"' in (r := daemon.get()).body else None)
        self.assertEqual(response.status, 200)
        self.assert_in_grammar(response)
        self.assert_only_missing(response.json(), 2, "GPU is lost")

    def test_a_gpu_that_was_lost_before_we_started_is_named_too(self):
        response = self.serve_ready("one-gpu-lost").get()
        self.assert_in_grammar(response)
        self.assert_only_missing(response.json(), 2, "GPU is lost")

    def test_a_gpu_that_could_not_even_tell_its_uuid_is_named_by_its_index(self):
        for call in ("*", "nvmlDeviceGetHandleByIndex_v2"):
            with self.subTest(call):
                _, daemon = self.broken_from_start(fault(2, call, **{"return": '"GPU_IS_LOST"'}))
                response = daemon.get()
                self.assert_in_grammar(response)
                self.assert_only_missing(response.json(), 2, "GPU is lost", uuid="")

    def test_a_gpu_that_is_lost_is_left_out_of_the_unsupported_header(self):
        header = self.serve_ready("one-gpu-lost").get().headers["Gputach-Unsupported"]
        self.assertEqual(expected.dictionary_of_inner_lists(header), {"fan_speed_percent": [0, 1, 3, 4, 5, 6, 7]})

    def test_it_comes_back_within_5_seconds_of_its_repair(self):
        scenario, daemon = self.broken_from_start(fault(2, "*", **{"return": '"GPU_IS_LOST"'}))
        self.assertEqual(len(daemon.stats()["gpus"]), 7)
        scenario.become("h100x8-busy")
        harness.wait_until("GPU 2 is back", lambda: daemon.stats()["gpus"] == ROWS, 5 * harness.SCALE)
        self.assertNotIn("errors", daemon.stats())


class Failing(OneGpu):
    def test_a_reading_that_fails_is_tried_once_more_and_then_the_gpu_is_left_out(self):
        _, daemon = self.broken_from_start(fault(1, **{"return": '"UNKNOWN"'}))
        response = daemon.get()
        self.assert_in_grammar(response)
        self.assert_only_missing(response.json(), 1, "GetPowerUsage: Unknown Error")
        self.assertEqual(daemon.count_calls(POWER, 1), 2)
        self.assertEqual(daemon.count_calls(POWER, 0), 1)

    def test_a_reading_that_fails_once_is_shown(self):
        _, daemon = self.broken_from_start(fault(1, every=2, **{"return": '"UNKNOWN"'}), "--cache-ttl", "0s")
        for _ in range(4):
            self.assertEqual(daemon.stats()["gpus"], ROWS)
        # Passes 1 and 3 succeed at once with calls 1 and 4; passes 2 and 4 need their second call.
        self.assertGreater(daemon.count_calls(POWER, 1), 4)

    def test_a_failure_is_never_shown_as_a_zero(self):
        calls = {"nvmlDeviceGetUtilizationRates": 1, "nvmlDeviceGetMemoryInfo_v2": 2, "nvmlDeviceGetTemperatureV": 3,
                 POWER: 4, "nvmlDeviceGetPowerManagementLimit": 5, "nvmlDeviceGetEncoderUtilization": 6,
                 "nvmlDeviceGetDecoderUtilization": 7}
        _, daemon = self.broken_from_start(
            "".join(fault(gpu, call, **{"return": '"UNKNOWN"'}) for call, gpu in calls.items()))
        page = daemon.stats()
        self.assertEqual(page["gpus"], ROWS[:1])
        self.assertEqual([error["index"] for error in page["errors"]], list(calls.values()))

    def test_a_figure_that_cannot_be_true_is_a_failure(self):
        _, daemon = self.broken_from_start(fault(1, "nvmlDeviceGetUtilizationRates", value=4_000_000))
        self.assert_only_missing(daemon.stats(), 1, "GetUtilizationRates: value out of range")


class Late(OneGpu):
    """A call that does not return costs its own GPU's row, and the others a share of the time-out, once."""

    def test_only_the_row_of_a_hanging_gpu_is_missing_and_later_answers_are_fast(self):
        daemon = self.serve_ready("hang", "--nvml-timeout", f"{2 * harness.SCALE:.0f}s", "--cache-ttl", "0s")
        first = daemon.get()
        self.assert_in_grammar(first)
        page = first.json()
        self.assertEqual(page["gpus"], ROWS[:3] + ROWS[4:])
        self.assertEqual([(e["index"], e["uuid"]) for e in page["errors"]], [(3, ROWS[3]["uuid"])])
        self.assertRegex(page["errors"][0]["error"], r"^timed out after \d+\.\d s$")
        self.assertLess(first.seconds, 2 * harness.SCALE)
        for _ in range(20):
            later = daemon.get()
            self.assertEqual((later.status, later.json()["gpus"]), (200, ROWS[:3] + ROWS[4:]))
            self.assertLess(later.seconds, 0.2 * harness.SCALE)

    def test_a_hanging_gpu_is_not_asked_again_until_its_call_has_returned(self):
        scenario = self.scenario_file("hang")
        daemon = self.serve_ready(scenario, "--nvml-timeout", f"{harness.SCALE:.0f}s", "--cache-ttl", "0s")
        worker = daemon.worker()
        for _ in range(5):
            self.assertEqual(len(daemon.stats()["gpus"]), 7)
        self.assertEqual(daemon.count_calls(POWER, 3), 1)
        self.assertEqual(daemon.count_calls(POWER, 4), 5)
        scenario.become("h100x8-busy")
        harness.wait_until("its row is back", lambda: daemon.stats()["gpus"] == ROWS, 5 * harness.SCALE)
        self.assertEqual(daemon.worker(), worker, "the worker was replaced for the sake of one GPU")

    def test_two_hanging_gpus_cost_two_rows(self):
        daemon = self.serve_ready("hang?gpu=1,6", "--nvml-timeout", f"{2 * harness.SCALE:.0f}s", "--cache-ttl", "0s")
        page = daemon.stats()
        self.assertEqual([gpu["index"] for gpu in page["gpus"]], [0, 2, 3, 4, 5, 7])
        self.assertEqual([error["index"] for error in page["errors"]], [1, 6])

    def test_whoever_asks_while_a_gpu_hangs_gets_the_same_answer(self):
        daemon = self.serve_ready("hang", "--nvml-timeout", f"{2 * harness.SCALE:.0f}s")
        began = time.monotonic()
        answers = daemon.simultaneous(20)
        self.assertLess(time.monotonic() - began, 2 * harness.SCALE)
        self.assertEqual({answer.status for answer in answers}, {200})
        self.assertEqual(len({answer.body for answer in answers}), 1)


if __name__ == "__main__":
    harness.main()
