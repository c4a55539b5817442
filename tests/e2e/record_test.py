#!/usr/bin/env python3
"""`gputach record`: what the simulated driver shows, recorded and shown again, is the same page."""

import os
import re
import signal
import subprocess
import time
import tomllib

import expected
import golden
import harness

TIMEOUT = ("--nvml-timeout", "300ms")  # for calls that never come back
LOST = re.compile(r"nvmlDevice\w+ = 15  # GPU is lost")
OLD_DRIVERS = sorted(name for name in golden.scenarios() if name.startswith("old-driver-"))
MAKE_BELIEVE = "A recording of the SIMULATED driver, not of real GPUs"

ONE_BOARD = 'description = "One board"\n[[gpu]]\nname = "B"\nutilization_percent = 5\npower_w = 50\n'
FAULT = "[[fault]]\n"


def record(scenario, *arguments, library=harness.SIMULATOR, frozen=True):
    environment = {"GPUTACH_SIM_SCENARIO": str(scenario)}
    if frozen:
        environment["GPUTACH_SIM_TIME_S"] = str(harness.FROZEN_TIME_S)
    return harness.run_gputach("record", "--nvml-library", str(library), *arguments, environment=environment)


class Record(harness.TestCase):
    def recorded(self, scenario, *arguments, **more):
        run = record(scenario, *arguments, **more)
        self.assertEqual(run.returncode, 0, run.stderr)
        return run.stdout

    def file(self, text):
        path = self.folder() / "scenario.toml"
        path.write_text(text)
        return path


class RoundTrip(Record):
    def page(self, scenario, name):
        daemon = self.serve(scenario, *golden.FLAGS.get(name, ()))
        daemon.wait_for_log(r"worker_ready|worker_exited")
        response = daemon.get()
        return response.status, response.headers["Gputach-Unsupported"], golden.masked(name, response.body).decode()

    def assert_comes_back(self, scenario, name):
        text = self.recorded(scenario, "--identities", "real", *TIMEOUT)
        self.assertTrue(tomllib.loads(text)["description"].startswith(MAKE_BELIEVE))
        self.assertNotIn("(simulated)", text)
        path = self.file(text)
        shown, shown_again = self.page(scenario, name), self.page(path, name)
        self.assertEqual(shown_again, shown)
        self.assertNotIn("(simulated) (simulated)", shown_again[2])
        self.assertEqual(self.recorded(path, "--identities", "real", *TIMEOUT), text)

    def test_every_scenario_gives_the_same_page_again_and_its_recording_is_a_fixed_point(self):
        names = golden.scenarios()
        self.assertGreaterEqual(len(names), 20)
        for name in names:
            with self.subTest(name):
                self.assert_comes_back(name + golden.PARAMETERS.get(name, ""), name)

    def test_refusals_come_back_too(self):
        for scenario in ("a100-mig?memory_return=NO_PERMISSION", "a100-mig?memory_return=UNKNOWN",
                         "hang?gpu=all&call=nvmlDeviceGetFanSpeed", "one-gpu-lost?gpu=0"):  # fmt: skip
            with self.subTest(scenario):
                self.assert_comes_back(scenario, scenario.partition("?")[0])

    def test_a_library_that_lacks_symbols_is_recorded_as_the_one_that_refuses_them(self):
        self.assertTrue(OLD_DRIVERS)
        for name in OLD_DRIVERS:
            with self.subTest(name):
                library = harness.BUILD / "drivers" / name / harness.SIMULATOR.name
                text = self.recorded(name, "--identities", "real", library=library)
                self.assertEqual(text, self.recorded(name, "--identities", "real"))
                wanted = tomllib.loads((harness.ROOT / "sim" / "scenarios" / f"{name}.toml").read_text())["driver"]
                self.assertEqual(tomllib.loads(text)["driver"]["absent"], wanted["absent"])


