#!/usr/bin/env python3
"""tests/device/verify, held against a stand-in for nvidia-smi over the simulated driver.

GPUTACH_BUILD says which build; NVIDIA's Python binding comes from build/abi-cache, where ./dev abi puts it.
"""

import ast
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import comparison

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = pathlib.Path(os.environ.get("GPUTACH_BUILD", ROOT / "build" / "release")).resolve()
BINDING = ROOT / "build" / "abi-cache" / "binding"
STANDIN = f"{sys.executable} {HERE / 'standin_nvidia_smi.py'}"
NOT_RUN = 77
SECONDS_MAX = 120

# One error for each field, larger than its tolerance and small enough to be overlooked by eye.
PLANTS = {
    "index=7": "index",
    "name=NVIDIA H100": "name",
    "uuid=GPU-3c92a785-bfb0-0c82-af57-58e56d65caf3": "gpu",
    "utilization.gpu=+25": "utilization_percent",
    "memory.used=+480": "memory_used_mb",  # what the driver reserves, counted as used
    "memory.total=-480": "memory_total_mb",
    "temperature.gpu=+5": "temperature_c",
    "power.draw=+120": "power_draw_w",
    "power.limit=-0.5": "power_limit_w",
    "fan.speed=+5": "fan_speed_percent",
    "utilization.encoder=+25": "encoder_util_percent",
    "utilization.decoder=+25": "decoder_util_percent",
    "gpu=1": "gpu",
    # What is there for one and not for the other.
    "temperature.gpu=[N/A]": "temperature_c",
    "power.limit=[N/A]": "power_limit_w",
    "power.draw=[Unknown Error]": "power_draw_w",
}
HAS_A_FAN = ("fan.speed", "utilization.encoder", "utilization.decoder")


class Verify(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        """Nothing but what the bundle holds."""
        cls.bundle = pathlib.Path(tempfile.mkdtemp(prefix="gputach-bundle-"))
        cls.addClassCleanup(shutil.rmtree, cls.bundle)
        listed = re.search(r"^bundle_files=\((.*)\)$", (ROOT / "tools/dev/device-bundle.sh").read_text(), re.M)
        for name in listed.group(1).split():
            shutil.copy(HERE / name, cls.bundle)

    def folder(self):
        path = pathlib.Path(tempfile.mkdtemp(prefix="gputach-device-"))
        self.addCleanup(shutil.rmtree, path)
        return path

    def calm(self, scenario):
        """The same moving load without the noise that makes a figure leave its bracket by chance."""
        name, question, parameters = scenario.partition("?")
        path = self.folder() / f"{name}.toml"
        text = (ROOT / "sim" / "scenarios" / path.name).read_text()
        path.write_text(re.sub(r"noise = [0-9]+", "noise = 1", text))
        return str(path) + question + parameters

    def verify(self, scenario, *arguments, plant="", program=STANDIN, binary=None):
        folder = self.folder()
        kept = {key: value for key, value in os.environ.items() if not key.startswith("GPUTACH_")}
        environment = kept | {
            "GPUTACH_SIM_SCENARIO": self.calm(scenario),
            "LD_LIBRARY_PATH": str(BUILD),
            "PYTHONPATH": str(BINDING),
            "PYTHONDONTWRITEBYTECODE": "1",
            "STANDIN_PLANT": plant,
        }
        command = [sys.executable, str(self.bundle / "verify"), "--binary", str(binary or BUILD / "gputach"),
                   "--nvidia-smi", program, "--nvml-library", str(BUILD / "libnvidia-ml.so.1"), "--output", str(folder),
                   "--rounds", "5", "--passes", "20", "--requests", "100", "--record-seconds", "0",
                   *arguments]  # fmt: skip
        run = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                             timeout=SECONDS_MAX, check=False)  # fmt: skip
        results = folder / "results.json"
        self.scenario = folder / "scenario.toml"
        return run, json.loads(results.read_text()) if results.exists() else {}

    def assert_same(self, scenario, *arguments):
        run, results = self.verify(scenario, *arguments)
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        self.assertIn("SAME", run.stdout)
        self.assertTrue(results["simulated"])
        for phase in results["phases"].values():
            self.assertEqual({row["verdict"] for row in phase["fields"]}, {"same"})
            self.assertEqual((phase["pass"]["count"], phase["cached_request"]["count"]), (20, 100))
        return run, results


