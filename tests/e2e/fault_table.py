"""Every fault that the field reports, as far as the contract's figures are concerned: how it is brought about, what a
client may see meanwhile, which event tells the operator, and how soon it is over. faults_test.py walks the table,
fault_report.py puts it into docs/operations.md.
"""

import pathlib
import resource
import signal

import harness
from fault_rig import (HEALTHY, Fault, Sees, come_back_reversed, come_back_without_one, driver, faults,
                       freeze_worker, kill_spawner, libc, limit_spawner, limit_worker, no_freezer, reload_with,
                       sanitized, signal_worker, stop_worker, then)

POWER, UTILIZATION = "nvmlDeviceGetPowerUsage", "nvmlDeviceGetUtilizationRates"
HANDLE = "nvmlDeviceGetHandleByIndex_v2"

NOT_INITIALIZED = Sees(500, "NVML not initialized")
NO_GPUS = Sees(500, "no GPUs found")
TIMED_OUT = Sees(500, "NVML timed out after {} s")
STOPPED = Sees(500, "worker stopped")
ALL_FAILED = Sees(500, "all GPUs failed")
LATE = "timed out after {} s"
UNREACHED = "not reached in time"

BY_ITSELF = "by itself"
RETURNS = "when its call returns"
REPAIRED = "when it is repaired"

CRASHING_LIBRARY = """
#include <cstdlib>
__attribute__((constructor)) static void crash() { std::abort(); }
"""
HANGING_LIBRARY = """
#include <unistd.h>
__attribute__((constructor)) static void hang() { while (::access("@FLAG@", F_OK) == 0) ::usleep(10'000); }
"""

UNLOADED = driver(faults("*", return_="DRIVER_NOT_LOADED"), 'init = "DRIVER_NOT_LOADED"')


def gpu(index, error):
    return Sees(missing={index: error})


