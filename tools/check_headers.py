#!/usr/bin/env python3
"""Checks that every header compiles on its own, and twice: it includes what it uses and guards itself.

usage: check_headers.py [--root ROOT] [--compiler CXX]      status 1 if a header does not compile
"""

import argparse
import concurrent.futures
import os
import pathlib
import subprocess
import sys

COMPILE_SECONDS_MAX = 120


def compile_alone(compiler, root, header):
    """What the compiler says about a file that holds nothing but this header; empty if it is content."""
    command = [compiler, "-std=c++23", "-fsyntax-only", "-Wall", "-Wextra", "-Werror"]
    command += [f"-I{root / 'src'}", f"-I{root / 'sim'}", "-x", "c++", "-"]
    text = f'#include "{header}"\n#include "{header}"\n'
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=COMPILE_SECONDS_MAX)
    return "" if done.returncode == 0 else done.stderr


def check(compiler, root):
    headers = sorted(h for folder in ("src", "sim") for h in (root / folder).rglob("*.h"))
    with concurrent.futures.ThreadPoolExecutor(max_workers=min(2, os.cpu_count() or 1)) as pool:
        complaints = pool.map(lambda header: compile_alone(compiler, root, header), headers)
        for header, complaint in zip(headers, complaints):
            if complaint:
                yield f"{header.relative_to(root)} does not compile on its own:\n{complaint}"


def main(arguments):
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent)
    parser.add_argument("--compiler", default="c++")
    options = parser.parse_args(arguments)
    faults = list(check(options.compiler, options.root.resolve()))
    print("\n".join(faults) if faults else "headers: each compiles on its own")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
