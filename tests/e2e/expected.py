"""What a page must say, computed from the scenario's text and nothing else: a second, slow implementation of the load
curves of the simulated driver and of the meaning of each field, with which the binary has to agree.
"""

import math
import re
import tomllib

import harness

MASK = (1 << 64) - 1
LOAD_STREAM, UUID_STREAM = 0x10AD, 0x1DED
# A curve's noise depends on its place in this list.
CURVES = ("utilization_percent", "memory_utilization_percent", "memory_used_mib", "temperature_c", "power_w",
          "power_limit_w", "enforced_power_limit_w", "fan_percent", "encoder_percent", "decoder_percent")  # fmt: skip

KEYS = ("index", "name", "uuid", "utilization_percent", "memory_used_mb", "memory_total_mb", "memory_util_percent",
        "temperature_c", "power_draw_w", "power_limit_w", "fan_speed_percent", "encoder_util_percent",
        "decoder_util_percent")  # fmt: skip
TEXT_KEYS = ("name", "uuid")
FLOAT_KEYS = ("utilization_percent", "memory_util_percent", "power_draw_w", "power_limit_w")

# The page as a regular language: nothing optional but what the document calls so, no space anywhere.
_TEXT = r'"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-f]{4})*"'
_INT = r"(?:0|[1-9][0-9]*)"
_FLOAT = r"(?:0|[1-9][0-9]*)\.[0-9]{1,3}"
_TIME = r"[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]\.[0-9]{6}Z"


def _list(item):
    return rf"(?:{item}(?:,{item})*)?"


def _value(key):
    return _TEXT if key in TEXT_KEYS else _FLOAT if key in FLOAT_KEYS else _INT


def _gpu(more=""):
    return r"\{" + ",".join(f'"{key}":{_value(key)}' for key in KEYS) + more + r"\}"


_ERROR = rf'\{{"index":{_INT},"uuid":{_TEXT},"error":{_TEXT}\}}'
_PAGE = r'\{{"timestamp":"{time}","gpus":\[{gpus}\](?:,"errors":\[{error}(?:,{error})*\])?\}}'
PAGE = re.compile(_PAGE.format(time=_TIME, gpus=_list(_gpu()), error=_ERROR).encode())
PAGE_WITH_MISSING = re.compile(
    _PAGE.format(time=_TIME, gpus=_list(_gpu(rf',"unsupported":\[{_list(_TEXT)}\]')), error=_ERROR).encode())
ERROR_PAGE = re.compile(rf'\{{"error":{_TEXT}\}}'.encode())


def _mix(x):  # splitmix64's finaliser
    x = (x + 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ x >> 30) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ x >> 27) * 0x94D049BB133111EB) & MASK
    return x ^ x >> 31


def _hash(seed, a, b, c):
    return _mix(_mix(_mix(_mix(seed) ^ a) ^ b) ^ c)


def _unit(bits):
    return (bits >> 11) * 2.0**-53


def _load(load, seed, gpu, time_s):
    period, within = divmod(time_s / load["period_s"], 1)
    before = _unit(_hash(seed, LOAD_STREAM, gpu, int(period)))
    after = _unit(_hash(seed, LOAD_STREAM, gpu, int(period) + 1))
    return load["low"] + (load["high"] - load["low"]) * (before + (after - before) * within**2 * (3 - 2 * within))


def _lagged(load, seed, gpu, time_s, lag_s):
    if lag_s == 0:
        return _load(load, seed, gpu, time_s)
    points = [(math.exp(-4 * i / 24), _load(load, seed, gpu, time_s - 4 * i / 24 * lag_s)) for i in range(24)]
    return sum(w * v for w, v in points) / sum(w for w, _ in points)


def _uuid(seed, gpu):
    high, low = _hash(seed, UUID_STREAM, gpu, 0), _hash(seed, UUID_STREAM, gpu, 1)
    digits = f"{high:016x}{low:016x}"
    return "GPU-" + "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _nearest(value):
    return math.floor(value + 0.5)


class Board:
    """One GPU of a scenario at the frozen moment; figures in NVML's integers, None for NOT_SUPPORTED."""

    def __init__(self, table, seed, index):
        self._table, self._seed, self._index = table, seed, index

    def figure(self, key, per_unit=1):
        curve = self._table.get(key)
        if curve is None:
            return None
        curve = curve if isinstance(curve, dict) else {"idle": curve, "busy": curve}
        sample = int(harness.FROZEN_TIME_S / 0.1)
        load = _lagged(self._table["load"], self._seed, self._index, sample * 0.1, curve.get("lag_s", 0))
        noise = 2 * _unit(_hash(self._seed, CURVES.index(key), self._index, sample)) - 1
        value = curve["idle"] + (curve["busy"] - curve["idle"]) * load + curve.get("noise", 0) * noise
        return _nearest(max(0.0, value) * per_unit)

    def percent(self, key):
        value = self.figure(key)
        return None if value is None else min(value, 100)

    def row(self):
        """The object of the page; a figure that the board does not have is 0."""
        table = self._table
        total = table.get("memory_total_mib", 0) << 20
        used = min(self.figure("memory_used_mib", 1 << 20) or 0, total - (table.get("memory_reserved_mib", 0) << 20))
        limit = self.figure("power_limit_w", 1000)
        return {
            "index": self._index,
            "name": table["name"] + " (simulated)",
            "uuid": _uuid(self._seed, self._index),
            "utilization_percent": float(self.percent("utilization_percent") or 0),
            "memory_used_mb": used >> 20,
            "memory_total_mb": total >> 20,
            "memory_util_percent": _nearest(used / total * 100_000) / 1000 if total else 0.0,
            "temperature_c": self.figure("temperature_c") or 0,
            "power_draw_w": (self.figure("power_w", 1000) or 0) / 1000,
            "power_limit_w": (limit or 0) / 1000,
            "fan_speed_percent": self.percent("fan_percent") or 0,
            "encoder_util_percent": self.percent("encoder_percent") or 0,
            "decoder_util_percent": self.percent("decoder_percent") or 0,
        }


def rows(scenario):
    """The list `gpus` that a healthy daemon shows for a scenario of sim/scenarios at the frozen moment."""
    text = (harness.ROOT / "sim" / "scenarios" / f"{scenario}.toml").read_text()
    parsed = tomllib.loads(text)
    boards = [table for table in parsed.get("gpu", []) for _ in range(table.get("count", 1))]
    return [Board(table, parsed["seed"], index).row() for index, table in enumerate(boards)]


def dictionary_of_inner_lists(text):
    """RFC 8941 section 4.2.2, as far as a field may use it here: key=(1 2 3), ..."""
    result, rest = {}, text
    while rest:
        match = re.match(r"([a-z*][a-z0-9_.*-]*)=\(([0-9 ]*)\)(?:[ \t]*,[ \t]*(?=.)|$)", rest)
        if not match:
            raise AssertionError(f"not a dictionary of lists of integers: {text!r}")
        result[match.group(1)] = [int(number) for number in match.group(2).split()]
        rest = rest[match.end() :]
    return result