# One fault is one entry.
# fmt: off
FAULTS = [
    # The library.
    Fault("the driver's library is missing", lambda rig: rig.link(None),
          (NOT_INITIALIZED,), REPAIRED, "driver_refused", from_start=True),
    Fault("the library is a file of another kind", lambda rig: rig.link(pathlib.Path(__file__)),
          (NOT_INITIALIZED,), REPAIRED, "driver_refused", from_start=True),
    Fault("the library is not NVIDIA's", lambda rig: rig.link(libc()),
          (NOT_INITIALIZED,), REPAIRED, "driver_refused", from_start=True),
    Fault("the library crashes while it is loaded", lambda rig: rig.compile(CRASHING_LIBRARY),
          (STOPPED,), REPAIRED, "worker_exited", from_start=True),
    Fault("the library hangs while it is loaded", lambda rig: rig.compile(HANGING_LIBRARY),
          (NOT_INITIALIZED,), REPAIRED, "", from_start=True),
    Fault("an old library lacks the newer functions",
          lambda rig: rig.link(harness.BUILD / "drivers" / "old-driver-r450" / "libnvidia-ml.so.1"),
          (Sees(other_figures=True),), "nothing to repair", "worker_ready", from_start=True, back_s=None),

    # The driver's start.
    Fault("the driver is not loaded", driver(head='init = "DRIVER_NOT_LOADED"'),
          (NOT_INITIALIZED,), REPAIRED, "driver_refused", from_start=True),
    Fault("library and kernel module are of different versions", driver(head='init = "LIB_RM_VERSION_MISMATCH"'),
          (NOT_INITIALIZED,), REPAIRED, "driver_refused", from_start=True),
    Fault("the container has lost its devices (init answers \"Unknown Error\")", driver(head='init = "UNKNOWN"'),
          (NOT_INITIALIZED,), REPAIRED, "driver_refused", from_start=True),
    Fault("the driver counts no GPU", lambda rig: rig.scenario.become("no-gpus"),
          (NO_GPUS,), REPAIRED, "driver_refused", from_start=True),
    Fault("the driver finds no GPU (init answers \"GPU Not Found\")", driver(head='init = "GPU_NOT_FOUND"'),
          (NO_GPUS,), REPAIRED, "driver_refused", from_start=True),
    Fault("init takes a second", driver(head="init_delay_ms = 1000"),
          (HEALTHY,), "nothing to repair", "worker_ready", from_start=True, back_s=None),
    Fault("init hangs", driver(faults("nvmlInit_v2", hang=True)),
          (NOT_INITIALIZED,), RETURNS, "", from_start=True),
    Fault("GPUs wake up slowly, 400 ms each", driver(head="first_handle_delay_ms = 400"),
          (NOT_INITIALIZED,), "when the last one is awake", "worker_ready", from_start=True, lasts_s=3.2,
          mend=lambda rig: None),
    Fault("one GPU never wakes up", driver(faults(HANDLE, 3, hang=True)),
          (gpu(3, LATE), NOT_INITIALIZED), RETURNS, "driver_call_late", from_start=True, soon_s=8),
    Fault("four GPUs refuse their handle, each in another way", driver(
              faults(HANDLE, 1, return_="NO_PERMISSION") + faults(HANDLE, 3, return_="INSUFFICIENT_POWER") +
              faults(HANDLE, 5, return_="IRQ_ISSUE") + faults(HANDLE, 6, return_="UNKNOWN")),
          (Sees(missing={1: "GetHandleByIndex: Insufficient Permissions",
                         3: "GetHandleByIndex: Insufficient External Power",
                         5: "GetHandleByIndex: Interrupt Request Issue", 6: "GetHandleByIndex: Unknown Error"}),),
          REPAIRED, "", from_start=True),

    # Calls that take long.
    Fault("one GPU's call takes 400 ms", driver(faults(POWER, 3, delay_ms=400)), (HEALTHY,), "nothing to repair", ""),
    Fault("one GPU's call takes 3 s", driver(faults(POWER, 3, delay_ms=3000)),
          (gpu(3, LATE),), RETURNS, "driver_call_late", lasts_s=3, slow_call=(POWER, 3)),
    Fault("one GPU's call takes 60 s", driver(faults(POWER, 3, delay_ms=60_000)),
          (gpu(3, LATE),), RETURNS, "driver_call_late", lasts_s=60, slow_call=(POWER, 3)),
    Fault("one GPU's call hangs for ever", driver(faults(POWER, 3, hang=True)),
          (gpu(3, LATE),), RETURNS, "driver_call_late"),
    Fault("half of the GPUs hang", driver(faults(POWER, [0, 1, 2, 3], hang=True)),
          (Sees(missing={i: LATE for i in range(4)}),), RETURNS, "driver_call_late"),
    Fault("every GPU hangs", driver(faults(POWER, hang=True)),
          (TIMED_OUT, STOPPED), RETURNS, "worker_given_up"),
    Fault("one call hangs and holds the driver's lock, so that every call hangs",
          driver(faults(POWER, 3, hang=True, hold_lock=True)),
          (Sees(any_missing=LATE), TIMED_OUT, STOPPED), RETURNS, "worker_given_up"),
    Fault("every call takes 50 ms, more than the time there is for 8 GPUs", driver(faults("*", delay_ms=50)),
          (Sees(any_missing=f"{UNREACHED}; {LATE}"), HEALTHY), REPAIRED, ""),
    Fault("64 GPUs, every call takes 5 ms", driver(faults("*", delay_ms=5)),
          (Sees(any_missing=f"{UNREACHED}; {LATE}"), HEALTHY), REPAIRED, "", base="h100x64"),

    # One GPU.
    Fault("a GPU is lost", driver(faults("*", 2, except_=[HANDLE, "nvmlDeviceGetUUID", "nvmlDeviceGetName"],
                                        return_="GPU_IS_LOST")),
          (gpu(2, "GPU is lost"),), REPAIRED, ""),
    Fault("a GPU is lost, its handle too", driver(faults("*", 2, return_="GPU_IS_LOST")),
          (gpu(2, "GPU is lost"),), REPAIRED, ""),
    Fault("every GPU is lost", driver(faults("*", return_="GPU_IS_LOST")), (ALL_FAILED,), REPAIRED, ""),
    Fault("a GPU needs a reset", driver(faults("*", 2, return_="RESET_REQUIRED")),
          (Sees(missing={2: "GetUtilizationRates: GPU requires reset"}),
           gpu(2, "GetHandleByIndex: GPU requires reset")), REPAIRED, ""),
    Fault("access to a GPU is blocked by the system", driver(faults(POWER, 2, return_="OPERATING_SYSTEM")),
          (gpu(2, "GetPowerUsage: GPU access blocked by the operating system"),), REPAIRED, ""),

    # One figure.
    Fault("a reading fails once", driver(faults(POWER, 1, every=2, return_="UNKNOWN")), (HEALTHY,),
          "nothing to repair", ""),
    Fault("a reading fails twice", driver(faults(POWER, 1, return_="UNKNOWN")),
          (gpu(1, "GetPowerUsage: Unknown Error"),), REPAIRED, ""),
    Fault("a reading fails with a code newer than gputach", driver(faults(POWER, 1, return_=1234)),
          (gpu(1, "GetPowerUsage: unknown error 1234"),), REPAIRED, ""),
    Fault("a reading finds nothing (\"Not Found\")", driver(faults(UTILIZATION, 1, return_="NOT_FOUND")),
          (gpu(1, "GetUtilizationRates: Not Found"),), REPAIRED, ""),
    Fault("a board does not have a figure", driver(faults("nvmlDeviceGetEncoderUtilization", return_="NOT_SUPPORTED")),
          (Sees(unsupported="encoder_util_percent"),), "nothing to repair", "", back_s=None),
    Fault("a figure may not be read", driver(faults("nvmlDeviceGetDecoderUtilization", return_="NO_PERMISSION")),
          (Sees(unsupported="decoder_util_percent"),), "asked for again once a minute", "", back_s=None),
    Fault("the driver refuses the newer form of a call", driver(
              faults("nvmlDeviceGetTemperatureV", return_="ARGUMENT_VERSION_MISMATCH")), (HEALTHY,),
          "the older form is used", ""),
    Fault("a utilisation of 4 000 000 %", driver(faults(UTILIZATION, 1, value=4_000_000)),
          (gpu(1, "GetUtilizationRates: value out of range"),), REPAIRED, "", counted="utilization_ratio"),
    Fault("a power draw of 4 MW", driver(faults(POWER, 1, value=4_000_000_000)),
          (gpu(1, "GetPowerUsage: value out of range"),), REPAIRED, "", counted="power_watts"),

    # The driver changes under us.
    Fault("the driver is unloaded", UNLOADED, (NOT_INITIALIZED,), REPAIRED, "driver_refused"),
    Fault("the driver is upgraded: first nothing fits, then another version with other functions is there",
          driver(faults("*", return_="LIB_RM_VERSION_MISMATCH"), 'init = "LIB_RM_VERSION_MISMATCH"'),
          (NOT_INITIALIZED,), "when library and module fit again", "driver_refused",
          mend=reload_with("old-driver-r565")),
    Fault("the GPUs come back in another order", UNLOADED, (NOT_INITIALIZED,), "each row follows its UUID",
          "driver_refused", mend=come_back_reversed),
    Fault("one GPU does not come back", UNLOADED, (NOT_INITIALIZED,), "the others are shown", "driver_refused",
          mend=come_back_without_one),
    Fault("one call says that the library was never started", driver(faults(POWER, 1, return_="UNINITIALIZED")),
          (gpu(1, "GetPowerUsage: Uninitialized"), STOPPED, NOT_INITIALIZED), REPAIRED, "worker_given_up"),

    # The worker process.
    Fault("the worker is killed", signal_worker(signal.SIGKILL), (HEALTHY, STOPPED), BY_ITSELF, "worker_exited",
          lasts_s=0),
    Fault("the worker is stopped (SIGSTOP)", stop_worker, (TIMED_OUT, STOPPED), BY_ITSELF, "worker_given_up",
          lasts_s=0),
    Fault("the worker is frozen in the kernel, so that even SIGKILL waits", freeze_worker,
          (TIMED_OUT, STOPPED), "when the kernel lets it go", "worker_given_up", unless=no_freezer),
    Fault("each worker crashes at its first reading", driver(faults(POWER, crash=True)),
          (STOPPED, NOT_INITIALIZED), REPAIRED, "worker_exited"),
    Fault("the worker may open no further descriptor", limit_worker(resource.RLIMIT_NOFILE, 4), (HEALTHY,),
          "nothing to repair", ""),
    Fault("no descriptors are left for a new worker",
          then(limit_spawner(resource.RLIMIT_NOFILE, 4), signal_worker(signal.SIGKILL)),
          (STOPPED,), "when there are some again", "worker_not_started"),
    Fault("no memory is left for a new worker",
          then(limit_spawner(resource.RLIMIT_AS, 1 << 20), signal_worker(signal.SIGKILL)),
          (STOPPED, NOT_INITIALIZED), "when there is some again", "worker_exited", unless=sanitized),
    Fault("a GPU hangs in a worker that has no memory for a spare thread",
          then(limit_worker(resource.RLIMIT_AS, 1 << 20), driver(faults(POWER, 3, hang=True))),
          (gpu(3, LATE), STOPPED), RETURNS, "worker_exited", unless=sanitized),
    Fault("the spawner is killed", kill_spawner, (HEALTHY, STOPPED), BY_ITSELF, "spawner_replaced", lasts_s=0),
]
# fmt: on
