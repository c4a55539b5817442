"""Cells about forwarding: what a request and a token cost, and how late they come."""

import concurrent.futures
import contextlib
import time

import generators
import proxies
import rounds
import servers

BODY_BYTES = 500
PATH = "/v1/chat/completions"
ENDLESS = 1_000_000_000


def against_opponents(key, taken, column):
    return {f"{key}_{other}": rounds.ratios(taken, "gputach", other, column) for other in ("nginx", "haproxy")}


def streams(bench, server, connections, rate, seconds):
    return generators.poller(bench, "streams", server, seconds, connections=connections, rate=rate, seconds=seconds,
                             path=f"{PATH}?stream=1&rate={rate}&events={ENDLESS}", **{"body-bytes": BODY_BYTES})


def posts(bench):
    script = bench.work / "post.lua"
    script.write_text(generators.post_script(BODY_BYTES))
    with proxies.opponents(bench) as (_, all_proxies):

        def run(proxy):
            return rounds.with_cpu(proxy, lambda: generators.wrk(proxy, 64, bench.seconds, PATH, script))

        taken = rounds.interleaved(bench.rounds, {name: lambda p=p: run(p) for name, p in all_proxies.items()})
    return rounds.outcome(taken, against_opponents("post_cpu", taken, "cpu_us"),
                          ("cpu_us", "requests_per_s", "p50_us", "p99_us", "busy_percent"))


def paced(bench):
    """Each event comes alone, as tokens do: a read and a write for every one of them."""
    with proxies.opponents(bench) as (_, all_proxies):

        def run(proxy):
            return rounds.with_cpu(proxy, lambda: streams(bench, proxy, 100, 200, bench.seconds))

        taken = rounds.interleaved(bench.rounds, {name: lambda p=p: run(p) for name, p in all_proxies.items()})
    return rounds.outcome(taken, against_opponents("chunk_cpu", taken, "cpu_us"),
                          ("cpu_us", "requests_per_s", "transit_p50_us", "transit_p99_us", "busy_percent"))


def fast(bench):
    """As fast as the generator reads: many chunks in one read."""
    with proxies.opponents(bench) as (_, all_proxies):

        def run(proxy):
            return rounds.with_cpu(proxy, lambda: streams(bench, proxy, 16, 0, bench.seconds))

        taken = rounds.interleaved(bench.rounds, {name: lambda p=p: run(p) for name, p in all_proxies.items()})
    return rounds.outcome(taken, against_opponents("fast_chunk_cpu", taken, "cpu_us"),
                          ("cpu_us", "requests_per_s", "busy_percent"))


def latency(bench):
    """500 requests a second from ten clients, each due at its time; the same to the engine itself is taken off."""
    with proxies.opponents(bench) as (engine, all_proxies):
        everyone = {"direct": engine, **all_proxies}

        def run(server):
            return generators.poller(bench, "open", server, bench.seconds * 2, connections=10, rate=50, sleep=1,
                                     seconds=bench.seconds * 2, path=PATH, **{"body-bytes": BODY_BYTES})

        taken = rounds.interleaved(bench.rounds, {name: lambda s=s: run(s) for name, s in everyone.items()})
    added = [{name: {q: row[name][q] - row["direct"][q] for q in ("p50_us", "p99_us")} for name in all_proxies}
             for row in taken]
    figures = {"added_p50": rounds.ratios(added, "gputach", "nginx", "p50_us"),
               "added_p99": rounds.ratios(added, "gputach", "nginx", "p99_us")}
    outcome = rounds.outcome(taken, figures, ("p50_us", "p90_us", "p99_us", "p999_us", "lag_p50_us", "lag_p99_us"))
    for name in all_proxies:
        median = {q: rounds.figure(rounds.column(added, name, q)).median for q in ("p50_us", "p99_us")}
        outcome.notes.append(f"{name} adds {median['p50_us']:.0f} µs to p50 and {median['p99_us']:.0f} µs to p99")
    return outcome


