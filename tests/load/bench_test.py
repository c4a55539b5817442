#!/usr/bin/env python3
"""The judgement of ./dev bench: medians, noise, verdicts, the page. No server is started here."""

import contextlib
import io
import json
import pathlib
import subprocess
import sys
import tempfile
import time
import types
import unittest
from unittest import mock

import cells_reading
import gate
import instructions
import machine
import report
import rounds
import targets
import targets_proxy
from target import Target, verdict


def outcome_of(foreign_percent, **values):
    return rounds.Outcome({key: rounds.figure([value]) for key, value in values.items()},
                          {"gputach": {"p50_us": rounds.figure([1.5, 2.5])}}, ["a note"], foreign_percent)


class Figures(unittest.TestCase):
    def test_a_figure_is_a_median_with_its_quartiles(self):
        self.assertEqual(rounds.figure([5, 1, 3, 2, 4]), rounds.Figure(3, 2, 4, 5))
        self.assertEqual(rounds.figure([7]), rounds.Figure(7, 7, 7, 1))

    def test_nothing_and_no_number_are_refused(self):
        for values in ([], [1, float("nan")]):
            with self.assertRaises(RuntimeError):
                rounds.figure(values)

    def test_a_straight_line_grows_by_one_and_a_square_by_more_than_the_gate(self):
        straight = {count: 20 + 3 * count for count in cells_reading.COUNTS}
        square = {count: 20 + count * count for count in cells_reading.COUNTS}
        self.assertAlmostEqual(cells_reading.growth(straight), 1)
        self.assertGreater(cells_reading.growth(square), 1.25)


class Noise(unittest.TestCase):
    def quiet(self, *percents):
        attempts = [{"attempt": number, "foreign_percent": percent} for number, percent in enumerate(percents)]
        with mock.patch.object(rounds, "watched", side_effect=attempts) as watched:
            return rounds.quiet(None), watched.call_count

    def test_a_quiet_run_is_not_repeated(self):
        self.assertEqual(self.quiet(6.0, 0), ({"attempt": 0, "foreign_percent": 6.0}, 1))

    def test_a_loud_run_is_repeated_once_and_the_quieter_kept(self):
        answer, count = self.quiet(50, 20)
        self.assertEqual((answer["attempt"], answer["repeated"], count), (1, True, 2))
        answer, count = self.quiet(20, 50)
        self.assertEqual((answer["attempt"], count), (0, 2))

    def test_a_cell_is_noisy_when_more_than_a_quarter_of_its_runs_were(self):
        self.assertFalse(outcome_of([0, 0, 0, 7]).noisy)
        self.assertTrue(outcome_of([0, 0, 7, 7]).noisy)
        self.assertFalse(outcome_of([]).noisy)

    def test_rounds_take_turns_in_who_is_first(self):
        order = []
        runs = {name: lambda n=name: order.append(n) or {} for name in "abc"}
        with mock.patch.object(rounds, "quiet", side_effect=lambda work: work()):
            rounds.interleaved(3, runs)
        self.assertEqual("".join(order), "abcbcacab")

    def test_only_what_is_not_ours_counts_as_foreign(self):
        spinning = subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True)
        try:
            with_it, without_it = machine.ForeignLoad(lambda: [spinning.pid]), machine.ForeignLoad(lambda: [])
            cpu, began = machine.cpu_seconds([spinning.pid]), time.monotonic()
            while (seconds := time.monotonic() - began) < 0.5:
                pass
            foreign = without_it.percent() - with_it.percent()
            used = 100 * (machine.cpu_seconds([spinning.pid]) - cpu) / seconds
        finally:
            spinning.kill()
            spinning.wait()
        self.assertGreater(used, 10)
        self.assertAlmostEqual(foreign, used, delta=8)


class Verdicts(unittest.TestCase):
    def verdicts(self, target, *values):
        return [verdict(target, value) for value in values]

    def test_less_is_better_unless_said_otherwise(self):
        less = Target("k", "what", "", gate=2, aim=1)
        more = Target("k", "what", "", gate=1, aim=2, at_least=True)
        self.assertEqual(self.verdicts(less, 1, 2, 2.01), ["aim", "gate", "missed"])
        self.assertEqual(self.verdicts(more, 2, 1, 0.99), ["aim", "gate", "missed"])

    def test_without_an_aim_the_gate_is_all_there_is(self):
        self.assertEqual(self.verdicts(Target("k", "what", "", 2, None), 0, 3), ["gate", "missed"])

    def test_every_target_has_a_key_of_its_own(self):
        keys = [target.key for target in targets.TARGETS + targets_proxy.TARGETS]
        self.assertEqual(sorted(keys), sorted(set(keys)))


