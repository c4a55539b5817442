"""C++ text with comments, and on request the contents of literals, blanked out. Line numbers and columns stay."""

import re

_TOKENS = re.compile(
    r"""
      (?P<comment> //(?:[^\n\\]|\\.|\\\n)* | /\*.*?\*/ )
    | (?P<raw> R"(?P<delimiter>[^()\\\s]{0,16})\(.*?\)(?P=delimiter)" )
    | (?P<literal> "(?:[^"\\\n]|\\.)*" | (?<![0-9A-Fa-f])'(?:[^'\\\n]|\\.)+' )
    """,
    re.VERBOSE | re.DOTALL,
)


def _blank(text):
    return re.sub(r"[^\n]", " ", text)


def without_comments(text):
    return _TOKENS.sub(lambda m: _blank(m.group()) if m.group("comment") else m.group(), text)


def without_comments_and_literals(text):
    """Quotes stay, so that a literal is still seen to be one; an #include "path" keeps its path."""

    def replace(match):
        token = match.group()
        if match.group("comment"):
            return _blank(token)
        line_start = text.rfind("\n", 0, match.start()) + 1
        if re.fullmatch(r"\s*#\s*include\s*", text[line_start : match.start()]):
            return token
        return token[0] + _blank(token[1:-1]) + token[-1]

    return _TOKENS.sub(replace, text)


def line_of(text, position):
    return text.count("\n", 0, position) + 1
