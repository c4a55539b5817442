"""What a scenario file says that a reader of the driver must see: worked out from the text alone, nothing of ours is
asked. A figure that follows the load has bounds; one that stays has a value.
"""

import re
import tomllib
from typing import NamedTuple

MIB = 1 << 20
MIG_SLOTS = 7
HANDLE = {"nvmlDeviceGetHandleByIndex_v2"}
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Range(NamedTuple):
    low: float
    high: float

    def holds(self, value):
        return isinstance(value, int) and self.low - 0.5 <= value <= self.high + 0.5


# function -> answers by name ("" where it gives one number), each with its key in the file and NVML's units in one
FIGURES = {
    "nvmlDeviceGetUtilizationRates": {"gpu": ("utilization_percent", 1), "memory": ("memory_utilization_percent", 1)},
    "nvmlDeviceGetTemperatureV": {"": ("temperature_c", 1)},
    "nvmlDeviceGetTemperature": {"": ("temperature_c", 1)},
    "nvmlDeviceGetPowerUsage": {"": ("power_w", 1000)},
    "nvmlDeviceGetPowerManagementLimit": {"": ("power_limit_w", 1000)},
    "nvmlDeviceGetEnforcedPowerLimit": {"": ("enforced_power_limit_w", 1000)},
    "nvmlDeviceGetFanSpeed": {"": ("fan_percent", 1)},
    "nvmlDeviceGetEncoderUtilization": {"utilization": ("encoder_percent", 1)},
    "nvmlDeviceGetDecoderUtilization": {"utilization": ("decoder_percent", 1)},
}
FULL_AT_100 = ("utilization_percent", "memory_utilization_percent", "encoder_percent", "decoder_percent")



def load(path, parameters):
    """The scenario with `parameters` in place of the file's own."""
    scenario = tomllib.loads(path.read_text())
    values = scenario.get("parameters", {}) | parameters

    def filled(node):
        if isinstance(node, dict):
            return {key: filled(value) for key, value in node.items()}
        if isinstance(node, list):
            return [filled(value) for value in node]
        return values[node[1:]] if isinstance(node, str) and node.startswith("$") else node

    return filled(scenario)


def quick_parameters(path):
    """Parameters with which nothing in the file takes long."""
    known = tomllib.loads(path.read_text()).get("parameters", {})
    quick = {"delay_ms": 20, "for_s": 0.3}
    return {name: quick[name] for name in known if name in quick}


def gpus_of(scenario):
    return [gpu for gpu in scenario.get("gpu", []) for _ in range(gpu.get("count", 1))]


def refusal(scenario, index, gpu, symbol):
    """The name of the code that the file gives to this call, or SUCCESS."""
    if symbol in scenario.get("driver", {}).get("absent", []):
        return "FUNCTION_NOT_FOUND"
    for fault in scenario.get("fault", []):
        for_ever = fault.get("after_s", 0) == 0 and "for_s" not in fault and fault.get("every", 1) == 1
        if "return" not in fault or not for_ever:
            continue
        calls, struck = fault["call"], fault.get("gpu", "all")
        calls = [calls] if isinstance(calls, str) else calls
        struck = [struck] if isinstance(struck, int) else struck
        if (struck == "all" or index in struck) and ("*" in calls or symbol in calls):
            if symbol not in fault.get("except", []):
                return fault["return"]
    return gpu.get("returns", {}).get(symbol, "SUCCESS")


def curve_range(gpu, key, scale):
    curve = gpu.get(key)
    if curve is None:
        return None
    if not isinstance(curve, dict):
        return Range(curve * scale, curve * scale)
    idle, busy, noise = curve["idle"], curve.get("busy", curve["idle"]), curve.get("noise", 0)
    high = max(idle, busy) + noise
    if key in FULL_AT_100:
        high = min(high, 100)
    return Range(max(0, min(idle, busy) - noise) * scale, high * scale)


def check_figures(gpu, symbol, answer, codes):
    expected = {name: curve_range(gpu, *where) for name, where in FIGURES[symbol].items()}
    first = next(iter(expected.values()))
    if first is None:
        if answer != {"return": codes["NOT_SUPPORTED"]}:
            yield f"{symbol} is {answer}, the file has no such figure"
        return
    for name, wanted in expected.items():
        wanted = wanted or Range(0, 0)  # a share of memory time that is not told
        value = answer if name == "" else answer.get(name) if isinstance(answer, dict) else None
        if not wanted.holds(value):
            yield f"{symbol}{'.' if name else ''}{name} is {value}, the file says {wanted.low:g} to {wanted.high:g}"


def check_memory(figures, answers, unreserved, where=""):
    """Both structures. `figures` is total, reserved and used in MiB, used as a Range."""
    total, reserved, used = figures
    v1, v2 = answers["nvmlDeviceGetMemoryInfo"], answers["nvmlDeviceGetMemoryInfo_v2"]
    if "return" not in v2:
        if v2["total"] != total * MIB or v2["reserved"] != reserved * MIB:
            yield f"{where}memory v2 is {v2}, the file says {total} MiB and {reserved} reserved"
        if not Range(used.low * MIB, used.high * MIB).holds(v2["used"]):
            yield f"{where}memory v2 is {v2}, the file says {used.low:g} to {used.high:g} MiB used"
        if v2["total"] != v2["reserved"] + v2["free"] + v2["used"]:
            yield f"{where}memory v2 does not add up: {v2}"
    if "return" not in v1:
        hidden = reserved * MIB if unreserved else 0
        if v1["total"] != total * MIB - hidden or v1["total"] != v1["free"] + v1["used"]:
            yield f"{where}memory v1 is {v1}, the file says {total} MiB"
        counted = 0 if unreserved else reserved
        if not Range((used.low + counted) * MIB, (used.high + counted) * MIB).holds(v1["used"]):
            yield f"{where}memory v1 is {v1}, the file says {used.low:g} to {used.high:g} MiB used"