class WhatIsWritten(Record):
    def test_what_no_page_shows_is_recorded_as_the_scenario_says(self):
        fixed = ("memory_reserved_mib", "memory_total_mib", "power_limit_w", "enforced_power_limit_w", "pci_device_id")
        for name in ("t4", "h100x8-busy", "gb200", "a100-mig", "h100-mig", "rtx4090", "gb10"):
            source = tomllib.loads((harness.ROOT / "sim" / "scenarios" / f"{name}.toml").read_text())
            said = [table for table in source["gpu"] for _ in range(table.get("count", 1))]
            recorded = tomllib.loads(self.recorded(name))["gpu"]
            self.assertEqual(len(recorded), len(said))
            for index, (gpu, truth) in enumerate(zip(recorded, said, strict=True)):
                with self.subTest(name, gpu=index):
                    self.assertEqual({key: gpu[key] for key in fixed if key in gpu and gpu[key] != 0},
                                     {key: truth[key] for key in fixed if key in truth})  # fmt: skip
                    board = expected.Board(truth, source["seed"], index)
                    for key in ("memory_utilization_percent", "encoder_percent", "fan_percent"):
                        self.assertEqual(gpu.get(key), board.percent(key), key)
                    slots = [[(one["slot"], one["profile"], one["memory_total_mib"], one["memory_used_mib"])
                              for one in table.get("mig_instance", [])] for table in (gpu, truth)]  # fmt: skip
                    self.assertEqual(*slots)
                    # What is not there is said by a missing key, not once more by a code.
                    self.assertNotIn("returns", gpu)

    def test_identities_are_replaced_unless_asked_for_and_boards_keep_sharing_a_serial_number(self):
        real = self.recorded("gb200", "--identities", "real")
        replaced = self.recorded("gb200")
        identities = re.findall(r'^(?:uuid|serial) = "(.+)"$', real, re.M)
        self.assertEqual(len(identities), 8)
        for identity in identities:
            self.assertNotIn(identity, replaced)
        serials = [[gpu["serial"] for gpu in tomllib.loads(text)["gpu"]] for text in (real, replaced)]
        self.assertEqual(*([numbers.index(number) for number in numbers] for numbers in serials))
        self.assertEqual(self.recorded(self.file(replaced)), replaced)

    def test_figures_that_move_are_recorded_as_a_range(self):
        text = self.recorded("h100x8-busy", "--seconds", "2", frozen=False)
        gpus = tomllib.loads(text)["gpu"]
        self.assertEqual(len(gpus), 8)
        powers = [gpu["power_w"] for gpu in gpus if isinstance(gpu["power_w"], dict)]
        self.assertTrue(powers)
        for power in powers:
            self.assertLess(power["idle"], power["busy"])
        self.assertIn("between the lowest and highest seen", text)
        self.assertEqual(len(self.serve(self.file(text), frozen=False).stats()["gpus"]), 8)

    def test_devices_limits_what_is_recorded(self):
        whole = self.recorded("h100x8-busy", "--identities", "real")
        uuids = re.findall(r'^uuid = "(.+)"$', whole, re.M)
        for selection in ("1,3", f"{uuids[1]},{uuids[3]}"):
            text = self.recorded("h100x8-busy", "--identities", "real", "--devices", selection)
            self.assertEqual(re.findall(r'^uuid = "(.+)"$', text, re.M), [uuids[1], uuids[3]])

    def test_a_lost_gpu_is_recorded_with_the_code_of_each_call(self):
        text = self.recorded("one-gpu-lost")
        self.assertGreaterEqual(len(LOST.findall(text)), 14)
        self.assertEqual(len(tomllib.loads(text)["gpu"][2]["returns"]), len(LOST.findall(text)))

    def test_a_file_appears_complete_and_standard_output_stays_empty(self):
        path = self.folder() / "mine.toml"
        run = record("rtx4090", "--output", str(path))
        self.assertEqual((run.returncode, run.stdout, run.stderr), (0, "", ""))
        self.assertEqual(path.read_text(), self.recorded("rtx4090"))
        self.assertEqual([one.name for one in path.parent.iterdir()], ["mine.toml"])

    def test_what_cannot_be_done_is_said(self):
        run = record("rtx4090", "--output", "/nonexistent/folder/mine.toml")
        self.assertEqual((run.returncode, run.stdout), (1, ""))
        self.assertIn("/nonexistent/folder", run.stderr)
        run = record("rtx4090", library="/nonexistent/libnvidia-ml.so.1")
        self.assertEqual((run.returncode, run.stdout), (3, ""))
        self.assertIn("/nonexistent/libnvidia-ml.so.1", run.stderr)
        for arguments in (["--seconds", "-1"], ["--seconds", "3601"], ["--identities", "maybe"]):
            self.assertEqual(record("rtx4090", *arguments).returncode, 2)


