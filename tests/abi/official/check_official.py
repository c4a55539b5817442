#!/usr/bin/env python3
"""Holds abi.h against NVIDIA's own nvml.h, at compile time.

usage: check_official.py --cache DIR [--root ROOT] [--compiler CXX]... [--reference-only] [--write-missing]
       check_official.py --completeness-only [--root ROOT]

The second form needs no header. DIR is what ./dev abi has filled: headers/REQUIREMENT/nvml.h and binding/pynvml.py.
Each compiler stands for one machine (default: c++ and aarch64-linux-gnu-g++). Prints a sentence for each difference;
status 1 if there is one.
"""

import argparse
import pathlib
import re
import subprocess
import sys

import abi_text

HERE = pathlib.Path(__file__).resolve().parent
COMPILE_SECONDS_MAX = 120
COMPILERS = ["c++", "aarch64-linux-gnu-g++"]

# Words of the library's own texts that neither the header nor the Python binding has.
LIBRARY_WORDS = {"operating_system": {"access"}, "in_use": {"by", "another", "client"}}


def read_versions(path=HERE.parent / "versions.txt"):
    rows = [line.split() for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return [(role, requirement) for role, requirement, _ in rows]


def check_completeness(root, rows):
    """The headers and the table name the same things, and every function in use has its signature checked."""
    nvml = root / "src/sources/nvml"
    named = {(row.kind, row.ours) for row in rows if row.kind != "header"}
    declared = set()
    headers = {row.ours: row.theirs for row in rows if row.kind == "header"}
    for header, namespace in headers.items():
        try:
            found = list(abi_text.declarations((root / header).read_text(), namespace))
        except (ValueError, OSError) as error:
            yield f"{header}: {error}"
            return
        declared |= set(found)
        for kind, name in found:
            if not {(kind, name), ("ours", name)} & named:
                yield f"{header} declares {kind} {name}, which no row of abi_table.txt names"
    declared |= {("ours", name) for _, name in declared}
    for kind, name in sorted(named - declared):
        yield f"abi_table.txt names {kind} {name}, which no header declares"
    looked_up = abi_text.looked_up((nvml / "library.h").read_text(), (nvml / "library.cc").read_text())
    functions = {(row.theirs, row.ours) for row in rows if row.kind == "function"}
    for symbol, kind in looked_up:
        if (symbol, kind) not in functions:
            yield f"library.cc takes {symbol} for a {kind}, which no row of abi_table.txt says"
    fake = abi_text.defined(root / "sim")
    exported = abi_text.exported((root / "sim/symbols.h").read_text())
    for symbol in set(exported) ^ {symbol for symbol, _ in fake}:
        yield f"the simulated driver's {symbol} stands in one of symbols.h and fake_nvml*.cc only"


def assertions_of(row, members):
    """C++ for one row."""
    ours, theirs = row.ours, row.theirs
    if row.kind == "enum":
        yield f"sizeof({ours}) == sizeof({theirs}) && alignof({ours}) == alignof({theirs})"
    elif row.kind in ("value", "number"):
        yield f"same_number({ours}, {theirs})"
    elif row.kind == "handle":
        yield f"sizeof({ours}) == sizeof({theirs}) && std::is_pointer_v<{ours}> && std::is_pointer_v<{theirs}>"
    elif row.kind == "struct":
        yield f"same_layout<{ours}, {theirs}>()"
        yield f"member_count_{ours}({{}}, {{}}) == {len(members)}"
    elif row.kind == "member":
        ours, _, name = ours.partition("::")
        theirs, _, their_name = theirs.partition("::")
        yield f"offsetof({ours}, {name}) == offsetof({theirs}, {their_name})"
        yield f"same_value<decltype({ours}::{name}), decltype({theirs}::{their_name})>()"
    elif row.kind == "function":
        yield f"SameFunction<{ours}, decltype(::{theirs})>::value"


def translation_unit(rows, fake):
    """A file that compiles only where abi.h and nvml.h agree. Every assertion says which row it comes from."""
    out = ["#define NVML_NO_UNVERSIONED_FUNC_DEFS  // plain names stay plain", "#include <nvml.h>"]
    headers = [row for row in rows if row.kind == "header"]
    # In angle brackets, so that the folder in which the check runs has no say in which file is meant.
    out += [f"#include <{row.ours.removeprefix('src/')}>" for row in headers]
    out += ["#include <same_abi.h>", "namespace gputach::abi_check {"]
    out += [f"using namespace {row.theirs};" for row in headers]
    for row in rows:
        if row.kind in ("enum", "handle", "struct"):
            out.append(f"template <> struct Official<{row.ours}> {{ using type = {row.theirs}; }};")
    members = {row.ours: [r for r in rows if r.kind == "member" and r.ours.startswith(row.ours + "::")]
               for row in rows if row.kind == "struct"}  # fmt: skip
    for row in rows:
        if row.kind == "struct":
            names = [f"m{i}" for i in range(len(members[row.ours]))]
            # A structured binding compiles for the exact number of members only.
            out.append(f"constexpr int member_count_{row.ours}({row.ours} ours, {row.theirs} theirs) {{")
            out.append(f"  {{ auto& [{', '.join(names)}] = ours; }} {{ auto& [{', '.join(names)}] = theirs; }}")
            out.append(f"  return {len(names)};\n}}")
        for condition in assertions_of(row, members.get(row.ours, [])):
            out.append(f'static_assert({condition}, "{row.kind} {row.ours} is not {row.theirs}");')
    for symbol, signature in fake:
        out.append(f'static_assert(SameFunction<{signature}, decltype(::{symbol})>::value, "simulated {symbol}");')
    return "\n".join([*out, "}  // namespace gputach::abi_check", ""])


def compile_only(compiler, root, header, text):
    """The failed assertions, or what else the compiler says; empty where it is content."""
    command = [compiler, "-std=c++23", "-fsyntax-only", "-w", f"-I{root / 'src'}", f"-I{root}", f"-I{HERE}"]
    command += ["-isystem", str(header.parent), "-x", "c++", "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=COMPILE_SECONDS_MAX)
    if done.returncode == 0:
        return []
    return re.findall(r"error: (?:static assertion failed: )?(.*)", done.stderr) or [done.stderr]


def present(header_text):
    """A predicate: whether a name is declared. Comments mention names of later versions."""
    words = set(re.findall(r"\w+", abi_text.cpp_text.without_comments(header_text)))
    return lambda row: row.kind in ("header", "ours") or row.theirs.partition("::")[0] in words


def check_header(root, role, requirement, header, rows, compilers):
    text = header.read_text(encoding="utf-8", errors="replace")
    known = present(text)
    missing = [row for row in rows if not known(row)]
    fake = abi_text.defined(root / "sim")
    if role == "reference":
        for row in missing:
            yield f"{requirement} has no {row.theirs}"
    if role in ("reference", "newest"):
        values = {row.theirs for row in rows if row.kind == "value"}
        for name in re.findall(r"^\s*(NVML_(?:SUCCESS|ERROR_\w+))\s*=", text, re.M):
            if name not in values:
                yield f"{requirement} has {name}, which abi_table.txt does not name"
    words = set(re.findall(r"\w+", abi_text.cpp_text.without_comments(text)))
    unit = translation_unit([row for row in rows if known(row)], [f for f in fake if f[0] in words])
    for compiler in compilers:
        for fault in compile_only(compiler, root, header, unit):
            yield f"{requirement}, {compiler}: {fault}"


def missing_page(cache, rows):
    """Which declarations the headers before the reference do not have yet."""
    lines = ["# What abi.h declares and older headers lack; check_official.py compares, --write-missing rewrites."]
    for role, requirement in read_versions():
        if role == "older":
            known = present(header_of(cache, requirement).read_text(encoding="utf-8", errors="replace"))
            names = [row.theirs for row in rows if not known(row) and row.kind != "member"]
            lines += ["", f"{requirement}:", *(f"  {name}" for name in names or ["nothing"])]
    return "\n".join(lines) + "\n"


def header_of(cache, requirement):
    return cache / "headers" / requirement / "nvml.h"


def check_texts(root, cache, header_text):
    """Return texts are the binding's, or consist of words with which the header describes the code."""
    sys.path.insert(0, str(cache / "binding"))
    import pynvml  # the pinned one

    published = pynvml.NVMLError._errcode_to_string
    comments = dict(re.findall(r"NVML_(?:ERROR_)?(\w+)\s*=\s*\d+,?\s*//!< (.*)", header_text))
    for name, text in abi_text.return_texts((root / "src/sources/nvml/returns.cc").read_text()).items():
        official = "NVML_SUCCESS" if name == "success" else "NVML_ERROR_" + name.upper()
        if published.get(getattr(pynvml, official)) == text:
            continue
        source = f"{name.replace('_', ' ')} {comments.get(name.upper(), '')}".lower()
        if name == "freq_not_supported":
            source += " frequency"  # what FREQ stands for
        unknown = set(re.findall(r"\w+", text.lower())) - set(re.findall(r"\w+", source))
        unknown -= LIBRARY_WORDS.get(name, set())
        if unknown:
            yield f'returns.cc: "{text}" for {official}: "{" ".join(sorted(unknown))}" is in no published text'


def check(options):
    rows = abi_text.read_table()
    yield from check_completeness(options.root, rows)
    if options.completeness_only:
        return
    for role, requirement in read_versions():
        if role == "binding" or (options.reference_only and role != "reference"):
            continue
        header = header_of(options.cache, requirement)
        yield from check_header(options.root, role, requirement, header, rows, options.compiler)
        if role == "reference":
            yield from check_texts(options.root, options.cache, header.read_text())
    if options.reference_only:
        return
    page, golden = missing_page(options.cache, rows), HERE / "missing.txt"
    if options.write_missing:
        golden.write_text(page)
    elif golden.read_text() != page:
        yield f"{golden.name} differs from the headers; --write-missing rewrites it:\n{page}"


def main(arguments):
    parser = argparse.ArgumentParser()
    parser.add_argument("--cache", type=pathlib.Path)
    parser.add_argument("--completeness-only", action="store_true")
    parser.add_argument("--root", type=pathlib.Path, default=HERE.parents[2])
    parser.add_argument("--compiler", action="append")
    parser.add_argument("--reference-only", action="store_true")
    parser.add_argument("--write-missing", action="store_true")
    options = parser.parse_args(arguments)
    if options.cache is None and not options.completeness_only:
        parser.error("--cache is needed")
    options.compiler = options.compiler or COMPILERS
    faults = list(check(options))
    versions = ", ".join(requirement for role, requirement in read_versions() if role != "binding")
    done = f"our declarations are those of {versions} for {', '.join(options.compiler)}"
    if options.completeness_only:
        done = "each declaration of NVML has its row in abi_table.txt"
    print("\n".join(faults) if faults else f"abi: {done}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