def many_streams(bench):
    """A thousand streams of 50 tokens a second: how late tokens are, whether any stream is later than the others, and
    what memory each stream takes.
    """
    count, rate = 1000, 50
    with proxies.opponents(bench) as (_, all_proxies):
        before = {name: proxy.memory_kib("Private_Dirty") for name, proxy in all_proxies.items()}

        def run(name):
            proxy = all_proxies[name]
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                answer = pool.submit(rounds.with_cpu, proxy,
                                     lambda: streams(bench, proxy, count, rate, bench.seconds + 1))
                time.sleep(bench.seconds * 0.75)  # all are under way
                memory = proxy.memory_kib("Private_Dirty")
                answer = answer.result()
            answer["private_kib"] = (memory - before[name]) / count
            answer["apart"] = answer["stream_p50_worst_us"] / answer["stream_p50_median_us"]
            return answer

        taken = rounds.interleaved(bench.rounds, {name: lambda n=name: run(n) for name in all_proxies})
    if silent := sum(answer["silent"] for row in taken for answer in row.values()):
        raise RuntimeError(f"{silent} streams brought nothing")
    figures = {
        "late_p99": rounds.ratios(taken, "gputach", "nginx", "late_p99_us"),
        "late_p99_ms": [late / 1000 for late in rounds.column(taken, "gputach", "late_p99_us")],
        "streams_apart": rounds.ratios(taken, "gputach", "nginx", "stream_p50_worst_us"),
        "stream_kib": rounds.column(taken, "gputach", "private_kib"),
    }
    return rounds.outcome(taken, figures, (
        "late_p50_us", "late_p99_us", "late_p999_us", "late_max_us", "stream_p50_median_us", "stream_p50_worst_us",
        "stream_max_median_us", "transit_p50_us", "transit_p99_us", "cpu_us", "busy_percent", "private_kib"), [
            "stream_p50: the median lateness of one stream; of a thousand such medians the middle one and the worst",
            "private_kib: Private_Dirty of all processes with the streams under way, less what there was before the "
            "first; the kernel's part is not in it",
        ])


def hung_driver(bench):
    """Tokens beside telemetry in its worst state: every GPU's driver call hangs, and 200 clients ask for figures ten
    times a second. The same clients asking a raw loop on the same processor show what they cost by themselves.
    """
    count, rate, pollers, polls_per_s = 200, 50, 200, 10
    servers.allow_descriptors(bench, proxies.STREAMS_MAX)
    with contextlib.ExitStack() as stack:
        engine = stack.enter_context(proxies.Engine(bench)).ready()
        calm = stack.enter_context(proxies.gputach(bench, engine)).ready()
        hung = stack.enter_context(proxies.gputach(bench, engine, scenario="hang?gpu=all&after_s=1")).ready()
        loop = stack.enter_context(servers.RawEpoll(bench, *servers.fetch(calm.port))).ready()
        time.sleep(1.5)  # it hangs now

        def run(proxy, asked):
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                polled = pool.submit(generators.poller, bench, "open", asked, bench.seconds + 1, may_refuse=True,
                                     connections=pollers, rate=polls_per_s, sleep=1, seconds=bench.seconds + 1)
                answer = streams(bench, proxy, count, rate, bench.seconds)
                polled = polled.result()
            return answer | {"polls": polled["requests"], "polls_refused": polled["refused"],
                             "polls_p99_us": polled["p99_us"]}

        taken = rounds.interleaved(bench.rounds, {
            "alone": lambda: streams(bench, calm, count, rate, bench.seconds),
            "hung": lambda: streams(bench, hung, count, rate, bench.seconds),
            "raw loop asked": lambda: run(calm, loop),
            "hung and asked": lambda: run(hung, hung),
        })
    return rounds.outcome(
        taken,
        {"hung_alone_p99": rounds.ratios(taken, "hung", "alone", "transit_p99_us"),
         "hung_p99": rounds.ratios(taken, "hung and asked", "alone", "transit_p99_us"),
         "hung_p50": rounds.ratios(taken, "hung and asked", "alone", "transit_p50_us"),
         "hung_p99_loop": rounds.ratios(taken, "hung and asked", "raw loop asked", "transit_p99_us")},
        ("transit_p50_us", "transit_p99_us", "late_p99_us"),
        [f"{rounds.figure(rounds.column(taken, 'hung and asked', 'polls')).median:.0f} polls in each run, "
         f"{sum(rounds.column(taken, 'hung and asked', 'polls_refused'))} of all were answered with an error",
         "the pollers share the generator's processor, which is a part of the difference to alone"])
