"""What is broken on purpose to see the ABI checks fail: single edits of abi.h, of the simulated driver and of the table
of units in readers.cc.
"""

import re
from typing import NamedTuple

ABI = "src/sources/nvml/abi.h"
READERS = "src/sources/nvml/readers.cc"
FAKE = "sim/fake_nvml.cc"


class Mutant(NamedTuple):
    name: str
    file: str
    edits: tuple  # (old, new), each found exactly once
    scenarios: tuple = ()  # where a reader sees it
    quick: bool = False  # among those that every run tries
    order: tuple = ()  # of the members of a changed structure; initialisers have to follow it


def swap(first, second):
    """Two texts change places; neither may hold the other."""
    return ((first, "\0"), (second, first), ("\0", second))


def codes(first, first_number, second, second_number):
    return ((f" {first} = {first_number},", f" {first} = {second_number},"),
            (f" {second} = {second_number},", f" {second} = {first_number},"))  # fmt: skip


# Each is seen from outside, by NVIDIA's Python binding alone.
SEEN_BY_READERS = [
    Mutant("enum: NOT_SUPPORTED and NO_PERMISSION", ABI, codes("not_supported", 3, "no_permission", 4),
           ("gb10",), True),
    Mutant("enum: GPU_IS_LOST and RESET_REQUIRED", ABI, codes("gpu_is_lost", 15, "reset_required", 16),
           ("one-gpu-lost",)),
    Mutant("enum: DRIVER_NOT_LOADED and TIMEOUT", ABI, codes("driver_not_loaded", 9, "timeout", 10),
           ("driver-not-loaded",)),
    Mutant("enum: NOT_FOUND and INSUFFICIENT_SIZE", ABI, codes("not_found", 6, "insufficient_size", 7), ("a100-mig",)),
    Mutant("enum: MIG on and off", ABI, (("mig_disabled = 0", "mig_disabled = 1"),
                                         ("mig_enabled = 1", "mig_enabled = 0")), ("a100-mig", "h100x8-busy")),
    Mutant("enum: another temperature sensor", ABI, (("sensor_gpu = 0", "sensor_gpu = 1"),), ("h100x8-busy",)),
    Mutant("order: Utilization", ABI, swap("std::uint32_t gpu;", "std::uint32_t memory;"), ("h100x8-busy",),
           order=("memory", "gpu")),
    Mutant("order: Memory", ABI, (("std::uint64_t total;\n  std::uint64_t free;\n  std::uint64_t used;\n};",
                                   "std::uint64_t total;\n  std::uint64_t used;\n  std::uint64_t free;\n};"),),
           ("h100x8-busy",), order=("total", "used", "free")),
    Mutant("order: MemoryV2", ABI, (("reserved;\n  std::uint64_t free;", "free;\n  std::uint64_t reserved;"),),
           ("h100x8-busy",), True, ("version", "total", "free", "reserved", "used")),
    Mutant("order: TemperatureV1", ABI, swap("std::int32_t sensor_type;", "std::int32_t temperature;"),
           ("h100x8-busy",), order=("version", "temperature", "sensor_type")),
    Mutant("version: MemoryV2", ABI, (("struct_version<MemoryV2>(2)", "struct_version<MemoryV2>(1)"),),
           ("h100x8-busy",), True),
    Mutant("version: TemperatureV1", ABI, (("struct_version<TemperatureV1>(1)", "struct_version<TemperatureV1>(2)"),),
           ("h100x8-busy",)),
    Mutant("unit: the driver tells power in watts", FAKE,
           (("figure(access, metric, 1000)", "figure(access, metric, 1)"),), ("h100x8-busy",), True),
]  # fmt: skip

# Each is seen on /proxy/stats, next to what the Python binding reads.
SEEN_BY_PRODUCT = [
    Mutant("unit: power is taken for watts", READERS, (("Group::power,       0, 1000}", "Group::power, 0, 1}"),),
           ("h100x8-busy",), True),
    Mutant("unit: the limit is taken for watts", READERS,
           (("Group::power_limit, 0, 1000}", "Group::power_limit, 0, 1}"),), ("h100x8-busy",)),
    Mutant("unit: utilization is taken for per mille", READERS,
           (("Group::utilization, 0, 100}", "Group::utilization, 0, 1000}"),), ("h100x8-busy",)),
    Mutant("unit: the fan is taken for per mille", READERS, (("Group::fan,         0, 100,", "Group::fan, 0, 1000,"),),
           ("rtx4090",)),
    Mutant("part: memory utilization for that of the GPU", READERS,
           (("Group::utilization, 0, 100}", "Group::utilization, 1, 100}"),), ("h100x8-busy",)),
    Mutant("part: total memory for used", READERS, (("Group::memory,      0, 1}", "Group::memory, 1, 1}"),),
           ("h100x8-busy",)),
    Mutant("order: the older memory call first", READERS,
           swap('{Group::memory,      "GetMemoryInfo_v2",        ask_whole<ask_memory_v2>}',
                '{Group::memory,      "GetMemoryInfo",           ask_whole<ask_memory_v1>}'), ("h100x8-busy",)),
]  # fmt: skip


