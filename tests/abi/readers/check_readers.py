#!/usr/bin/env python3
"""Reads the simulated driver with NVIDIA's Python binding, with go-nvml and with the product, in every scenario.

usage: check_readers.py --build DIR --binding DIR --go-reader FILE [--root ROOT] [--python-only] [--scenario NAME]...

Each must see what the scenario file says, the two bindings exactly the same, and the product must show it on
/proxy/stats. DIR of --build holds libnvidia-ml.so.1 and gputach. Prints a sentence for each difference; status 1 if
there is one. --python-only leaves out the others, for a driver that was changed on purpose.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys

import product_page
import scenario_truth

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "official"))
import abi_text  # noqa: E402

FROZEN_TIMES_S = [1000, 1003.7]  # moments of the load curves
READ_SECONDS_MAX = 60
# More than the defaults of the files: what a parameter can hide.
VARIANTS = {"a100-mig": [{"memory_return": "NO_PERMISSION"}], "one-gpu-lost": [{"gpu": 0}]}
# The bindings start with another function than the product does.
STARTED_BY_OTHERS = {"nvmlInit_v2": "nvmlInitWithFlags"}


def scenarios(root, names):
    """(label, path, parameters) of each run."""
    for path in sorted((root / "sim/scenarios").glob("*.toml")):
        if names and path.stem not in names:
            continue
        for variant in [{}, *VARIANTS.get(path.stem, [])]:
            parameters = scenario_truth.quick_parameters(path) | variant
            query = "&".join(f"{key}={value}" for key, value in parameters.items())
            yield path.stem + (f"?{query}" if query else ""), path, parameters


def read(command, environment):
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=READ_SECONDS_MAX)
    if done.returncode != 0:
        return {"init": f"the reader ended with status {done.returncode}: {done.stderr[-500:]}"}
    return json.loads(done.stdout)


def differences(one, other, path=""):
    """Where two pages differ, as sentences."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            yield from differences(one.get(key), other.get(key), f"{path}/{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for index, pair in enumerate(zip(one, other, strict=True)):
            yield from differences(*pair, f"{path}/{index}")
    elif one != other:
        yield f"{path.lstrip('/')}: Python reads {one}, Go reads {other}"


def check_texts(page, pynvml):
    """The texts of the codes are the published ones, where there are some."""
    for code, text in pynvml.NVMLError._errcode_to_string.items():
        if page.get("texts", {}).get(str(code), text) != text:
            yield f"nvmlErrorString({code}) is {page['texts'][str(code)]}, not {text}"


def check_calls(root, log, reader):
    """Every function of library.cc was called by this reader in some scenario."""
    nvml = root / "src/sources/nvml"
    used = {symbol for symbol, _ in abi_text.looked_up((nvml / "library.h").read_text(),
                                                       (nvml / "library.cc").read_text())}  # fmt: skip
    called = {line.split()[1] for line in log.read_text().splitlines()}
    for symbol in sorted(used - called):
        if STARTED_BY_OTHERS.get(symbol) not in called:
            yield f"{reader} never called {symbol}, which the product uses"


class Check:
    def __init__(self, options):
        self.options = options
        self.library = str(options.build / "libnvidia-ml.so.1")
        sys.path.insert(0, str(options.binding))
        import pynvml  # the pinned one

        self.pynvml = pynvml
        names = [name for name in dir(pynvml) if name.startswith("NVML_ERROR_")]
        self.codes = {name.removeprefix("NVML_ERROR_"): getattr(pynvml, name) for name in names}
        self.codes["SUCCESS"] = pynvml.NVML_SUCCESS

    def environment(self, scenario, time_s, log):
        kept = {key: value for key, value in os.environ.items() if not key.startswith("GPUTACH_")}
        return kept | {
            "GPUTACH_SIM_SCENARIO": scenario,
            "GPUTACH_SIM_TIME_S": str(time_s),
            "GPUTACH_SIM_CALL_LOG": str(log),
            "PYTHONPATH": str(self.options.binding),
            "PYTHONDONTWRITEBYTECODE": "1",
            "LD_LIBRARY_PATH": str(self.options.build),
        }

    def run(self, label, path, parameters, time_s):
        options = self.options
        truth = scenario_truth.load(path, parameters)
        environment = self.environment(label, time_s, options.build / "python-calls.txt")
        page = read([sys.executable, str(HERE / "read_with_pynvml.py")], environment)
        yield from scenario_truth.check(truth, page, self.codes)
        yield from check_texts(page, self.pynvml)
        if options.python_only:
            return
        environment = self.environment(label, time_s, options.build / "go-calls.txt")
        yield from differences(page, read([str(options.go_reader), self.library], environment))
        environment = self.environment(label, time_s, options.build / "product-calls.txt")
        answer = product_page.fetch(str(options.build / "gputach"), self.library, environment)
        yield from product_page.check(page, *answer, self.codes)

    def all(self):
        logs = {"Python": "python-calls.txt", "Go": "go-calls.txt"}
        for name in [*logs.values(), "product-calls.txt"]:
            (self.options.build / name).unlink(missing_ok=True)
        for label, path, parameters in scenarios(self.options.root, self.options.scenario):
            for time_s in FROZEN_TIMES_S[:1] if self.options.python_only else FROZEN_TIMES_S:
                yield from (f"{label}, {time_s} s: {fault}" for fault in self.run(label, path, parameters, time_s))
        if not self.options.scenario and not self.options.python_only:
            for reader, name in logs.items():
                yield from check_calls(self.options.root, self.options.build / name, reader)


def main(arguments):
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--binding", type=pathlib.Path, required=True)
    parser.add_argument("--go-reader", type=pathlib.Path)
    parser.add_argument("--root", type=pathlib.Path, default=HERE.parents[2])
    parser.add_argument("--python-only", action="store_true")
    parser.add_argument("--scenario", action="append", default=[])
    options = parser.parse_args(arguments)
    options.build = options.build.resolve()
    faults = list(Check(options).all())
    runs = len(list(scenarios(options.root, options.scenario)))
    print("\n".join(faults) if faults else f"readers: all see the same, and what the files say, in {runs} scenarios")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