class Agreement(Verify):
    def test_moving_loads_agree_are_timed_and_are_brought_home(self):
        run, results = self.assert_same("h100x8-busy", "--rounds", "10")
        self.assertIn("SIMULATED GPUs", run.stdout)
        self.assertEqual(results["driver"], "580.105.08")
        self.assertIn("SIMULATED", self.scenario.read_text())

    def test_boards_that_lack_figures_agree(self):
        for scenario in ("rtx4090", "t4", "gb10", "a100-mig", "a100-mig?memory_return=NO_PERMISSION",
                         "old-driver-r450", "one-gpu-lost"):  # fmt: skip
            with self.subTest(scenario):
                self.assert_same(scenario)

    def test_under_a_load_there_is_a_second_phase_and_the_load_is_ended(self):
        run, results = self.assert_same("rtx4090", "--load", "exec sleep 600", "--load-seconds", "0.2")
        self.assertEqual(set(results["phases"]), {"idle", "load"})
        run, _ = self.verify("rtx4090", "--load", "exit 3", "--load-seconds", "5")
        self.assertEqual(run.returncode, 1)
        self.assertIn("the load ended", run.stdout)


class PlantedErrors(Verify):
    def test_one_in_each_field_is_caught_and_named(self):
        for plant, field in PLANTS.items():
            with self.subTest(plant):
                scenario = "rtx4090" if plant.startswith(HAS_A_FAN) else "h100x8-busy"
                run, results = self.verify(scenario, plant=plant)
                self.assertEqual(run.returncode, 1, run.stdout + run.stderr)
                self.assertEqual(results["different"], [field])
                self.assertRegex(run.stdout, rf"(?m)^DIFFERENT: {field}$")

    def test_a_gpu_that_fails_for_gputach_alone_is_caught(self):
        # The stand-in sees all GPUs in health.
        program = f"env GPUTACH_SIM_SCENARIO={self.calm('h100x8-busy')} {STANDIN}"
        run, results = self.verify("one-gpu-lost", program=program)
        self.assertEqual((run.returncode, results["different"]), (1, ["gpu"]), run.stdout)


