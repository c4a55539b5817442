#!/usr/bin/env python3
"""Prints everything that gputach asks of the driver, as NVIDIA's own Python binding understands it.

usage: read_with_pynvml.py      with pynvml in PYTHONPATH and the driver in LD_LIBRARY_PATH

JSON on standard output; a call that is refused is {"return": number}. go-nvml/main.go prints the same with the Go
binding. GPU by GPU, function by function, so that a page of one can be compared with a page of the other.
"""

import json
import sys

import pynvml

MIG_SLOTS_MAX = 16
RETURN_CODES = [*range(31), 999]


def ask(call, form=lambda answer: answer):
    try:
        return form(call())
    except pynvml.NVMLError as error:
        return {"return": error.value}


def struct(*names):
    return lambda answer: {name: getattr(answer, name) for name in names}


def named(*names):
    return lambda answer: dict(zip(names, answer, strict=True))


def read_memory(device):
    return {
        "nvmlDeviceGetMemoryInfo": ask(lambda: pynvml.nvmlDeviceGetMemoryInfo(device), struct("total", "free", "used")),
        "nvmlDeviceGetMemoryInfo_v2": ask(
            lambda: pynvml.nvmlDeviceGetMemoryInfo(device, version=pynvml.nvmlMemory_v2),
            struct("total", "reserved", "free", "used"),
        ),
    }


def read_identity(device):
    return {
        "nvmlDeviceGetName": ask(lambda: pynvml.nvmlDeviceGetName(device)),
        "nvmlDeviceGetUUID": ask(lambda: pynvml.nvmlDeviceGetUUID(device)),
    }


def read_instance(parent, slot):
    device = ask(lambda: pynvml.nvmlDeviceGetMigDeviceHandleByIndex(parent, slot))
    return device if isinstance(device, dict) else read_identity(device) | read_memory(device)


def read_gpu(index):
    device = ask(lambda: pynvml.nvmlDeviceGetHandleByIndex(index))
    if isinstance(device, dict):
        return device
    sensor = pynvml.NVML_TEMPERATURE_GPU
    slots = ask(lambda: pynvml.nvmlDeviceGetMaxMigDeviceCount(device))
    last = slots if isinstance(slots, int) else 0
    codec = named("utilization", "period_us")
    return read_identity(device) | read_memory(device) | {
        "nvmlDeviceGetUtilizationRates": ask(lambda: pynvml.nvmlDeviceGetUtilizationRates(device),
                                             struct("gpu", "memory")),
        "nvmlDeviceGetTemperatureV": ask(lambda: pynvml.nvmlDeviceGetTemperatureV(device, sensor)),
        "nvmlDeviceGetTemperature": ask(lambda: pynvml.nvmlDeviceGetTemperature(device, sensor)),
        "nvmlDeviceGetPowerUsage": ask(lambda: pynvml.nvmlDeviceGetPowerUsage(device)),
        "nvmlDeviceGetPowerManagementLimit": ask(lambda: pynvml.nvmlDeviceGetPowerManagementLimit(device)),
        "nvmlDeviceGetEnforcedPowerLimit": ask(lambda: pynvml.nvmlDeviceGetEnforcedPowerLimit(device)),
        "nvmlDeviceGetFanSpeed": ask(lambda: pynvml.nvmlDeviceGetFanSpeed(device)),
        "nvmlDeviceGetEncoderUtilization": ask(lambda: pynvml.nvmlDeviceGetEncoderUtilization(device), codec),
        "nvmlDeviceGetDecoderUtilization": ask(lambda: pynvml.nvmlDeviceGetDecoderUtilization(device), codec),
        "nvmlDeviceGetMigMode": ask(lambda: pynvml.nvmlDeviceGetMigMode(device), named("current", "pending")),
        "nvmlDeviceGetMaxMigDeviceCount": slots,
        "instances": [read_instance(device, slot) for slot in range(min(last, MIG_SLOTS_MAX))],
    }  # fmt: skip


def main():
    page = {"init": ask(pynvml.nvmlInit, lambda _: 0)}
    if page["init"] == 0:
        count = ask(pynvml.nvmlDeviceGetCount)
        page |= {
            "nvmlSystemGetDriverVersion": ask(pynvml.nvmlSystemGetDriverVersion),
            "nvmlSystemGetNVMLVersion": ask(pynvml.nvmlSystemGetNVMLVersion),
            "nvmlDeviceGetCount": count,
            "texts": {str(code): ask(lambda: pynvml.nvmlErrorString(code)) for code in RETURN_CODES},
            "gpus": [read_gpu(index) for index in range(count if isinstance(count, int) else 0)],
            "shutdown": ask(pynvml.nvmlShutdown, lambda _: 0),
        }
    json.dump(page, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
