#!/usr/bin/env python3
"""Stands in for nvidia-smi, with NVIDIA's Python binding over whatever driver the linker finds.

usage: standin_nvidia_smi.py -L
       standin_nvidia_smi.py --query-gpu=FIELD,... --format=csv,noheader,nounits

with pynvml in PYTHONPATH and the simulated driver in LD_LIBRARY_PATH. It prints what the real program prints,
"[N/A]" and other refusals in brackets included. STANDIN_PLANT=FIELD=CHANGE plants an error for tests:
"temperature.gpu=+9" adds, "name=[N/A]" or "name=T5" replaces; "gpu=1" leaves out that GPU.
"""

import os
import sys

import pynvml

FORMAT = "--format=csv,noheader,nounits"
# Exit status of the real program when a field has another name, or there is no driver.
BAD_FIELD, NO_DRIVER = 2, 9


def mib(byte_count):
    return str(byte_count >> 20)


def watts(milliwatts):
    return "%.2f" % (milliwatts / 1000)


def memory(device):
    """The second structure, as the real program since R510; the first one before."""
    try:
        return pynvml.nvmlDeviceGetMemoryInfo(device, version=pynvml.nvmlMemory_v2)
    except pynvml.NVMLError_FunctionNotFound:
        return pynvml.nvmlDeviceGetMemoryInfo(device)


FIELDS = {
    "index": lambda device: str(pynvml.nvmlDeviceGetIndex(device)),
    "name": pynvml.nvmlDeviceGetName,
    "uuid": pynvml.nvmlDeviceGetUUID,
    "driver_version": lambda _: pynvml.nvmlSystemGetDriverVersion(),
    "utilization.gpu": lambda device: str(pynvml.nvmlDeviceGetUtilizationRates(device).gpu),
    "utilization.encoder": lambda device: str(pynvml.nvmlDeviceGetEncoderUtilization(device)[0]),
    "utilization.decoder": lambda device: str(pynvml.nvmlDeviceGetDecoderUtilization(device)[0]),
    "memory.used": lambda device: mib(memory(device).used),
    "memory.total": lambda device: mib(memory(device).total),
    "temperature.gpu": lambda device: str(pynvml.nvmlDeviceGetTemperature(device, pynvml.NVML_TEMPERATURE_GPU)),
    "power.draw": lambda device: watts(pynvml.nvmlDeviceGetPowerUsage(device)),
    "power.limit": lambda device: watts(pynvml.nvmlDeviceGetPowerManagementLimit(device)),
    "fan.speed": lambda device: str(pynvml.nvmlDeviceGetFanSpeed(device)),
}
TEXTS = {
    pynvml.NVML_ERROR_NOT_SUPPORTED: "[N/A]",
    pynvml.NVML_ERROR_FUNCTION_NOT_FOUND: "[N/A]",
    pynvml.NVML_ERROR_NO_PERMISSION: "[Insufficient Permissions]",
    pynvml.NVML_ERROR_GPU_IS_LOST: "[GPU is lost]",
}


def planted():
    field, _, change = os.environ.get("STANDIN_PLANT", "").partition("=")
    return field, change


def cell(device, field):
    try:
        text = FIELDS[field](device)
    except pynvml.NVMLError as error:
        text = TEXTS.get(error.value, "[Unknown Error]")
    name, change = planted()
    if name != field:
        return text
    if change[0] not in "+-":
        return change
    return text if text.startswith("[") else f"{float(text) + float(change):.2f}"


def devices():
    name, change = planted()
    for index in range(pynvml.nvmlDeviceGetCount()):
        if (name, change) != ("gpu", str(index)):
            yield pynvml.nvmlDeviceGetHandleByIndex(index)


def list_gpus():
    for device in devices():
        index, name, uuid = (cell(device, field) for field in ("index", "name", "uuid"))
        print(f"GPU {index}: {name} (UUID: {uuid})")
        try:
            slots = pynvml.nvmlDeviceGetMaxMigDeviceCount(device)
        except pynvml.NVMLError:
            slots = 0
        for slot in range(slots):
            try:
                mig = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(device, slot)
            except pynvml.NVMLError:
                continue
            profile = pynvml.nvmlDeviceGetName(mig).rpartition(" ")[2]
            print(f"  MIG {profile:<11} Device  {slot}: (UUID: {pynvml.nvmlDeviceGetUUID(mig)})")


def query(fields):
    unknown = [field for field in fields if field not in FIELDS]
    if unknown:
        print(f'Field "{unknown[0]}" is not a valid field to query.')
        return BAD_FIELD
    for device in devices():
        print(", ".join(cell(device, field) for field in fields))
    return 0


def main(arguments):
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        print("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.")
        return NO_DRIVER
    if arguments == ["-L"]:
        list_gpus()
        return 0
    if len(arguments) == 2 and arguments[0].startswith("--query-gpu=") and arguments[1] == FORMAT:
        return query(arguments[0].partition("=")[2].split(","))
    sys.exit(__doc__)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
