#!/usr/bin/env python3
"""`gputach doctor`: tells apart what is wrong, with a remedy, an exit status, and nothing left behind."""

import json
import os
import pathlib
import re
import signal
import subprocess

import harness

STATES = {"ok", "warning", "failed", "skipped"}
CHECKS = ["hardware", "library", "kernel_driver", "version_match", "device_nodes", "container", "pod_resources",
          "driver_start", "gpus", "driver_calls", "pass_latency", "cache", "clock"]  # fmt: skip
HAS_DRIVER = pathlib.Path("/proc/driver/nvidia").exists() or pathlib.Path("/dev/dxg").exists()
NO_DRIVER_NEEDED = "NOT RUN: this machine has an NVIDIA driver"
POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}


class Doctor(harness.TestCase):
    def start_doctor(self, scenario, *flags, library=harness.SIMULATOR, environment=None):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("GPUTACH_", "NVIDIA_", "KUBERNETES_"))}
        env |= {"GPUTACH_SIM_SCENARIO": str(scenario)} | (environment or {})
        arguments = [str(harness.BINARY), "doctor", *flags]
        arguments += ["--nvml-library", str(library)] if library else []
        process = subprocess.Popen(arguments, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, start_new_session=True)
        self.addCleanup(self.end, process)
        return process

    def end(self, process):
        for left in harness.processes_of_session(process.pid):
            os.kill(left.pid, signal.SIGKILL)
        process.communicate()

    def run_doctor(self, scenario, *flags, status, **more):
        """What it printed; the exit status and that nothing is left behind are checked here."""
        process = self.start_doctor(scenario, *flags, **more)
        printed, complaints = process.communicate(timeout=harness.PATIENCE_S)
        self.assertIsNone(harness.SANITIZER_REPORT.search(complaints), complaints)
        self.assertEqual(process.returncode, status, printed + complaints)
        self.assertEqual(harness.processes_of_session(process.pid), [])
        return printed

    def examine(self, scenario, *flags, status, **more):
        """Its checks by id, each of the documented form."""
        checks = json.loads(self.run_doctor(scenario, "--format", "json", *flags, status=status, **more))
        self.assertEqual([c["id"] for c in checks if not c["id"].startswith("gpu_")], CHECKS)
        for check in checks:
            self.assertLessEqual({"id", "state", "found"}, check.keys())
            self.assertLessEqual(check.keys(), {"id", "state", "found", "remedy", "calls"})
            self.assertIn(check["state"], STATES)
            self.assertEqual("remedy" in check, check["state"] in ("warning", "failed"), check)
        self.assertEqual(any(c["state"] == "failed" for c in checks), status == 1)
        return {check["id"]: check for check in checks}

    def assert_failed(self, checks, **expected):
        """Exactly these have failed; the words stand in what was found and in the remedy."""
        self.assertEqual({name for name, check in checks.items() if check["state"] == "failed"}, set(expected))
        for name, (found, remedy) in expected.items():
            self.assertIn(found, checks[name]["found"])
            self.assertIn(remedy, checks[name]["remedy"])