class CallsThatDoNotComeBack(Record):
    def recorded_with_fault(self, fault):
        path = self.file(ONE_BOARD + FAULT + fault)
        started = time.monotonic()
        run = record(path, *TIMEOUT)
        self.assertLess(time.monotonic() - started, 10 * harness.SCALE)
        self.assertEqual(run.returncode, 0, run.stderr)
        return run.stderr, tomllib.loads(run.stdout)

    def test_a_call_that_hangs_is_named_and_becomes_a_fault_and_the_others_are_recorded(self):
        said, scenario = self.recorded_with_fault('call = "nvmlDeviceGetPowerUsage"\nhang = true\n')
        self.assertEqual(said, "gputach: nvmlDeviceGetPowerUsage of GPU 0 did not return in time\n")
        self.assertEqual(scenario["fault"], [{"gpu": 0, "call": "nvmlDeviceGetPowerUsage", "hang": True}])
        self.assertEqual(scenario["gpu"][0]["utilization_percent"], 5)
        self.assertNotIn("power_w", scenario["gpu"][0])

    def test_a_call_that_crashes_becomes_a_fault_too(self):
        said, scenario = self.recorded_with_fault('call = "nvmlDeviceGetPowerUsage"\ncrash = true\n')
        self.assertEqual(said, "gputach: nvmlDeviceGetPowerUsage of GPU 0 crashed\n")
        self.assertEqual(scenario["fault"], [{"gpu": 0, "call": "nvmlDeviceGetPowerUsage", "crash": True}])

    def test_a_call_that_names_no_gpu_is_recorded_as_it_went(self):
        for fault in ('call = "nvmlInit_v2"\ncrash = true\n', 'call = "nvmlDeviceGetCount_v2"\nreturn = 999\n'):
            with self.subTest(fault):
                _, scenario = self.recorded_with_fault(fault)
                self.assertEqual(scenario["fault"], tomllib.loads(FAULT + fault)["fault"])

    @staticmethod
    def end_session(run):
        for process in harness.processes_of_session(run.pid):
            os.kill(process.pid, signal.SIGKILL)
        run.wait(harness.PATIENCE_S)

    def test_no_process_outlives_a_recorder_that_is_killed(self):
        log = self.folder() / "calls"
        run = subprocess.Popen([harness.BINARY, "record", "--nvml-library", harness.SIMULATOR, "--nvml-timeout", "60s"],
                               env={"GPUTACH_SIM_SCENARIO": "hang", "GPUTACH_SIM_CALL_LOG": str(log)},
                               stdout=subprocess.DEVNULL, start_new_session=True)  # fmt: skip
        self.addCleanup(self.end_session, run)
        harness.wait_until("it hangs", lambda: log.exists() and "nvmlDeviceGetPowerUsage 3" in log.read_text())
        self.assertEqual(len(harness.processes_of_session(run.pid)), 2)
        run.send_signal(signal.SIGKILL)
        run.wait(harness.PATIENCE_S)
        harness.wait_until("the child has ended", lambda: not harness.processes_of_session(run.pid))


class Output(Record):
    def to(self, path):
        return record("rtx4090", "--output", str(path))

    def test_a_file_is_replaced_as_a_whole_and_nothing_else_beside_it(self):
        folder = self.folder()
        (folder / "a.toml").write_text("old")
        (folder / "a.toml.new").write_text("somebody's own")
        self.assertEqual(self.to(folder / "a.toml").returncode, 0)
        self.assertIn("RTX 4090", (folder / "a.toml").read_text())
        self.assertEqual(sorted(p.name for p in folder.iterdir()), ["a.toml", "a.toml.new"])
        self.assertEqual((folder / "a.toml.new").read_text(), "somebody's own")

    def test_what_is_not_a_file_stays_what_it_is(self):
        folder = self.folder()
        os.mkfifo(folder / "fifo")
        reader = os.open(folder / "fifo", os.O_RDONLY | os.O_NONBLOCK)
        self.assertEqual(self.to(folder / "fifo").returncode, 0)
        self.assertTrue((folder / "fifo").is_fifo())
        self.assertIn(b"description = ", os.read(reader, 65536))
        os.close(reader)
        (folder / "target.toml").write_text("old")
        (folder / "link.toml").symlink_to("target.toml")
        self.assertEqual(self.to(folder / "link.toml").returncode, 0)
        self.assertTrue((folder / "link.toml").is_symlink())
        self.assertIn("RTX 4090", (folder / "target.toml").read_text())

    def test_what_cannot_be_written_is_said_and_leaves_nothing(self):
        folder = self.folder()
        (folder / "folder").mkdir()
        for path in (folder / "folder", folder / "missing" / "a.toml"):
            run = self.to(path)
            self.assertNotEqual(run.returncode, 0)
            self.assertIn(str(path), run.stderr)
        self.assertEqual([p.name for p in folder.iterdir()], ["folder"])


if __name__ == "__main__":
    harness.main()
