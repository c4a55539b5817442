"""Cells about cached answers, where all servers send the same bytes."""

import generators
import rounds
import servers

PIPELINED = 16
POLLERS, POLLS_PER_S = 1000, 10
BUSY_PERCENT_MIN = 90  # a server that is less busy than this was not the limit


def cached(bench, connections):
    with servers.opponents(bench) as all_servers:

        def run(server):
            return rounds.with_cpu(server, lambda: generators.wrk(server, connections, bench.seconds))

        taken = rounds.interleaved(bench.rounds, {name: lambda s=s: run(s) for name, s in all_servers.items()})
    figures = {
        f"cached_{connections}_nginx": rounds.ratios(taken, "gputach", "nginx", "cpu_us"),
        f"cached_{connections}_epoll": rounds.ratios(taken, "gputach", "epoll", "cpu_us"),
    }
    return rounds.outcome(taken, figures, ("cpu_us", "requests_per_s", "p50_us", "p99_us", "busy_percent"))


def pipelined(bench):
    with servers.opponents(bench) as all_servers:

        def run(server):
            return rounds.with_cpu(server, lambda: generators.h2load(server, 64, PIPELINED, bench.seconds))

        taken = rounds.interleaved(bench.rounds, {name: lambda s=s: run(s) for name, s in all_servers.items()})
    figures = {"pipelined_nginx": rounds.ratios(taken, "gputach", "nginx", "requests_per_s")}
    outcome = rounds.outcome(taken, figures, ("requests_per_s", "cpu_us", "busy_percent"))
    busy = outcome.details["gputach"]["busy_percent"].median
    if busy < BUSY_PERCENT_MIN:
        outcome.notes.append(f"gputach used {busy:.0f}% of its processor: h2load was the limit, and the ratio is a "
                             "lower bound")
    return outcome


def pollers(bench):
    """nginx is left out: the machine's own limit is what this row compares with."""
    with servers.opponents(bench) as all_servers:

        def run(server):
            work = lambda: generators.open_loop(bench, server, POLLERS, POLLS_PER_S, bench.seconds)  # noqa: E731
            return rounds.with_cpu(server, work)

        names = ("gputach", "epoll")
        taken = rounds.interleaved(bench.rounds, {name: lambda s=all_servers[name]: run(s) for name in names})
    figures = {
        "pollers_p50": rounds.ratios(taken, "gputach", "epoll", "p50_us"),
        "pollers_p90": rounds.ratios(taken, "gputach", "epoll", "p90_us"),
        "pollers_p99_ms": [p99 / 1000 for p99 in rounds.column(taken, "gputach", "p99_us")],
    }
    outcome = rounds.outcome(taken, figures, ("p50_us", "p90_us", "p99_us", "p999_us", "cpu_us", "lag_p50_us",
                                              "lag_p99_us"))
    seeds = sorted({answer["seed"] for row in taken for answer in row.values()})
    outcome.notes.append("seeds of the phases: " + " ".join(map(str, seeds)))
    return outcome


def idle_connections_flat(bench):
    """The p50 of a hundred pollers beside 10 to 10,000 connections that only stay open. Each number of idle
    connections has a server of its own, so that rounds can take turns.
    """
    levels = (10, 100, 1000, 10_000)
    servers.allow_descriptors(bench, levels[-1])
    flags = (*servers.CACHED, "--connections-max", "12000", "--idle-timeout", "3600s")
    stack, runs = bench.stack(), {}
    with stack:
        for level in levels:
            server = stack.enter_context(servers.Gputach(bench, *flags)).ready()
            stack.enter_context(generators.Idle(bench, server, level, asked=True))
            runs[str(level)] = lambda s=server: generators.open_loop(bench, s, 100, POLLS_PER_S, bench.seconds)
        taken = rounds.interleaved(bench.rounds, runs)
    changes = {
        level: rounds.figure(rounds.ratios(taken, str(level), str(levels[0]), "p50_us")).median for level in levels[1:]
    }
    worst = max(changes.values(), key=lambda ratio: abs(ratio - 1))
    outcome = rounds.outcome(taken, {"idle_connections_flat": [100 * abs(worst - 1)]}, ("p50_us", "p90_us", "p99_us"))
    outcome.details = {f"{level} idle": row for level, row in outcome.details.items()}
    outcome.notes.append("p50 against 10 idle connections: "
                         + ", ".join(f"{level}: {ratio:.3f}" for level, ratio in changes.items()))
    return outcome
