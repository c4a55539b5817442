#!/usr/bin/env python3
"""The rules of this house that a compiler does not know: lengths, header contracts, calls and words not wanted.

usage: tidy.py [ROOT]      prints file:line: sentence for each violation, status 1 if there is one
"""

import pathlib
import re
import sys

import cpp_text

FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 400
LINE_CHARACTERS_MAX = 120

CPP = (".cc", ".h")
TEXT = (*CPP, ".py", ".sh", ".cmake")
FOLDERS = ("src", "sim", "tests", "tools", "cmake")
SINGLE_FILES = ("CMakeLists.txt", "dev", ".ci/run")
# These name what they forbid.
WORDS_EXEMPT = ("tools/tidy.py", "tools/tidy_test.py")

# Pattern in code (comments and literals left out), folders it is refused in, what to do instead.
BANNED_CODE = [
    (r"\b(printf|vprintf|puts|putchar)\s*\(", ("src",), "write the log with log_line, everything else with one write"),
    (r"\bcout\b|#\s*include\s*<iostream>", ("src",), "no iostreams; TextBuffer makes text"),
    (r"\b(sleep_for|sleep_until|usleep|nanosleep)\b|(?<![\w.>])sleep\s*\(", ("src", "tests"),
     "wait for a condition, with a deadline"),
    (r"\b(v?sprintf|strcpy|strcat|strncpy|strtok|gets)\s*\(", ("src", "sim", "tests"), "TextBuffer or std::string"),
    (r"(?<![\w.>])s?rand\s*\(", ("src", "sim", "tests"), "a seeded engine from <random>"),
    (r"(?<![\w.>])(system|popen)\s*\(", ("src", "sim", "tests"), "no shells"),
    (r"\batoi\b|\batol\b|\batof\b", ("src", "sim", "tests"), "std::from_chars reports errors"),
]  # fmt: skip

# A line that breaks one of these rules for a good reason ends with it: "// tidy: reason".
EXCUSE = re.compile(r"// tidy: \S.*$")

# Words that promise work instead of doing it; looked for in comments too.
BANNED_WORDS = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|\b(?i:stub|placeholder)(?i:s|bed)?\b")

SCOPE = re.compile(r"\b(namespace|class|struct|union|enum|extern)\b[^()]*$")
CONTROL = re.compile(r"^\s*(if|for|while|switch|catch|else|do|try|return)\b")


def functions(code):
    """Outermost functions of formatted code as (first line, last line). `code` has no comments and no literals.

    A brace opens a function when a parameter list stands before it since the last statement. The formatter puts a
    space before the brace of a block and none before that of an initialiser, which tells the two apart.
    """
    code = re.sub(r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", lambda m: re.sub(r"[^\n]", " ", m.group()), code, flags=re.M | re.S)
    stack, head = [], ""
    for position, character in enumerate(code):
        if character == "{":
            stack.append((_kind(head, code[position - 1 : position], stack), position, head))
            head = ""
        elif character == "}" and stack:
            kind, start, head_before = stack.pop()
            if kind == "function":
                yield cpp_text.line_of(code, start), cpp_text.line_of(code, position)
            head = head_before + "{}" if kind == "initialiser" else ""
        elif character == ";":
            head = ""
        else:
            head += character


def _kind(head, before, stack):
    if any(kind == "function" for kind, _, _ in stack):
        return "block"
    if before not in (" ", "\n") or re.search(r"(=|return|,)\s*$", head):
        return "initialiser"
    if SCOPE.search(head):
        return "scope"
    return "function" if "(" in head and not CONTROL.match(head) else "block"


def check_lengths(path, text):
    lines = text.splitlines()
    if len(lines) > FILE_LINES_MAX:
        yield f"{path}:{len(lines)}: the file has {len(lines)} lines, at most {FILE_LINES_MAX}"
    as_is = False  # tables that the formatter leaves alone may be wider
    for number, line in enumerate(lines, 1):
        as_is = (as_is or "clang-format off" in line) and "clang-format on" not in line
        if len(line) > LINE_CHARACTERS_MAX and not as_is:
            yield f"{path}:{number}: the line has {len(line)} characters, at most {LINE_CHARACTERS_MAX}"


def check_functions(path, code):
    for first, last in functions(code):
        if last - first + 1 > FUNCTION_LINES_MAX:
            yield f"{path}:{first}: the function has {last - first + 1} lines, at most {FUNCTION_LINES_MAX}"


def check_header(path, text):
    if not text.startswith("// Purpose: "):
        yield f"{path}:1: a header opens with its contract, beginning with '// Purpose: '"
    for match in re.finditer(r"^//.*[^ ] ((?:Units|Owns|Threads|Fails|Source): )", text, re.MULTILINE):
        yield f"{path}:{cpp_text.line_of(text, match.start())}: '{match.group(1).strip()}' begins a line of its own"
    if not re.search(r"^#pragma once$", text, re.MULTILINE):
        yield f"{path}:1: no '#pragma once'"


def check_code(path, text, code):
    lines = text.splitlines()
    for pattern, folders, instead in BANNED_CODE:
        for match in re.finditer(pattern, code) if path.parts[0] in folders else ():
            number = cpp_text.line_of(code, match.start())
            if not EXCUSE.search(lines[number - 1]):
                yield f"{path}:{number}: '{match.group().strip()}': {instead}"
    with_literals = cpp_text.without_comments(text)
    for match in re.finditer(r"\bGTEST_SKIP\s*\(\s*\)([^;]*)", with_literals):
        if not re.match(r'\s*<<\s*"NOT RUN: ', match.group(1)):
            yield f"{path}:{cpp_text.line_of(text, match.start())}: a skipped test says \"NOT RUN: reason\""


def check_words(path, text):
    for match in BANNED_WORDS.finditer(text):
        yield f"{path}:{cpp_text.line_of(text, match.start())}: '{match.group()}': do it, or leave it out"


def check_file(root, path):
    text = (root / path).read_text()
    yield from check_lengths(path, text)
    if path.as_posix() not in WORDS_EXEMPT:
        yield from check_words(path, text)
    if path.suffix in CPP:
        code = cpp_text.without_comments_and_literals(text)
        yield from check_functions(path, code)
        yield from check_code(path, text, code)
    if path.suffix == ".h" and path.parts[0] == "src":
        yield from check_header(path, text)


def check(root):
    files = [root / name for name in SINGLE_FILES]
    for folder in FOLDERS:
        files += [f for f in sorted((root / folder).rglob("*")) if f.suffix in TEXT or f.name == "CMakeLists.txt"]
    for file in filter(pathlib.Path.is_file, files):
        yield from check_file(root, pathlib.PurePosixPath(file.relative_to(root).as_posix()))


def main(arguments):
    root = pathlib.Path(arguments[0]) if arguments else pathlib.Path(__file__).resolve().parent.parent
    faults = list(check(root))
    print("\n".join(faults) if faults else "tidy: all files keep to the rules")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
