#!/usr/bin/env python3
"""Checks that every #include, third-party header and reserved name keeps to tools/layers.txt.

usage: check_layers.py [ROOT]      prints file:line: sentence for each violation, status 1 if there is one
"""

import fnmatch
import pathlib
import re
import sys

import cpp_text

# Folders of <...> headers that belong to the operating system.
SYSTEM_FOLDERS = {"arpa", "asm", "linux", "net", "netinet", "sys"}
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)


def read_table(path):
    """The sections of layers.txt, each a dict of left side -> list of words on the right side, in file order."""
    sections, section = {}, None
    for line in path.read_text().splitlines():
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if re.fullmatch(r"\[\w+\]", line):
            section = sections.setdefault(line[1:-1], {})
        else:
            left, _, right = line.partition(" <-")
            section[left.strip()] = right.split()
    return sections


def check_table(layers):
    """The table itself: data flows down the list, and sources do not know each other."""
    seen = set()
    for folder, sources in layers.items():
        for source in sources:
            if source not in seen:
                yield f"tools/layers.txt: {folder} takes from {source}, which does not stand above it"
            if folder.startswith("sources/") and source.startswith("sources/"):
                yield f"tools/layers.txt: {folder} takes from {source}, but sources must not know each other"
        seen.add(folder)


def check_cmake(root, layers):
    """CMake links what the table lets a folder include: neither more nor less, nor another list of folders."""
    text = re.sub(r"#.*", "", (root / "CMakeLists.txt").read_text())
    linked = {words[0]: words[1:] for words in map(str.split, re.findall(r"gputach_layer\(([^)]*)\)", text))}
    for folder in sorted(linked.keys() | layers.keys()):
        if set(linked.get(folder, ["(no line)"])) != set(layers.get(folder, ["(no line)"])):
            yield (
                f"CMakeLists.txt: gputach_layer({folder}) links '{' '.join(linked.get(folder, ['(no line)']))}', "
                f"tools/layers.txt says '{' '.join(layers.get(folder, ['(no line)']))}'"
            )


def layer_of(path, layers):
    """'src/sources/nvml/x.cc' -> 'sources/nvml'; None where the table has no such folder."""
    folder = path.parent.relative_to("src").as_posix()
    return folder if folder in layers else None


def may_write(path, patterns):
    return any(fnmatch.fnmatch(path.as_posix(), pattern) for pattern in patterns)


def check_own_include(root, path, included, table):
    target = pathlib.PurePosixPath("src") / included
    if path.parts[0] == "tests":
        return None
    if path.parts[0] != "src":
        beside = (root / path.parent / included).exists() or (root / path.parts[0] / included).exists()
        if beside or included in table["outside"].get(path.parts[0], []):
            return None
        return f"{path.parts[0]} must not include {included}"
    if not (root / target).exists():
        return f'"{included}" is not a path below src/'
    own, theirs = layer_of(path, table["layers"]), layer_of(target, table["layers"])
    if own == theirs or theirs in table["layers"][own] or included in table["layers"][own]:
        return None
    return f"{own} must not include {included}"


def check_system_include(path, included, headers):
    for prefix, patterns in headers.items():
        if included == prefix or (prefix.endswith("/") and included.startswith(prefix)):
            return None if may_write(path, patterns) else f"<{included}> belongs only in {' '.join(patterns)}"
    folder, slash, _ = included.partition("/")
    if slash and folder not in SYSTEM_FOLDERS:
        return f"<{included}> is not in the table of third-party headers (tools/layers.txt)"
    return None


def check_file(root, path, table):
    text = (root / path).read_text()
    code = cpp_text.without_comments_and_literals(text)
    if path.parts[0] == "src" and layer_of(path, table["layers"]) is None:
        yield f"{path}:1: the folder has no row in tools/layers.txt"
        return
    for match in INCLUDE.finditer(code):
        own, system = match.groups()
        if own:
            fault = check_own_include(root, path, own, table)
        else:
            fault = check_system_include(path, system, table["headers"])
        if fault:
            yield f"{path}:{cpp_text.line_of(code, match.start())}: {fault}"
    if path.parts[0] == "src":
        for name, patterns in table["names"].items():
            for match in re.finditer(name, code):
                if not may_write(path, patterns):
                    line = cpp_text.line_of(code, match.start())
                    yield f"{path}:{line}: '{match.group()}' belongs only in {' '.join(patterns)}"


def check(root):
    table = read_table(root / "tools/layers.txt")
    yield from check_table(table["layers"])
    yield from check_cmake(root, table["layers"])
    for folder in ("src", *table["outside"], "tests"):
        for file in sorted((root / folder).rglob("*")):
            if file.suffix in (".cc", ".h"):
                yield from check_file(root, pathlib.PurePosixPath(file.relative_to(root).as_posix()), table)


def main(arguments):
    root = pathlib.Path(arguments[0]) if arguments else pathlib.Path(__file__).resolve().parent.parent
    faults = list(check(root))
    print("\n".join(faults) if faults else "layers: every include keeps to tools/layers.txt")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