class Page(unittest.TestCase):
    def setUp(self):
        self.bench = types.SimpleNamespace(suite="http", rounds=7, seconds=2, server_processor=0, generator_processor=1)
        self.bench.facts = {
            "command": "./dev bench", "when": "then", "minutes": 1.0, "versions": {"nginx": "1"},
            "machine": {"processor": "p", "processors": 2, "virtual": True, "memory_gib": 1, "system": "s",
                        "kernel": "k", "page_table_isolation": False, "commit": "c", "niceness": 0}}
        self.outcomes = {"encode": outcome_of([0], encode_us=3.5), "start": outcome_of([90], start_ms=50)}

    def line(self, page, beginning):
        return next(line for line in page.splitlines() if line.startswith("| " + beginning))

    def test_a_missed_gate_stands_beside_its_figure_and_a_noisy_one_says_so(self):
        page = report.markdown(self.bench, self.outcomes, {"idle": "NOT RUN: reason"})
        self.assertIn("| 3.50 µs | ≤ 3 µs | ≤ 1.2 µs | **missed** |", self.line(page, "encoding the contract"))
        self.assertIn("| gate met, noisy |", self.line(page, "start to first answer"))
        self.assertIn("2 targets: 1 missed. **Too noisy to be relied on: start.** Without a result: idle.", page)
        self.assertIn("- idle: NOT RUN: reason", page)

    def test_the_reason_is_shown_only_while_the_gate_is_missed(self):
        row = Target("encode_us", "encoding", "µs", 3, 1.2, missed_because="the reason")
        with mock.patch.object(targets, "TARGETS", [row]):
            self.assertIn("- encoding: the reason", report.markdown(self.bench, self.outcomes, {}))
            self.outcomes["encode"] = outcome_of([0], encode_us=2.5)
            self.assertNotIn("the reason", report.markdown(self.bench, self.outcomes, {}))

    def test_the_json_holds_the_same(self):
        rows = json.loads(report.as_json(self.bench, self.outcomes, {}))["targets"]
        self.assertEqual({row["key"]: (row["median"], row["verdict"], row["noisy"]) for row in rows},
                         {"encode_us": (3.5, "missed", False), "start_ms": (50, "gate", True)})


class Gate(unittest.TestCase):
    def setUp(self):
        self.work = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.bench = types.SimpleNamespace(work=self.work)
        self.enterContext(mock.patch.object(instructions, "RECORD", self.work / "instructions.json"))
        instructions.RECORD.write_text(json.dumps({"compiler": "g++", "instructions_per_request": 1000}))

    def run_gate(self, count=1000, ratios=(1.0,), foreign=0, compiler="g++"):
        outcomes = [outcome_of([foreign], ratio=ratio) for ratio in ratios]
        with (mock.patch.object(instructions, "per_request", return_value=count),
              mock.patch.object(instructions, "compiler_of", return_value=compiler),
              mock.patch.object(gate, "ratio_once", side_effect=outcomes),
              mock.patch.object(gate.os, "sched_getaffinity", return_value={0, 1}),
              contextlib.redirect_stdout(io.StringIO()) as printed):
            return gate.run(self.bench), printed.getvalue()

    def test_it_passes_within_the_tolerance_and_fails_above(self):
        self.assertEqual(self.run_gate(count=1009)[0], 0)
        self.assertEqual(self.run_gate(count=1011)[0], 1)

    def test_fewer_instructions_pass_and_ask_to_be_recorded(self):
        status, printed = self.run_gate(count=900)
        self.assertEqual(status, 0)
        self.assertIn("--record-instructions", printed)

    def test_another_compiler_is_not_compared(self):
        status, printed = self.run_gate(count=2000, compiler="another")
        self.assertEqual(status, 0)
        self.assertIn("NOT RUN: ", printed)
        self.assertIn("NOT RUN: ", (self.work / "not-run.txt").read_text())

    def test_a_high_ratio_is_tried_again_and_fails_in_the_end(self):
        self.assertEqual(self.run_gate(ratios=(1.3, 1.2))[0], 0)
        self.assertEqual(self.run_gate(ratios=(1.3, 1.3, 1.3))[0], 1)

    def test_a_high_ratio_that_was_never_quiet_says_nothing(self):
        self.assertEqual(self.run_gate(ratios=(1.3, 1.3, 1.3), foreign=50, compiler="another")[0], 77)


if __name__ == "__main__":
    unittest.main(verbosity=2)
