#!/usr/bin/env python3
"""Golden pages: what each scenario answers at the frozen moment, as a whole, in tests/golden/stats-SCENARIO.json.

golden.py            compares, and prints the differences
golden.py --rewrite  writes them anew; look at the difference before committing it

What cannot be the same twice is masked: the timestamp, the memory of the machine itself where a part shares it, and how
late exactly a GPU is.
"""

import difflib
import re
import sys

import harness

FOLDER = harness.ROOT / "tests" / "golden"

# What a scenario needs so that its page comes soon; the others are taken as they are.
PARAMETERS = {"slow-start": "?delay_ms=1"}
FLAGS = {"hang": ("--nvml-timeout", "1s")}

MASKS = (
    (rb'"timestamp":"[^"]*"', b'"timestamp":"MASKED"'),
    (rb'"error":"timed out after [0-9.]+ s"', b'"error":"timed out after MASKED s"'),
)  # fmt: skip
MACHINE_MEMORY = (
    (rb'"memory_(used|total)_mb":[0-9]+', rb'"memory_\1_mb":"MASKED"'),
    (rb'"memory_util_percent":[0-9.]+', b'"memory_util_percent":"MASKED"'),
)  # fmt: skip


def scenarios():
    return sorted(path.stem for path in (harness.ROOT / "sim" / "scenarios").glob("*.toml"))


def masked(scenario, body):
    for pattern, replacement in MASKS + (MACHINE_MEMORY if scenario == "gb10" else ()):
        body = re.sub(pattern, replacement, body)
    return body


def page_of(case, scenario):
    daemon = case.serve(scenario + PARAMETERS.get(scenario, ""), *FLAGS.get(scenario, ()))
    daemon.wait_for_log(r"worker_ready|worker_exited")
    body = masked(scenario, daemon.get().body)
    # One GPU on a line, so that a difference can be read.
    return body.replace(b'{"index"', b'\n{"index"').replace(b'],"errors"', b'\n],"errors"') + b"\n"


class GoldenPages(harness.TestCase):
    rewrite = False

    def test_every_scenario_answers_its_golden_page(self):
        names = scenarios()
        self.assertGreaterEqual(len(names), 6)
        for scenario in names:
            with self.subTest(scenario):
                path = FOLDER / f"stats-{scenario}.json"
                page = page_of(self, scenario)
                if self.rewrite:
                    path.write_bytes(page)
                golden = path.read_bytes().decode().splitlines() if path.exists() else []
                now = page.decode().splitlines()
                difference = list(difflib.unified_diff(golden, now, str(path), "the binary", lineterm=""))
                self.assertEqual(difference, [], "./dev golden rewrites the page")

    def test_no_golden_page_is_without_its_scenario(self):
        pages = sorted(page.name for page in FOLDER.glob("stats-*.json"))
        self.assertEqual(pages, [f"stats-{name}.json" for name in scenarios()])


if __name__ == "__main__":
    if "--rewrite" in sys.argv:
        sys.argv.remove("--rewrite")
        FOLDER.mkdir(exist_ok=True)
        for stale in FOLDER.glob("stats-*.json"):
            stale.unlink()
        GoldenPages.rewrite = True
    harness.main()