class Simulated(Doctor):
    def test_healthy(self):
        checks = self.examine("h100x8-busy", status=0)
        for gpu in range(8):
            self.assertEqual(checks[f"gpu_{gpu}"]["state"], "ok")
        self.assertEqual(checks["library"]["state"], "warning")  # invented figures are never simply fine
        self.assertIn("simulated", checks["library"]["found"])
        self.assertIn(str(harness.SIMULATOR), checks["library"]["found"])
        self.assertIn("580.105.08", checks["driver_start"]["found"])
        self.assertEqual(checks["pass_latency"]["state"], "ok")
        self.assertRegex(checks["cache"]["found"], "two requests at a time cause 1 pass, the next is answered from the")

    def test_each_call_is_timed(self):
        calls = {call["call"]: call for call in self.examine("h100x8-busy", status=0)["driver_calls"]["calls"]}
        self.assertEqual(calls["nvmlInit_v2"]["count"], 1)
        self.assertEqual(calls["nvmlDeviceGetHandleByIndex_v2"]["count"], 8)
        self.assertEqual(calls["nvmlDeviceGetPowerUsage"]["count"], 8 * 5)
        for call in calls.values():
            self.assertGreaterEqual(call["max_us"], call["median_us"])

    def test_no_gpus(self):
        self.assert_failed(self.examine("no-gpus", status=1), gpus=("0 GPUs", "GPU"))

    def test_the_driver_is_not_loaded(self):
        checks = self.examine("driver-not-loaded", status=1)
        self.assert_failed(checks, driver_start=("Driver Not Loaded (9)", "modprobe nvidia"))
        self.assertEqual(checks["gpus"]["state"], "skipped")

    def test_one_gpu_is_lost(self):
        checks = self.examine("one-gpu-lost", status=1)
        self.assert_failed(checks, gpu_2=("GPU is lost", "Xid"))

    def test_a_call_that_hangs_is_named_with_its_gpu(self):
        checks = self.examine("hang", "--nvml-timeout", "500ms", status=1)
        self.assert_failed(checks, gpu_3=("timed out", "reset"),
                           driver_calls=("nvmlDeviceGetPowerUsage of GPU 3 did not return within 500.0 ms", "reset"))
        self.assertEqual(checks["gpu_4"]["state"], "ok")

    def test_every_gpu_hangs(self):
        checks = self.examine("hang?gpu=all&hold_lock=true", "--nvml-timeout", "500ms", status=1)
        self.assertIn("of GPU 0 did not return", checks["driver_calls"]["found"])
        self.assertIn("timed out", checks["pass_latency"]["found"])
        self.assertEqual(checks["cache"]["state"], "skipped")

    def test_a_slow_call_is_a_warning(self):
        scenario = self.scenario_file("rtx4090")
        scenario.become("rtx4090", '\n[[fault]]\ngpu = 0\ncall = "nvmlDeviceGetFanSpeed"\ndelay_ms = 30\n')
        checks = self.examine(scenario, status=0)
        self.assertEqual((checks["driver_calls"]["state"], checks["pass_latency"]["state"]), ("warning", "warning"))
        self.assertRegex(checks["driver_calls"]["found"], r"^nvmlDeviceGetFanSpeed takes 3\d\.\d+ ms")

    def test_selected_devices(self):
        checks = self.examine("h100x8-busy", "--devices", "1,5", status=0)
        self.assertEqual([name for name in checks if name.startswith("gpu_")], ["gpu_1", "gpu_5"])
        self.assertIn("8 GPUs, of which --devices shows 2", checks["gpus"]["found"])
        none = self.examine("h100x8-busy", "--devices", "GPU-nobody", status=1)
        self.assertIn("Correct --devices", none["gpus"]["remedy"])

    def test_the_configured_cache_is_judged(self):
        flags = self.examine("h100x8-busy", "--cache-ttl", "0s", status=0)
        self.assertEqual(flags["cache"]["state"], "warning")
        variable = self.examine("h100x8-busy", status=0, environment={"GPUTACH_CACHE_TTL": "0s"})
        self.assertEqual(variable["cache"]["state"], "warning")

    def test_text_has_a_line_for_each_check_and_its_remedy_below(self):
        lines = self.run_doctor("one-gpu-lost", status=1).splitlines()
        heads = [re.match(r"(ok|warning|failed|skipped) +(\w+) +\S", line) for line in lines]
        names = [head.group(2) for head in heads if head]
        self.assertEqual([name for name in names if not name.startswith("gpu_")], CHECKS)
        lost = next(i for i, head in enumerate(heads) if head and head.group(2) == "gpu_2")
        self.assertRegex(lines[lost], r"^failed +gpu_2 +GPU is lost")
        self.assertRegex(lines[lost + 1], r"^ +-> Look for Xid")
        self.assertRegex(lines[-1], r"^\d+ ok, \d+ warnings?, 1 failed, \d+ skipped$")

    def test_a_doctor_that_is_killed_leaves_nothing(self):
        process = self.start_doctor("hang", "--nvml-timeout", "60s")
        harness.wait_until("the driver is called", lambda: len(harness.processes_of_session(process.pid)) > 1)
        process.kill()
        process.wait(harness.PATIENCE_S)
        harness.wait_until("no process is left", lambda: not harness.processes_of_session(process.pid))

    def test_bad_usage(self):
        for flags in (["--format", "yaml"], ["--nvml-timeout", "2"], ["--nope"]):
            self.assertEqual(self.run_doctor("h100x8-busy", *flags, status=2), "")


class Libraries(Doctor):
    def test_a_path_without_a_file(self):
        checks = self.examine("h100x8-busy", status=1, library="/nowhere/libnvidia-ml.so.1")
        self.assertIn("/nowhere/libnvidia-ml.so.1", checks["library"]["found"])
        self.assertIn("Correct --nvml-library", checks["library"]["remedy"])

    def test_a_file_that_is_no_library(self):
        path = self.folder() / "libnvidia-ml.so.1"
        path.write_text("not a library, and long enough to hold the header of one: " + "x" * 100)
        checks = self.examine("h100x8-busy", status=1, library=path)
        self.assertIn("invalid ELF header", checks["library"]["found"])


@harness.unittest.skipIf(HAS_DRIVER, NO_DRIVER_NEEDED)
class WithoutDriver(Doctor):
    def test_what_a_machine_without_driver_is_told(self):
        checks = self.examine("unused", status=1, library=None)
        self.assertIn("libnvidia-ml.so.1: cannot open shared object file", checks["library"]["found"])
        self.assertIn("/usr/lib/wsl/lib/libnvidia-ml.so.1", checks["library"]["found"])
        self.assertEqual(checks["kernel_driver"]["found"], "the kernel module nvidia is not loaded")
        for consequence in ("version_match", "device_nodes", "driver_start", "gpus", "driver_calls", "pass_latency"):
            self.assertEqual(checks[consequence]["state"], "skipped", checks[consequence])

    def test_a_pod_without_gpus_and_without_utility(self):
        variables = POD | {"NVIDIA_VISIBLE_DEVICES": "all", "NVIDIA_DRIVER_CAPABILITIES": "compute"}
        checks = self.examine("unused", status=1, library=None, environment=variables)
        self.assertIn("Add utility to NVIDIA_DRIVER_CAPABILITIES", checks["container"]["remedy"])
        self.assertIn("nvidia.com/gpu", checks["pod_resources"]["remedy"])
        self.assertIn("no GPU", checks["pod_resources"]["found"])


if __name__ == "__main__":
    harness.main()
