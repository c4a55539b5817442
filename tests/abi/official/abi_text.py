"""What abi.h and its like declare, what library.cc looks up and what the simulated driver defines, as text; and
abi_table.txt.
"""

import pathlib
import re
import sys
from typing import NamedTuple

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2] / "tools"))
import cpp_text  # noqa: E402  (tools/ is not a package)

KINDS = ("header", "enum", "value", "handle", "struct", "member", "number", "function", "ours")

# Statements of a header, by their beginning. Whatever matches none is refused: nothing may slip through.
STATEMENTS = [
    ("skip", re.compile(r"static_assert\([^;]*\);")),
    ("enum", re.compile(r"enum class (?P<name>\w+) : \w+ \{(?P<body>[^{}]*)\};")),
    ("struct", re.compile(r"struct (?P<name>\w+) \{(?P<body>[^{}]*)\};")),
    ("handle", re.compile(r"using (?P<name>\w+) = struct \w+\*;")),
    ("function", re.compile(r"using (?P<name>\w+) = [^;{}]*\([^;{}]*\);")),
    ("ours", re.compile(r"template <class T>\s*inline constexpr [\w:]+ (?P<name>\w+)\([^;{}]*\) \{[^{}]*\}")),
    ("number", re.compile(r"inline constexpr std::u?int\d+_t (?P<name>\w+) = [^;{}]*;")),
    ("ours", re.compile(r"inline constexpr const char\* (?P<name>\w+) = [^;{}]*;")),
]
ENUMERATOR = re.compile(r"(\w+)\s*=\s*-?\w+\s*,")
MEMBER = re.compile(r"(?:[\w:]+|std::array<\w+, \d+>) (\w+);")


class Row(NamedTuple):
    kind: str
    ours: str
    theirs: str


def read_table(path=HERE / "abi_table.txt"):
    rows = []
    for line in path.read_text().splitlines():
        words = line.split()
        if not words or line.startswith("#"):
            continue
        if words[0] not in KINDS or len(words) != (2 if words[0] == "ours" else 3):
            raise SystemExit(f"{path.name}: not a row: {line}")
        rows.append(Row(words[0], words[1], words[2] if len(words) == 3 else ""))
    return rows


def declarations(text, namespace):
    """(kind, name) of everything that a header declares, in order. Raises ValueError for what it cannot name."""
    code = re.sub(r"^\s*#.*$", "", cpp_text.without_comments(text), flags=re.M)
    body = re.fullmatch(rf"\s*namespace {namespace} \{{(.*)\}}\s*", code, re.S)
    if not body:
        raise ValueError(f"it is not one namespace {namespace}")
    rest = body.group(1).strip()
    while rest:
        for kind, pattern in STATEMENTS:
            match = pattern.match(rest)
            if match:
                break
        else:
            raise ValueError(f"a declaration of an unknown kind: {rest.splitlines()[0]}")
        rest = rest[match.end() :].strip()
        if kind != "skip":
            yield from _named(kind, match)


def _named(kind, match):
    name = match.group("name")
    yield kind, name
    inside = {"enum": ("value", ENUMERATOR), "struct": ("member", MEMBER)}.get(kind)
    if not inside:
        return
    names = inside[1].findall(match.group("body"))
    left = inside[1].sub("", match.group("body")).strip()
    if left:
        raise ValueError(f"{name} holds something of an unknown kind: {left}")
    for one in names:
        yield inside[0], f"{name}::{one}"


def looked_up(library_h, library_cc):
    """(symbol, function type) of each row of the table in library.cc."""
    types = {member: kind for kind, member in re.findall(r"^  (\w+)\* (\w+) = Absent<\w+>::call;", library_h, re.M)}
    symbols = re.findall(r'\{"(nvml\w+)",\s*Need::\w+,\s*assign<&Functions::(\w+)>\}', library_cc)
    if not symbols or len(symbols) != len(types):
        raise ValueError("library.cc and library.h are not understood any more")
    return [(symbol, types[member]) for symbol, member in symbols]


def defined(sim):
    """(symbol, type of the function) of each definition in the simulated driver."""
    code = cpp_text.without_comments("\n".join(file.read_text() for file in sorted(sim.glob("fake_nvml*.cc"))))
    found = re.findall(r"^(Return|const char\*) (nvml\w+)\(([^()]*)\) \{", code, re.M)
    return [(symbol, f"{result}({parameters})") for result, symbol, parameters in found]


def exported(symbols_h):
    return re.findall(r'^\s*"(nvml\w+)",', symbols_h, re.M)


def return_texts(returns_cc):
    return dict(re.findall(r'\{Return::(\w+),\s*"([^"]*)"', returns_cc))
