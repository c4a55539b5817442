#!/usr/bin/env python3
"""Writes docs/differences.md from the table of differential_cases.py, which differential_test.py proves.

usage: differential_report.py
"""

import harness
from differential_cases import GROUPS

DOCUMENT = harness.ROOT / "docs" / "differences.md"
INTRODUCTION = """# Where gputach and nginx differ

The same requests are sent to gputach and to nginx 1.22 as Debian 12 ships it, each with a second request behind it that
asks for another page (404) and for the end of the connection. What is compared is the list of statuses until the
connection ends: `200, 404` is a request that is served and followed by the second one's own answer; `400` alone is a
request that is refused, and the connection ended with that. No request here, however it is cut into packets, gets the
second one an answer that is not its own.

A test sends all of them and fails when an answer is not as listed, here or in nginx. These tables are written by
`python3 tests/e2e/differential_report.py` from the table of that test.
"""


def shown(outcome):
    """`200, 404`; what was no response is bytes."""
    texts = [part.decode("latin-1") if isinstance(part, bytes) else str(part) for part in outcome]
    return "`" + ", ".join(texts) + "`" if texts else "–"


def alike(cases):
    """The cases on which both agree, by their answer."""
    by_outcome = {}
    for case in cases:
        if case.nginx is None:
            by_outcome.setdefault(case.outcome, []).append(case.name)
    return "".join(f"- {shown(outcome)}: {'; '.join(names)}.\n" for outcome, names in by_outcome.items())


def different(cases):
    rows = [["what is sent", "gputach", "nginx", "why"], ["---"] * 4]
    rows += [[c.name, shown(c.outcome), shown(c.nginx), c.why] for c in cases if c.nginx is not None]
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)


def text():
    parts = [INTRODUCTION]
    for heading, cases in GROUPS.items():
        parts.append(f"\n## {heading}\n\n{different(cases)}\nAnswered alike:\n\n{alike(cases)}")
    return "".join(parts)


if __name__ == "__main__":
    DOCUMENT.write_text(text())
