#!/usr/bin/env python3
"""Measures gputach beside nginx, a raw epoll loop and HAProxy; see ./dev help bench."""

import argparse
import contextlib
import datetime
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import time

import gate
import instructions
import machine
import report
import servers
import targets
import targets_proxy
from target import verdict

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
RESULTS = ROOT / "docs" / "results"
SUITES = {"http": targets.CELLS, "proxy": targets_proxy.CELLS}


class Bench:
    """What every cell needs to know."""

    root = ROOT
    stack = contextlib.ExitStack
    server_processor = servers.SERVER_PROCESSOR
    generator_processor = servers.GENERATOR_PROCESSOR

    def __init__(self, options):
        self.build = options.build.resolve()
        self.bundle = options.bundle and options.bundle.resolve()
        self.work = options.work.resolve()
        self.quick = options.quick
        self.suite = options.suite
        self.rounds, self.seconds = (3, 1) if options.quick else (7, 2)
        self.facts = {}
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True)
        self._logs = 0

    def log_file(self, name):
        self._logs += 1
        return self.work / f"{self._logs}-{name}.log"

    def program(self, name):
        """One of the programs beside this file."""
        path = self.build / "load" / f"load_{name}"
        if not path.exists():
            raise machine.NotRun(f"{path} is not there; ./dev bench builds it")
        return str(path)

    def run(self, command, environment, processor):
        """What a program of our own prints."""
        return subprocess.run(command, env=environment, check=True, text=True, stdout=subprocess.PIPE, timeout=120,
                              stderr=subprocess.DEVNULL, preexec_fn=servers.placement(processor)).stdout


def parse(arguments):
    parser = argparse.ArgumentParser(prog="./dev bench")
    parser.add_argument("--quick", action="store_true", help="short rounds, about three minutes")
    parser.add_argument("suite", nargs="?", choices=SUITES, default="http", help="what is measured; default http")
    parser.add_argument("--only", metavar="CELL", action="append",
                        help="; ".join(f"{name}: {' '.join(cells)}" for name, cells in SUITES.items()))
    parser.add_argument("--gate", action="store_true", help="what CI checks: instructions, and a ratio to nginx")
    parser.add_argument("--record-instructions", action="store_true", help="the count of now is what the gate expects")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "release")
    parser.add_argument("--bundle", type=pathlib.Path, help="the binary whose size is shown")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "build" / "bench-work")
    parser.add_argument("--output", type=pathlib.Path, help="folder for the .md and the .json")
    options = parser.parse_args(arguments)
    if unknown := set(options.only or ()) - set(SUITES[options.suite]):
        parser.error(f"{options.suite} has no cell {', '.join(sorted(unknown))}")
    return options


def measure(bench, names):
    """(outcomes, why the others are missing): one cell that fails does not cost the figures of the rest."""
    outcomes, missing = {}, {}
    for name in names:
        began = time.monotonic()
        try:
            outcomes[name] = SUITES[bench.suite][name](bench)
        except machine.NotRun as reason:
            missing[name] = f"NOT RUN: {reason}"
        except (RuntimeError, OSError, subprocess.SubprocessError) as failure:
            missing[name] = f"FAILED: {failure}"
        if name in missing:
            print(f"{name}: {missing[name]}", flush=True)
            continue
        print(f"{name}: {time.monotonic() - began:.0f} s" + (", noisy" if outcomes[name].noisy else ""), flush=True)
        for target, _, figure in report.target_rows({name: outcomes[name]}):
            words = report.VERDICTS[verdict(target, figure.median)]
            print(f"  {target.what}: {report.with_quartiles(figure, target.digits)} {target.unit} {words}", flush=True)
    return outcomes, missing


def niceness():
    """Which one servers and generators really get."""
    placed = subprocess.run(["nice"], check=True, capture_output=True, text=True, preexec_fn=servers.placement(None))
    return int(placed.stdout)


def main(arguments):
    options = parse(arguments)
    bench = Bench(options)
    if options.record_instructions:
        print(instructions.record(bench))
        return 0
    if options.gate:
        return gate.run(bench)
    if len(os.sched_getaffinity(0)) < 2:
        print("NOT RUN: a server and a generator need a processor each")
        return 77
    began, when = time.monotonic(), datetime.datetime.now(datetime.timezone.utc)
    outcomes, missing = measure(bench, options.only or list(SUITES[bench.suite]))
    bench.facts = {
        "when": when.isoformat(timespec="minutes"),
        "minutes": round((time.monotonic() - began) / 60, 1),
        "command": shlex.join(["./dev", "bench", *(["proxy"] if bench.suite == "proxy" else []),
                               *(["--quick"] if options.quick else []),
                               *(word for cell in options.only or () for word in ("--only", cell))]),
        "machine": machine.facts(ROOT) | {"niceness": niceness()},
        "versions": machine.versions("g++"),
    }
    # A part of the cells, or short rounds, never replace the whole.
    whole = not options.quick and not options.only
    folder = options.output or (RESULTS if whole else bench.work)
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / f"{bench.suite}.md"
    page.write_text(report.markdown(bench, outcomes, missing))
    page.with_suffix(".json").write_text(report.as_json(bench, outcomes, missing))
    print(report.summary(outcomes, missing))
    print(f"{page} and {page.stem}.json")
    return 1 if any(reason.startswith("FAILED") for reason in missing.values()) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
