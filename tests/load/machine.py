"""The machine under a measurement: what it is, what else runs on it, and what our own processes use."""

import os
import pathlib
import platform
import re
import resource
import shutil
import subprocess
import time

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
PROC = pathlib.Path("/proc")


class NotRun(Exception):
    """The machine cannot do this; the text says why."""


# Where distributions keep servers, which not every user has in PATH.
SEARCH = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"


def need(program):
    """The path of a program."""
    if not (found := shutil.which(program, path=SEARCH)):
        raise NotRun(f"there is no {program}; ./dev setup bench installs it")
    return found


def processes_of_session(session):
    """Every server gets a session of its own, so this is the server and all that it started."""
    found = []
    for entry in PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text()
        except OSError:
            continue  # it ended meanwhile
        state, _, _, its_session = stat[stat.rindex(")") + 2 :].split()[:4]
        if int(its_session) == session and state != "Z":
            found.append(int(entry.name))
    return found


def cpu_seconds(pids):
    """Run time by the scheduler's own accounting, in nanoseconds there; ticks would be 10 ms each."""
    total = 0
    for pid in pids:
        for task in (PROC / str(pid) / "task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def voluntary_switches(pid):
    total = 0
    for task in (PROC / str(pid) / "task").iterdir():
        total += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", (task / "status").read_text(), re.M).group(1))
    return total


def memory_kib(pid, field):
    """A field of smaps_rollup: Rss, Pss, Private_Dirty."""
    text = (PROC / str(pid) / "smaps_rollup").read_text()
    return int(re.search(rf"^{field}:\s+(\d+) kB", text, re.M).group(1))


def name_of(pid):
    return (PROC / str(pid) / "comm").read_text().strip()


class ForeignLoad:
    """CPU that others use between two moments, in percent of one processor. `sessions` are the servers' processes;
    generators are children that have been waited for.

    /proc/stat counts all, in ticks of 10 ms; what we know of ourselves is taken off. Time stolen by the hypervisor is
    foreign as well.
    """

    def __init__(self, sessions):
        self._sessions = sessions
        self._begin = self._now()

    def percent(self):
        busy, own, at = self._now()
        seconds = at - self._begin[2]
        return max(0.0, 100 * ((busy - self._begin[0]) - (own - self._begin[1])) / seconds)

    def _now(self):
        fields = list(map(int, (PROC / "stat").read_text().split("\n", 1)[0].split()[1:]))
        user, nice, system, _, _, irq, softirq, steal = fields[:8]
        busy = (user + nice + system + irq + softirq + steal) / CLOCK_TICKS
        own = sum(cpu_seconds(processes_of_session(session)) for session in self._sessions())
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
            usage = resource.getrusage(who)
            own += usage.ru_utime + usage.ru_stime
        return busy, own, time.monotonic()


def output_of(*command):
    """Of a program that may be absent, or that says its version on standard error."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except FileNotFoundError:
        return ""
    return (done.stdout + done.stderr).strip()


def first_match(pattern, text):
    found = re.search(pattern, text)
    return found.group(1) if found else "unknown"


def facts(root):
    cpuinfo = (PROC / "cpuinfo").read_text()
    memory_kib_total = int(first_match(r"MemTotal:\s+(\d+)", (PROC / "meminfo").read_text()))
    dirty = " with local changes" if output_of("git", "-C", str(root), "status", "--porcelain") else ""
    return {
        "processor": first_match(r"model name\s*: (.*)", cpuinfo),
        "processors": os.cpu_count(),
        "virtual": " hypervisor" in cpuinfo,
        "memory_gib": round(memory_kib_total / 2**20, 1),
        "kernel": platform.release(),
        "system": first_match(r'PRETTY_NAME="([^"]*)"', pathlib.Path("/etc/os-release").read_text()),
        "page_table_isolation": " pti" in cpuinfo,
        "commit": output_of("git", "-C", str(root), "rev-parse", "--short", "HEAD") + dirty,
    }


def versions(compiler):
    return {
        "compiler": output_of(compiler, "--version").split("\n", 1)[0],
        "nginx": first_match(r"nginx/(\S+)", output_of(shutil.which("nginx", path=SEARCH) or "nginx", "-v")),
        "haproxy": first_match(r"version (\S+)", output_of(shutil.which("haproxy", path=SEARCH) or "haproxy", "-v")),
        "wrk": first_match(r"wrk (\S+)", output_of("wrk", "-v")),
        "h2load": first_match(r"nghttp2/(\S+)", output_of("h2load", "--version")),
        "valgrind": first_match(r"valgrind-(\S+)", output_of("valgrind", "--version")),
        "python": platform.python_version(),
    }