class Tolerances(unittest.TestCase):
    """The rule itself, on rounds made by hand."""

    GPU = {"index": 0, "name": "A", "uuid": "GPU-0", "utilization_percent": 50.0, "memory_used_mb": 1000,
           "memory_total_mb": 4000, "memory_util_percent": 25.0, "temperature_c": 60, "power_draw_w": 100.0,
           "power_limit_w": 300.0, "fan_speed_percent": 100}  # fmt: skip

    def verdicts(self, *rounds, headers=None, errors=(), machine=None):
        """Each round is (change of nvidia-smi before, change after, change of the page)."""
        result = comparison.Comparison(comparison.FIELDS, machine or {})
        for before, after, change in rounds:
            gpu = self.GPU | change
            row = {field.query: str(self.GPU[field.key]) for field in comparison.FIELDS}
            page = {"gpus": [] if errors else [gpu], "errors": list(errors)}
            result.add_round({"GPU-0": row | before}, page, headers or {}, {"GPU-0": row | after})
        return {row["field"] for row in result.rows() if row["verdict"] == "DIFFERENT"}

    def test_a_figure_may_lie_anywhere_between_the_two_answers_and_a_tolerance_beyond(self):
        answers = {"power.draw": "100.00"}, {"power.draw": "200.00"}
        for watts, expected in ((93.1, set()), (150.0, set()), (211.9, set()),
                                (92.9, {"power_draw_w"}), (212.1, {"power_draw_w"})):  # fmt: skip
            self.assertEqual(self.verdicts((*answers, {"power_draw_w": watts})), expected, watts)

    def test_a_moving_figure_may_be_outside_in_one_of_five_rounds_and_a_fixed_one_in_none(self):
        good, hot, large = ({}, {}, {}), ({}, {}, {"temperature_c": 70}), ({}, {}, {"power_limit_w": 300.1})
        self.assertEqual(self.verdicts(good, good, good, good, hot), set())
        self.assertEqual(self.verdicts(good, good, good, hot, hot), {"temperature_c"})
        self.assertEqual(self.verdicts(good, good, good, good, large), {"power_limit_w"})

    def test_what_is_absent_must_be_absent_in_both(self):
        gone, named = {"fan.speed": "[N/A]"}, {"Gputach-Unsupported": "fan_speed_percent=(0)"}
        self.assertEqual(self.verdicts((gone, gone, {"fan_speed_percent": 0}), headers=named), set())
        self.assertEqual(self.verdicts((gone, gone, {"fan_speed_percent": 0})), {"fan_speed_percent"})
        self.assertEqual(self.verdicts(({}, {}, {"fan_speed_percent": 0}), headers=named), {"fan_speed_percent"})
        others = {"Gputach-Unsupported": "fan_speed_percent=(1 10)"}
        self.assertEqual(self.verdicts((gone, gone, {}), headers=others), {"fan_speed_percent"})

    def test_memory_from_elsewhere_must_be_that_of_the_machine(self):
        gone = {"memory.used": "[N/A]", "memory.total": "[N/A]"}
        self.assertEqual(self.verdicts((gone, gone, {}), machine={"memory_mib": 4000}), set())
        self.assertEqual(self.verdicts((gone, gone, {}), machine={"memory_mib": 4001}), {"memory_total_mb"})

    def test_a_failure_must_be_one_for_both(self):
        error = ({"index": 0, "uuid": "GPU-0", "error": "GPU is lost"},)
        lost = {"power.draw": "[GPU is lost]"}
        self.assertEqual(self.verdicts((lost, lost, {}), errors=error), set())
        self.assertEqual(self.verdicts(({}, {}, {}), errors=error), {"gpu"})

    def test_a_share_that_is_not_used_by_total_is_wrong(self):
        self.assertEqual(self.verdicts(({}, {}, {"memory_util_percent": 25.2})), {"memory_util_percent"})

    def test_only_a_page_that_says_it_is_simulated_may_carry_the_suffix(self):
        name = {"name": "A (simulated)"}
        self.assertEqual(self.verdicts(({}, {}, name), headers={"Gputach-Simulated": "?1"}), set())
        self.assertEqual(self.verdicts(({}, {}, name)), {"name"})


class Machines(Verify):
    def test_it_keeps_to_the_python_that_it_promises(self):
        for file in [self.bundle / "verify", *self.bundle.glob("*.py")]:
            ast.parse(file.read_text(), feature_version=(3, 8))

    def test_without_a_gpu_it_is_not_run(self):
        for scenario, program in (("no-gpus", STANDIN), ("driver-not-loaded", STANDIN), ("rtx4090", "/no/nvidia-smi")):
            with self.subTest(scenario=scenario, program=program):
                run, _ = self.verify(scenario, program=program)
                self.assertEqual((run.returncode, run.stdout), (NOT_RUN, "NOT RUN: no NVIDIA GPU\n"))

    def test_a_program_that_does_not_come_up_fails_it(self):
        run, _ = self.verify("rtx4090", binary=shutil.which("false"))
        self.assertEqual(run.returncode, 1)
        self.assertIn("FAILED: gputach did not come up", run.stdout)


def main():
    if not (BINDING / "pynvml.py").exists():
        print("NOT RUN: nvidia-ml-py is not in build/abi-cache; ./dev abi fetches it")
        return NOT_RUN
    return 0 if unittest.main(verbosity=2, exit=False).result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
