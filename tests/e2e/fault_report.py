#!/usr/bin/env python3
"""Puts the table of faults into docs/operations.md, with the times of the last run of faults_test.py.

usage: fault_report.py [--check]     --check: compare all but the times
"""

import difflib
import json
import os
import pathlib
import platform
import re
import sys

import harness
from fault_table import FAULTS

OPERATIONS = harness.ROOT / "docs" / "operations.md"
BEGIN, END = "<!-- faults: begin; ./dev faults writes what stands between -->\n", "<!-- faults: end -->\n"
HEAD = ["what happens", "`GET /proxy/stats`", "seen after", "other GPUs", "other pages", "over", "after", "log event"]
TIMES = (2, 3, 4, 6)  # these columns are measured


def machine():
    model = next((line.split(":", 1)[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.machine())
    cache = (harness.BUILD / "CMakeCache.txt").read_text()
    build = re.search(r"^CMAKE_BUILD_TYPE:\w+=(\w*)", cache, re.MULTILINE).group(1)
    return f"{os.cpu_count()} CPUs ({model}), Linux {platform.release().split('-')[0]}, {build} build"


def cells(fault, record):
    def measured(key, unit):
        if "not_run" in record:
            return "not run"
        return f"{record[key]} {unit}" if record.get(key) is not None else "–"

    sees = "; or ".join(dict.fromkeys(s.text() for s in fault.sees))
    return [fault.what, sees, measured("seen_s", "s"), measured("others_s", "s"), measured("quick_ms", "ms"),
            fault.back, measured("back_s", "s"), f"`{fault.log}`" if fault.log else ""]


def table(records):
    rows = [HEAD, ["---"] * len(HEAD)] + [cells(fault, records.get(fault.what, {})) for fault in FAULTS]
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)


def without_times(text):
    def strip(line):
        columns = line.strip("|\n ").split(" | ")
        return " | ".join(c for i, c in enumerate(columns) if i not in TIMES)

    return [strip(line) for line in text.splitlines() if line.startswith("| ")]


def difference():
    """Empty when the document has these rows."""
    text = OPERATIONS.read_text()
    if BEGIN not in text or END not in text:
        return f"{OPERATIONS} lacks its markers"
    written = text.split(BEGIN)[1].split(END)[0]
    wanted = without_times(table({}))
    return "\n".join(difflib.unified_diff(without_times(written), wanted, "docs", "table", lineterm=""))


def main():
    if sys.argv[1:] == ["--check"]:
        sys.exit(difference() or 0)
    records = json.loads((harness.BUILD / "faults.json").read_text())
    by_name = {record["what"]: record for record in records["faults"]}
    if missing := [fault.what for fault in FAULTS if fault.what not in by_name]:
        sys.exit("not measured: " + "; ".join(missing))
    before, rest = OPERATIONS.read_text().split(BEGIN)
    after = rest.split(END)[1]
    measured = f"Measured with `./dev faults` on {records['machine']}.\n\n"
    OPERATIONS.write_text(before + BEGIN + measured + table(by_name) + END + after)


if __name__ == "__main__":
    main()