def with_order(text, order):
    """C++ text with designated initialisers of these members in this order."""

    def sorted_designators(match):
        parts = re.split(r",\s*(?=\.)", match.group(1).strip())
        names = [re.match(r"\.(\w+) = ", part) for part in parts]
        if not all(names) or not {name.group(1) for name in names} <= set(order):
            return match.group()
        return "{" + ", ".join(sorted(parts, key=lambda part: order.index(re.match(r"\.(\w+)", part).group(1)))) + "}"

    return re.sub(r"\{(\s*\.\w+ = [^{}]*)\}", sorted_designators, text)


def of_text(text, left_out=()):
    """Every single change of a kind that an ABI can suffer, in a header like abi.h without static assertions.

    `left_out` names constants that nvml.h does not have.
    """
    for match in re.finditer(r"^  (\w+) = (\d+),$", text, re.M):
        yield _at(text, match.span(2), str(int(match.group(2)) + 100), f"enumerator {match.group(1)} + 100")
        yield _at(text, match.span(), "", f"enumerator {match.group(1)} gone")
    for match in re.finditer(r"^inline constexpr std::u?int32_t (\w+) = (0x\w+|\d+);", text, re.M):
        if match.group(1) in left_out:
            continue
        yield _at(text, match.span(2), f"{match.group(2)} + 1", f"constant {match.group(1)} + 1")
    for match in re.finditer(r"struct_version<(\w+)>\((\d)\);", text):
        yield _at(text, match.span(2), str(int(match.group(2)) + 1), f"version of {match.group(1)} + 1")
    for match in re.finditer(r"<< 24|\| \(n", text):
        yield _at(text, match.span(), match.group().replace("24", "16").replace("| (", "+ 1 + ("), "the version macro")
    for structure in re.finditer(r"^struct (\w+) \{\n((?:  .*;.*\n)+)\};", text, re.M):
        yield from _of_members(text, structure)
    for match in re.finditer(r"^using (\w+) = [\w: *]+\(([^()]*)\);", text, re.M):
        yield from _of_function(text, match)
    yield f"{text}\nnamespace gputach::nvml {{}}\n", "a second namespace"
    new = "inline constexpr std::uint32_t unheard_of = 1;"
    yield _at(text, (text.rindex("}"),) * 2, new + "\n", "a declaration that no row names")


def _at(text, span, new, name):
    return text[: span[0]] + new + text[span[1] :], name


def _of_members(text, structure):
    name, start = structure.group(1), structure.start(2)
    lines = structure.group(2).splitlines(keepends=True)
    for i, line in enumerate(lines):
        swapped = [*lines[:i], *reversed(lines[i : i + 2]), *lines[i + 2 :]]
        wider = [*lines[:i], line.replace("32_t", "64_t") if "32_t" in line else line.replace("64_t", "32_t"),
                 *lines[i + 1 :]]  # fmt: skip
        gone = [*lines[:i], *lines[i + 1 :]]
        for new, what in ((swapped, "changes places"), (wider, "of another size"), (gone, "gone")):
            if new != lines:
                yield _at(text, (start, structure.end(2)), "".join(new), f"{name}: member {i} {what}")


def _of_function(text, match):
    name, span = match.group(1), match.span(2)
    parameters = [p for p in match.group(2).split(", ") if p]
    yield _at(text, span, ", ".join([*parameters, "std::uint32_t"]), f"{name}: one parameter more")
    for i, parameter in enumerate(parameters):
        others = {parameter[:-1] if parameter.endswith("*") else parameter + "*", parameter.replace("32_t", "64_t")}
        for other in sorted(others - {parameter}):
            changed = ", ".join([*parameters[:i], other, *parameters[i + 1 :]])
            yield _at(text, span, changed, f"{name}: parameter {i} is {other}")