def check_instances(gpu, answers, codes):
    by_slot = {instance["slot"]: instance for instance in gpu.get("mig_instance", [])}
    answers = answers["instances"]
    if len(answers) != (MIG_SLOTS if gpu.get("mig") == "enabled" else 0):
        yield f"{len(answers)} slots for instances"
        return
    for slot, answer in enumerate(answers):
        instance = by_slot.get(slot)
        if instance is None:
            if answer != {"return": codes["NOT_FOUND"]}:
                yield f"slot {slot} is {answer}, the file leaves it empty"
            continue
        name = instance.get("name", f"{gpu['name']} MIG {instance.get('profile')}")
        if answer.get("nvmlDeviceGetName") != name or not answer["nvmlDeviceGetUUID"].startswith("MIG-"):
            yield f"slot {slot} is {answer}, the file says {name}"
            continue
        used = instance["memory_used_mib"]
        yield from check_memory((instance["memory_total_mib"], 0, Range(used, used)), answer, False, f"slot {slot}: ")


def check_mig(gpu, answers, codes):
    mode = gpu.get("mig")
    number = {"disabled": 0, "enabled": 1}.get(mode)
    wanted = {"current": number, "pending": number} if mode else {"return": codes["NOT_SUPPORTED"]}
    if answers["nvmlDeviceGetMigMode"] != wanted:
        yield f"nvmlDeviceGetMigMode is {answers['nvmlDeviceGetMigMode']}, the file says {mode}"
    slots = answers["nvmlDeviceGetMaxMigDeviceCount"]
    if mode and slots != (MIG_SLOTS if mode == "enabled" else 0):
        yield f"nvmlDeviceGetMaxMigDeviceCount is {slots}, the file says {mode}"
    yield from check_instances(gpu, answers, codes)


def check_gpu(scenario, index, gpu, answers, codes):
    refused = {symbol: codes[code] for symbol in (set(answers) | HANDLE) - {"instances", "return"}
               if (code := refusal(scenario, index, gpu, symbol)) != "SUCCESS"}  # fmt: skip
    if "return" in answers or HANDLE <= set(refused):
        if answers != {"return": refused.get(*HANDLE)}:
            yield f"the handle gives {answers}"
        return
    for symbol, code in sorted(refused.items()):
        if symbol in answers and answers[symbol] != {"return": code}:
            yield f"{symbol} is {answers[symbol]}, the file refuses it with {code}"
    for symbol in sorted(set(FIGURES) - set(refused)):
        yield from check_figures(gpu, symbol, answers[symbol], codes)
    if answers["nvmlDeviceGetName"] != gpu["name"]:
        yield f"its name is {answers['nvmlDeviceGetName']}, the file says {gpu['name']}"
    uuid = answers["nvmlDeviceGetUUID"]
    if uuid != gpu.get("uuid", uuid) or not UUID.fullmatch(uuid.removeprefix("GPU-")):
        yield f"its UUID is {uuid}"
    used = curve_range(gpu, "memory_used_mib", 1) or Range(0, 0)
    if "memory_total_mib" in gpu:
        figures = (gpu["memory_total_mib"], gpu.get("memory_reserved_mib", 0), used)
        unreserved = scenario.get("driver", {}).get("memory_v1_total") == "unreserved"
        yield from check_memory(figures, answers, unreserved)
    for symbol in ("nvmlDeviceGetMemoryInfo", "nvmlDeviceGetMemoryInfo_v2"):
        known = "memory_total_mib" in gpu
        if symbol not in refused and ("return" in answers[symbol]) == known:
            yield f"{symbol} is {answers[symbol]}"
    if not any(symbol.startswith("nvmlDeviceGetM") and "Mig" in symbol for symbol in refused):
        yield from check_mig(gpu, answers, codes)


def check(scenario, page, codes):
    """Sentences for whatever a reader saw and the file does not say. `codes` gives NVML's numbers by name."""
    driver = scenario.get("driver", {})
    init = driver.get("init", "SUCCESS")
    if init != "SUCCESS":
        if page != {"init": {"return": codes[init]}}:
            yield f"init gives {page['init']}, the file says {init}"
        return
    gpus = gpus_of(scenario)
    for symbol, key in (("nvmlSystemGetDriverVersion", "version"), ("nvmlSystemGetNVMLVersion", "nvml_version")):
        if page.get(symbol) != driver.get(key):
            yield f"{symbol} is {page.get(symbol)}, the file says {driver.get(key)}"
    if page.get("nvmlDeviceGetCount") != len(gpus) or len(page["gpus"]) != len(gpus):
        yield f"{page.get('nvmlDeviceGetCount')} GPUs, the file has {len(gpus)}"
        return
    for index, (gpu, answers) in enumerate(zip(gpus, page["gpus"], strict=True)):
        yield from (f"GPU {index}: {fault}" for fault in check_gpu(scenario, index, gpu, answers, codes))
