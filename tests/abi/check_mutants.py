#!/usr/bin/env python3
"""Breaks copies of abi.h, the simulated driver and readers.cc in one place at a time and requires that a check fails.

usage: check_mutants.py --cache DIR --build DIR --work DIR [--all] [--compiler CXX]

Every change of mutants.of_text() must be refused by check_official.py. The others must be seen by check_readers.py: a
changed driver is built anew, a changed readers.cc is linked into the product of --build. Without --all, only the quick
ones of these are tried. The headers' own static assertions are taken out first, so that they do not help.
Prints what caught what; status 1 if something was not caught.
"""

import argparse
import pathlib
import re
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(HERE / "official"), str(HERE / "readers")]
import abi_text  # noqa: E402
import check_official  # noqa: E402
import check_readers  # noqa: E402
import mutants  # noqa: E402

BUILD_SECONDS_MAX = 600
COPIED = ("CMakeLists.txt", "cmake", "src", "sim")
# An assertion or a missing row, as against a text that is no C++ any more.
REFUSAL = re.compile(r"static assertion failed| is not |which no |declaration of an unknown kind|not one namespace")


def run(command, folder):
    done = subprocess.run(command, cwd=folder, shell=isinstance(command, str), capture_output=True, text=True,
                          timeout=BUILD_SECONDS_MAX)  # fmt: skip
    if done.returncode != 0:
        raise SystemExit(f"{command}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


class Scratch:
    """A copy of the sources in which one thing at a time is wrong."""

    def __init__(self, options):
        self.options = options
        self.root = options.work / "tree"
        self.driver = options.work / "driver"  # where the changed driver is built
        self.product = options.work / "product"
        self.caught, self.missed = 0, []
        for name in COPIED:
            self._copy(ROOT / name, self.root / name)
        for header in (self.root / mutants.ABI, *self.root.glob("sim/*.h")):
            self._write(header, re.sub(r"^static_assert\([^;]*\);\n", "", header.read_text(), flags=re.M))

    def _copy(self, source, target):
        """Only what differs, so that a build that has been made before is not made again."""
        files = source.rglob("*") if source.is_dir() else [source]
        wanted = {target / file.relative_to(source): file for file in files if file.is_file()}
        for old in target.rglob("*") if target.is_dir() else []:
            if old.is_file() and old not in wanted:
                old.unlink()
        for copy, file in wanted.items():
            self._write(copy, file.read_text())

    @staticmethod
    def _write(path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)

    def official(self):
        options = argparse.Namespace(cache=self.options.cache, root=self.root, compiler=[self.options.compiler],
                                     reference_only=True, write_missing=False, completeness_only=False)  # fmt: skip
        return list(check_official.check(options))

    def readers(self, build, scenarios, python_only):
        options = argparse.Namespace(build=build, binding=self.options.cache / "binding", root=self.root,
                                     go_reader=self.options.cache / "go-reader", python_only=python_only,
                                     scenario=list(scenarios))  # fmt: skip
        return list(check_readers.Check(options).all())

    def build_driver(self):
        if not (self.driver / "build.ninja").exists():
            command = ["cmake", "-S", str(self.root), "-B", str(self.driver), "-G", "Ninja", "-DGPUTACH_TESTS=OFF"]
            command += ["-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_CXX_FLAGS_DEBUG=-O0"]
            run([*command, *(["-DCMAKE_CXX_COMPILER_LAUNCHER=ccache"] if shutil.which("ccache") else [])], ROOT)
        run(["cmake", "--build", str(self.driver), "--target", "gputach_sim", "--parallel", "2"], ROOT)

    def build_product(self):
        """The product of --build with readers.cc replaced: its own compile and link commands, with other files."""
        build, changed = self.options.build, self.root / mutants.READERS
        commands = run(["ninja", "-t", "commands", "gputach"], build).splitlines()
        compiling = next(c for c in commands if c.endswith(f"-c {ROOT / mutants.READERS}"))
        object_name = re.search(r" -o (\S+)", compiling).group(1)
        self.product.mkdir(parents=True, exist_ok=True)
        ours = self.product / "readers.o"
        compiling = compiling.replace(str(ROOT / mutants.READERS), str(changed)).replace(object_name, str(ours))
        # An object before the archives is taken in place of the archived one.
        linking = commands[-1].replace(" -o gputach ", f" {ours} -o {self.product / 'gputach'} ")
        if str(ours) not in compiling or str(ours) not in linking:
            raise SystemExit("the build's commands are not understood any more")
        run(compiling, build)
        run(linking, build)
        shutil.copy(build / "libnvidia-ml.so.1", self.product)

    def judge(self, name, checker, faults):
        if faults:
            self.caught += 1
            print(f"{name}: caught by {checker}: {faults[0][:160]}")
        else:
            self.missed.append(name)
            print(f"{name}: NOT CAUGHT by {checker}")
        sys.stdout.flush()

    def try_headers(self):
        rows = abi_text.read_table()
        own = {row.ours for row in rows if row.kind == "ours"}
        for name in (row.ours for row in rows if row.kind == "header"):
            header = self.root / name
            text = header.read_text()
            for changed, what in mutants.of_text(text, own):
                header.write_text(changed)
                faults = [fault for fault in self.official() if REFUSAL.search(fault)]
                self.judge(f"{header.name}: {what}", "check_official.py", faults)
            header.write_text(text)

    def try_one(self, mutant, build, where, python_only):
        before = {self.root / mutant.file: (self.root / mutant.file).read_text()}
        changed = before[self.root / mutant.file]
        for old, new in mutant.edits:
            if changed.count(old) != 1:
                raise SystemExit(f"mutant '{mutant.name}': {changed.count(old)} times in {mutant.file}: {old}")
            changed = changed.replace(old, new)
        (self.root / mutant.file).write_text(changed)
        for file in self.root.glob("sim/*.cc") if mutant.order else []:
            before[file] = file.read_text()
            self._write(file, mutants.with_order(before[file], mutant.order))
        try:
            build()
            self.judge(mutant.name, "check_readers.py", self.readers(where, mutant.scenarios, python_only))
        finally:
            for file, text in before.items():
                self._write(file, text)


def chosen(options, candidates):
    return [mutant for mutant in candidates if options.all or mutant.quick]


def main(arguments):
    parser = argparse.ArgumentParser()
    for name in ("--cache", "--build", "--work"):
        parser.add_argument(name, type=lambda text: pathlib.Path(text).resolve(), required=True)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--compiler", default="c++")
    options = parser.parse_args(arguments)
    started = time.monotonic()
    scratch = Scratch(options)
    scratch.build_driver()
    scratch.build_product()
    baseline = [*scratch.official(), *scratch.readers(scratch.driver, (), True)]
    baseline += scratch.readers(scratch.product, ("h100x8-busy", "rtx4090"), False)
    if baseline:
        print("the unchanged copy fails:", *baseline, sep="\n")
        return 1
    scratch.try_headers()
    for mutant in chosen(options, mutants.SEEN_BY_READERS):
        scratch.try_one(mutant, scratch.build_driver, scratch.driver, True)
    for mutant in chosen(options, mutants.SEEN_BY_PRODUCT):
        scratch.try_one(mutant, scratch.build_product, scratch.product, False)
    print(f"mutants: {scratch.caught} caught, {len(scratch.missed)} not, {time.monotonic() - started:.0f} s")
    return 1 if scratch.missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
