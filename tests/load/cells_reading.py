"""Cells about reading the GPUs: a miss, encoding, and how both grow with the number of GPUs."""

import json
import os
import re
import statistics

import generators
import machine
import rounds
import servers

COUNTS = (1, 2, 4, 8, 16, 32, 64)
ENCODE_REPETITIONS = 9


def driver_time(bench, scenario):
    """What the simulated driver's own functions take in one pass, in a tight loop on the server's processor. The worker
    calls them with cold caches, where they take longer: what is subtracted is rather too little.
    """
    environment = os.environ | {"GPUTACH_SIM_SCENARIO": str(scenario)}
    command = [bench.program("driver"), "--library", str(bench.build / "libnvidia-ml.so.1")]
    done = bench.run(command, environment, servers.SERVER_PROCESSOR)
    return json.loads(done)


def uncached(bench, server):
    return rounds.with_cpu(server, lambda: generators.closed_loop(bench, server, 1, 1, bench.seconds))


def cpu_by_process(server, work):
    """Which process took how much, for the table."""
    before = {pid: machine.cpu_seconds([pid]) for pid in server.processes()}
    answer = work()
    for pid, seconds in before.items():
        answer[machine.name_of(pid)] = (machine.cpu_seconds([pid]) - seconds) / answer["requests"] * 1e6
    return answer


def miss(bench):
    scenario = "h100x8-busy"
    with servers.Gputach(bench, *servers.UNCACHED, scenario=scenario) as server:
        server.ready()

        def run():
            driver = driver_time(bench, scenario)
            answer = cpu_by_process(server, lambda: uncached(bench, server))
            return answer | {key: driver[key] for key in ("driver_us", "calls", "reader_us")}

        taken = rounds.interleaved(bench.rounds, {"gputach": run})
    figures = {
        key: [row["gputach"][of] - row["gputach"]["driver_us"] for row in taken]
        for key, of in (("miss_p50_us", "p50_us"), ("miss_cpu_us", "cpu_us"))
    }
    keys = [key for key in taken[0]["gputach"] if key.endswith("_us") or key.startswith("gputach") or key == "calls"]
    return rounds.outcome(taken, figures, keys, [
        "p50_us and cpu_us are whole; driver_us, the time inside the simulated driver's functions, is subtracted above",
    ])


def encode_times(bench):
    """Microseconds by number of GPUs, one list of repetitions each, and the size of the body for 8."""
    text = bench.run([bench.program("bench"), "--benchmark_format=json",
                      "--benchmark_filter=^encode_the_contract/", "--benchmark_min_time=0.02",
                      "--benchmark_enable_random_interleaving=true",
                      f"--benchmark_repetitions={ENCODE_REPETITIONS}"], os.environ, servers.SERVER_PROCESSOR)
    times, body_bytes = {}, None
    for row in json.loads(text)["benchmarks"]:
        if row["run_type"] != "iteration":
            continue
        gpus = int(row["run_name"].rsplit("/", 1)[1])
        times.setdefault(gpus, []).append(row["cpu_time"] / 1000)
        if gpus == 8:
            body_bytes = row["body_bytes"]
    return times, body_bytes


def encode(bench):
    taken = rounds.quiet(lambda: dict(zip(("times", "body_bytes"), encode_times(bench))))
    times = taken["times"]
    figures = {"encode_us": rounds.figure(times[8]), "gpus_encode": rounds.figure([growth(medians(times))])}
    details = {gpus_in_words(gpus): {"encode_us": rounds.figure(times[gpus])} for gpus in sorted(times)}
    return rounds.Outcome(figures, details, [f"the body for 8 GPUs has {taken['body_bytes']:.0f} bytes"],
                          [taken["foreign_percent"]], int("repeated" in taken))


def gpus_in_words(count):
    return f"{count} GPU{'' if count == 1 else 's'}"


def medians(by_count):
    return {count: statistics.median(values) for count, values in by_count.items()}


def growth(times):
    """What one more GPU costs from 32 to 64, against from 1 to 32: 1 is a straight line, more is worse than linear."""
    first, middle, last = COUNTS[0], COUNTS[-2], COUNTS[-1]
    late = (times[last] - times[middle]) / (last - middle)
    return late / ((times[middle] - times[first]) / (middle - first))


def miss_by_gpus(bench):
    """The same board 1 to 64 times. Each number has a server of its own, so that rounds can take turns."""
    text = (bench.root / "sim" / "scenarios" / "h100x64.toml").read_text()
    stack, runs = bench.stack(), {}
    with stack:
        for count in COUNTS:
            scenario = bench.work / f"h100x{count}.toml"
            scenario.write_text(re.sub(r"^count = 64$", f"count = {count}", text, flags=re.M))
            server = stack.enter_context(servers.Gputach(bench, *servers.UNCACHED, scenario=scenario)).ready()
            runs[str(count)] = lambda s=server: uncached(bench, s)
        taken = rounds.interleaved(bench.rounds, runs)
    per_round = [growth({count: row[str(count)]["p50_us"] for count in COUNTS}) for row in taken]
    outcome = rounds.outcome(taken, {"gpus_miss": per_round}, ("p50_us", "p99_us", "cpu_us"), [
        "with the simulated driver's own time, which is linear in the number of GPUs",
    ])
    outcome.details = {gpus_in_words(int(count)): row for count, row in outcome.details.items()}
    return outcome
