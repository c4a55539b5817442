"""The results as a page of Markdown and as JSON."""

import dataclasses
import json

import rounds
import targets
import targets_proxy
from target import verdict

VERDICTS = {"aim": "aim met", "gate": "gate met", "missed": "**missed**"}


def number(value, digits):
    return f"{value:,.{digits}f}"


def with_quartiles(figure, digits):
    text = number(figure.median, digits)
    if figure.count == 1:
        return text
    return f"{text} ({number(figure.low, digits)}–{number(figure.high, digits)})"


def bound(target, value):
    if value is None:
        return "–"
    return f"{'≥' if target.at_least else '≤'} {value:g}{' ' + target.unit if target.unit else ''}"


def target_rows(outcomes):
    for target in targets.TARGETS + targets_proxy.TARGETS:
        for outcome in outcomes.values():
            if target.key in outcome.figures:
                yield target, outcome, outcome.figures[target.key]


def results_table(outcomes):
    lines = ["| what | measured, median (quartiles) | gate | aim | |", "|---|---|---|---|---|"]
    reasons = []
    for target, outcome, figure in target_rows(outcomes):
        judged = verdict(target, figure.median)
        words = VERDICTS[judged] + (", noisy" if outcome.noisy else "")
        unit = " " + target.unit if target.unit else ""
        lines.append(f"| {target.what} | {with_quartiles(figure, target.digits)}{unit} | {bound(target, target.gate)} "
                     f"| {bound(target, target.aim)} | {words} |")
        if judged == "missed" and target.missed_because:
            reasons.append(f"- {target.what}: {target.missed_because}")
    if reasons:
        lines += ["", "Why a gate was missed:", "", *reasons]
    return lines


def digits_for(value):
    return 0 if abs(value) >= 1000 else 1 if abs(value) >= 10 else 2


def details_table(details):
    keys = list(dict.fromkeys(key for row in details.values() for key in row))
    lines = ["| | " + " | ".join(key.replace("_", " ") for key in keys) + " |", "|---|" + "---|" * len(keys)]
    for name, row in details.items():
        cells = [with_quartiles(row[key], digits_for(row[key].median)) if key in row else "–" for key in keys]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def noise_line(outcome):
    if not outcome.foreign_percent:
        return []
    figure = rounds.figure(outcome.foreign_percent)
    worst = max(outcome.foreign_percent)
    text = f"Foreign load: median {figure.median:.1f}% of a processor, worst {worst:.1f}%"
    text += f"; {outcome.repeated} of {figure.count} runs were repeated." if outcome.repeated else "."
    return ["", text + (" **Too noisy to be relied on.**" if outcome.noisy else "")]


def summary(outcomes, missing):
    missed = sum(verdict(t, f.median) == "missed" for t, _, f in target_rows(outcomes))
    noisy = [name for name, outcome in outcomes.items() if outcome.noisy]
    text = f"{sum(1 for _ in target_rows(outcomes))} targets: {missed} missed."
    if noisy:
        text += f" **Too noisy to be relied on: {', '.join(noisy)}.**"
    if missing:
        text += f" Without a result: {', '.join(missing)}."
    return text


METHOD = """\
Server on processor {server}, generator on processor {generator}, both with a niceness of {niceness}; loopback. Rounds
take turns among the servers, {rounds} rounds of {seconds} s; a ratio is the median of the rounds' ratios. CPU per
request is the run time in /proc/PID/schedstat of all threads of all processes of a server, divided by the requests.
What else ran on the machine is watched through /proc/stat; a run with more than {foreign}% of one processor is repeated
once and the quieter one kept, and a cell with more than a quarter of such runs is called noisy. gputach reads the
simulated driver (scenario h100x8-busy){more}"""

TITLES = {"http": "HTTP benchmark", "proxy": "Proxy benchmark"}
MORE = {
    "http": """; cached answers come from --cache-ttl 60s. Latencies of open loops count from
the moment a request was due.""",
    "proxy": """ and
forwards with its ordinary flags. All proxies stand before the same engine, a loop of a few hundred lines that shares
the generator's processor. Connections are kept on both sides; nginx has proxy_buffering off, nginx and HAProxy set
X-Forwarded-For and X-Forwarded-Proto, and one worker (thread) each. gputach adds Forwarded, Via and X-Request-Id as
well, and reads models and tokens in passing. Every event of a stream carries when it was due and when it left the
engine: lateness counts from the one, a token's way from the other.""",
}


def markdown(bench, outcomes, missing):
    facts = bench.facts
    lines = [f"# {TITLES[bench.suite]}", "", f"Written by `{facts['command']}`. {summary(outcomes, missing)}", ""]
    lines += results_table(outcomes)
    lines += ["", *[f"- {name}: {reason}" for name, reason in missing.items()]] if missing else []
    lines += ["", "## How", "", METHOD.format(server=bench.server_processor, generator=bench.generator_processor,
                                             rounds=bench.rounds, seconds=bench.seconds,
                                             niceness=facts["machine"]["niceness"], more=MORE[bench.suite],
                                             foreign=rounds.FOREIGN_PERCENT_MAX), ""]
    lines += ["| | |", "|---|---|"]
    machine = facts["machine"]
    lines.append(f"| machine | {machine['processor']}, {machine['processors']} processors"
                 f"{', virtual' if machine['virtual'] else ''}, {machine['memory_gib']} GiB |")
    lines.append(f"| system | {machine['system']}, Linux {machine['kernel']}, page-table isolation "
                 f"{'on' if machine['page_table_isolation'] else 'off'} |")
    lines.append(f"| gputach | {machine['commit']} |")
    lines += [f"| {name} | {version} |" for name, version in facts["versions"].items()]
    lines.append(f"| when | {facts['when']}, {facts['minutes']:.1f} minutes |")
    for name, outcome in outcomes.items():
        lines += ["", f"## {name}", "", *details_table(outcome.details), *noise_line(outcome)]
        lines += ["", *[f"- {note}" for note in outcome.notes]] if outcome.notes else []
    return "\n".join(lines) + "\n"


def as_json(bench, outcomes, missing):
    rows = [
        {"key": target.key, "what": target.what, "unit": target.unit, "gate": target.gate, "aim": target.aim,
         "better": "more" if target.at_least else "less", "verdict": verdict(target, figure.median),
         "noisy": outcome.noisy, **dataclasses.asdict(figure)}
        for target, outcome, figure in target_rows(outcomes)
    ]
    cells = {name: dataclasses.asdict(outcome) | {"noisy": outcome.noisy} for name, outcome in outcomes.items()}
    whole = bench.facts | {"rounds": bench.rounds, "seconds": bench.seconds, "targets": rows, "cells": cells,
                           "without_result": missing}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"
