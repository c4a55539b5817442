"""./dev bench --gate: what a build service can check on a shared machine. An exact count of instructions, and a ratio
of processor times with a wide margin; never a time by itself.
"""

import os

import generators
import instructions
import machine
import rounds
import servers

RATIO_MAX = 1.25
ATTEMPTS = 3
ROUNDS, SECONDS, CONNECTIONS = 3, 1, 64


def check_instructions(bench):
    change, now, then = instructions.change_percent(bench)
    print(f"instructions of a cached request: {now:.0f}, recorded {then:.0f}: {change:+.2f}% "
          f"(at most {instructions.TOLERANCE_PERCENT:+.2f}%)")
    if change > instructions.TOLERANCE_PERCENT:
        print(f"  if this is what the change is worth: {instructions.UPDATE}")
        return False
    if change < -instructions.TOLERANCE_PERCENT:
        print(f"  fewer than recorded; so that this stays: {instructions.UPDATE}")
    return True


def ratio_once(bench):
    with servers.opponents(bench) as everyone:
        def run(server):
            return rounds.with_cpu(server, lambda: generators.wrk(server, CONNECTIONS, SECONDS))

        runs = {name: lambda s=everyone[name]: rounds.watched(lambda: run(s)) for name in ("gputach", "nginx")}
        taken = [{name: work() for name, work in runs.items()} for _ in range(ROUNDS)]
    return rounds.outcome(taken, {"ratio": rounds.ratios(taken, "gputach", "nginx", "cpu_us")}, ())


def check_ratio(bench):
    if len(os.sched_getaffinity(0)) < 2:
        raise machine.NotRun("the ratio to nginx needs two processors")
    quiet_failures = 0
    for attempt in range(1, ATTEMPTS + 1):
        outcome = ratio_once(bench)
        ratio = outcome.figures["ratio"].median
        others = ", with others at work" if outcome.noisy else ""
        print(f"CPU per request ÷ nginx, {CONNECTIONS} connections, attempt {attempt}: {ratio:.2f} "
              f"(at most {RATIO_MAX}){others}", flush=True)
        if ratio <= RATIO_MAX:
            return True
        quiet_failures += not outcome.noisy
    if quiet_failures == 0:
        raise machine.NotRun("others were at work during every attempt to compare with nginx")
    return False


def run(bench):
    """The exit status: 0 passed, 1 failed, 77 nothing could be compared."""
    results, reasons = [], []
    for check in (check_instructions, check_ratio):
        try:
            results.append(check(bench))
        except machine.NotRun as reason:
            reasons.append(f"NOT RUN: ./dev bench --gate: {reason}")
            print(reasons[-1])
    (bench.work / "not-run.txt").write_text("".join(reason + "\n" for reason in reasons))
    if not all(results):
        print("bench gate: FAILED")
        return 1
    print("bench gate: " + ("passed" if results else "NOT RUN"))
    return 0 if results else 77
