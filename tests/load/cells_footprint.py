"""Cells about what gputach costs when little or nothing happens: wake-ups, memory, start, size."""

import os
import subprocess
import time

import generators
import machine
import rounds
import servers

REQUESTS = 1_000_000
IDLE_CONNECTIONS = 10_000


def idle(bench):
    seconds = 5 if bench.quick else 30
    log = bench.work / "calls"
    log.unlink(missing_ok=True)
    with servers.Gputach(bench, call_log=log) as server:
        server.ready()
        # The client is gone once only the server's own descriptors are left; then nothing is due any more.
        time.sleep(3)
        pids = server.processes()

        def watch():
            calls = log.read_bytes().count(b"\n")
            switches = {pid: machine.voluntary_switches(pid) for pid in pids}
            time.sleep(seconds)
            counted = {machine.name_of(pid): machine.voluntary_switches(pid) - switches[pid] for pid in pids}
            return {"calls": log.read_bytes().count(b"\n") - calls, "switches": counted}

        taken = rounds.watched(watch)
    per_second = {name: count / seconds for name, count in taken["switches"].items()}
    figures = {"idle_switches": rounds.figure([max(per_second.values())]),
               "idle_calls": rounds.figure([taken["calls"]])}
    details = {name: {"switches_per_s": rounds.figure([value])} for name, value in per_second.items()}
    return rounds.Outcome(figures, details, [f"watched for {seconds} s, 3 s after the last request"])


def memory(bench):
    """With a short TTL, so that passes, encoding and the change of snapshots have their part."""
    with servers.Gputach(bench, "--cache-ttl", "10ms") as server:
        server.ready()
        generators.poller(bench, "closed", server, 120, connections=64, depth=16, requests=REQUESTS)
        parts = {machine.name_of(pid): {field: machine.memory_kib(pid, field) / 1024 for field in ("Rss", "Pss")}
                 for pid in server.processes()}
    whole = {field: sum(part[field] for part in parts.values()) for field in ("Rss", "Pss")}
    details = {name: {"rss_mib": rounds.figure([part["Rss"]]), "pss_mib": rounds.figure([part["Pss"]])}
               for name, part in (parts | {"all": whole}).items()}
    return rounds.Outcome({"rss_mib": rounds.figure([whole["Rss"]])}, details, [
        "RSS counts what processes share once for each of them, PSS counts it once",
        "the worker holds the simulated driver; NVIDIA's library is larger",
    ])


def idle_connections(bench):
    servers.allow_descriptors(bench, IDLE_CONNECTIONS)
    found = {}
    for asked in (True, False):
        with servers.Gputach(bench, "--connections-max", "12000") as server:
            server.ready()
            before = server.memory_kib("Private_Dirty")
            with generators.Idle(bench, server, IDLE_CONNECTIONS, asked):
                # Those that have not asked are known to the kernel before the server has accepted them.
                servers.wait_for("all are accepted", lambda s=server: descriptors(s.process.pid) >= IDLE_CONNECTIONS)
                time.sleep(1.5)  # a sweep has passed
                found[asked] = (server.memory_kib("Private_Dirty") - before) / IDLE_CONNECTIONS
    details = {name: {"private_kib": rounds.figure([found[asked]])}
               for name, asked in (("after one request each", True), ("before the first request", False))}
    return rounds.Outcome({"idle_connection_kib": rounds.figure([found[True]])}, details, [
        f"{IDLE_CONNECTIONS} connections; Private_Dirty of all processes before and after, without the kernel's part",
    ])


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def start(bench):
    """From the start of the process to the last byte of the first answer with figures; on both processors, as it
    would be.
    """

    def once():
        port = servers.free_port()
        began = time.monotonic()
        with servers.Gputach(bench, port=port, processor=None) as server:
            while True:
                try:
                    if b'"gpus":[{' in servers.fetch(port)[1]:
                        return (time.monotonic() - began) * 1000
                except ConnectionRefusedError:
                    server.log_match("")  # raises when it has ended
                    time.sleep(0.0005)
                if time.monotonic() - began > servers.PATIENCE_S:
                    raise RuntimeError("there is no first answer")

    # One of them is shorter than the tick in which others are watched, so all are watched together.
    taken = rounds.quiet(lambda: {"start_ms": [once() for _ in range(5 if bench.quick else 30)]})
    figure = rounds.figure(taken["start_ms"])
    return rounds.Outcome({"start_ms": figure}, {"gputach": {"start_ms": figure}}, [f"{figure.count} starts"],
                          [taken["foreign_percent"]], int("repeated" in taken))


def size(bench):
    """The release uses the system's libraries; the bundle, for other machines, brings all but the C library along."""
    found = {}
    for preset, binary in (("release", bench.build / "gputach"), ("bundle", bench.bundle)):
        if not binary or not binary.exists():
            continue
        stripped = bench.work / f"stripped-{preset}"
        subprocess.run(["strip", "--strip-all", "-o", str(stripped), str(binary)], check=True)
        found[preset] = stripped.stat().st_size / 2**20
    details = {preset: {"stripped_mib": rounds.figure([value])} for preset, value in found.items()}
    names = {"release": "size_mib", "bundle": "bundle_mib"}
    return rounds.Outcome({names[preset]: rounds.figure([value]) for preset, value in found.items()}, details,
                          [f"strip --strip-all of the binaries of these presets: {', '.join(found)}"])
