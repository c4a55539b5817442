"""What the fault table is written in: a daemon whose driver can be broken and mended, and what a client may see."""

import dataclasses
import os
import pathlib
import re
import resource
import signal
import subprocess
import time
import tomllib
from collections.abc import Callable

import expected
import harness

GOOD = "h100x8-busy"


@dataclasses.dataclass(frozen=True)
class Sees:
    """One kind of answer: 500 with this reason, or 200 without these GPUs."""

    status: int = 200
    reason: str = ""  # of a 500; `{}` stands for a time
    missing: dict = dataclasses.field(default_factory=dict)  # GPU -> its error; `{}` stands for a time
    any_missing: str = ""  # some GPUs, whichever, with one of these errors (separated by "; ")
    unsupported: str = ""  # shown as 0, and named in the header
    other_figures: bool = False  # an older library counts otherwise

    def matches(self, response, rows):
        if response.status != self.status:
            return False
        if self.status != 200:
            return _told(f"Failed to query GPU: {self.reason}", response.error)
        page = response.json()
        errors = {error["index"]: error["error"] for error in page.get("errors", [])}
        if self.any_missing:
            if not errors or not all(any(_told(t, e) for t in self.any_missing.split("; ")) for e in errors.values()):
                return False
        elif set(errors) != set(self.missing) or not all(_told(self.missing[i], e) for i, e in errors.items()):
            return False
        header = response.headers.get("Gputach-Unsupported", "")
        if self.unsupported:
            return self.unsupported in header
        shown = [row for row in rows if row["index"] not in errors]
        if self.other_figures:
            return [gpu["uuid"] for gpu in page["gpus"]] == [row["uuid"] for row in shown]
        return page["gpus"] == shown

    def text(self):
        if self.status != 200:
            return f"500 `{self.reason.format('N')}`"
        if self.any_missing:
            return "200, some in `errors`: " + " or ".join(f"`{t.format('N')}`" for t in self.any_missing.split("; "))
        if self.missing:
            each = dict.fromkeys(t.format("N") for t in self.missing.values())
            return f"200, {len(self.missing)} of the GPUs in `errors`: " + ", ".join(f"`{t}`" for t in each)
        if self.unsupported:
            return f"200, 0 for the figure, `Gputach-Unsupported: {self.unsupported}`"
        return "200, every GPU"


HEALTHY = Sees()


def _told(template, text):
    return re.fullmatch(re.escape(template).replace(re.escape("{}"), r"\d+\.\d+"), text) is not None


@dataclasses.dataclass(frozen=True)
class Fault:
    what: str
    begin: Callable  # breaks it: Rig -> None
    sees: tuple  # the first is what has to be seen, the others may be seen as well while it lasts
    back: str  # the document's words for how it ends
    log: str  # the event that tells the operator; empty: none
    back_s: float | None = 5.0  # how soon after its end every GPU is shown; None: it does not end by itself
    soon_s: float = 4.0  # how soon it is seen: what a cached page holds for, and --nvml-timeout
    from_start: bool = False  # broken before the daemon starts
    mend: Callable | None = None  # ends it, where bringing back a good scenario and a good library does not
    lasts_s: float | None = None  # it ends by itself after this time, counted from ...
    slow_call: tuple = ()  # ... the first call of this symbol for this GPU, if not from the beginning
    base: str = GOOD
    counted: str = ""  # in `out_of_range` of /proxy/v1/daemon
    unless: Callable = lambda: None  # the reason why this machine or build cannot run it


class Rig:
    """One daemon, its scenario file, its library (a link) and its processes."""

    def __init__(self, case, fault):
        self.case, self.fault = case, fault
        self.scenario = case.scenario_file(fault.base)
        self.folder = case.folder()
        self.library = self.folder / "libnvidia-ml.so.1"
        self.flag = self.folder / "broken"  # while it exists, a library of our own making hangs
        self.link(harness.SIMULATOR)
        self.rows = rows_of(self.scenario.path.read_text())
        self.undo = []
        self.daemon = None

    def start(self):
        self.daemon = self.case.serve(self.scenario, library=self.library)

    # What tables begin with.

    def link(self, target):
        fresh = self.library.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        if target is not None:
            fresh.symlink_to(target)
            fresh.rename(self.library)
        else:
            self.library.unlink(missing_ok=True)

    def compile(self, source):
        """A library of this C++ text; @FLAG@ is the path of a file that exists while the fault lasts."""
        self.flag.touch()
        text = self.folder / "library.cc"
        text.write_text(source.replace("@FLAG@", str(self.flag)))
        built = self.folder / "built.so"
        subprocess.run([os.environ.get("CXX", "c++"), "-shared", "-fPIC", "-o", built, text], check=True)
        self.link(built)

    def limit(self, pid, what, soft):
        before = resource.prlimit(pid, what)
        resource.prlimit(pid, what, (soft, before[1]))

        def lift():
            if pathlib.Path(f"/proc/{pid}").exists():
                resource.prlimit(pid, what, before)

        self.undo.append(lift)

    def mend(self):
        if self.fault.mend is not None:
            self.fault.mend(self)
        else:
            self.scenario.become(self.fault.base)
            self.link(harness.SIMULATOR)
        for step in reversed(self.undo):
            step()
        self.undo.clear()
        self.flag.unlink(missing_ok=True)
        self.rows = rows_of(self.scenario.path.read_text())


def rows_of(text):
    """What a healthy daemon shows for a scenario of that text, in which a board may have a UUID of its own."""
    scenario = tomllib.loads(text)
    boards = [table for table in scenario["gpu"] for _ in range(table.get("count", 1))]
    rows = [expected.Board(table, scenario["seed"], index).row() for index, table in enumerate(boards)]
    return [row | {"uuid": table.get("uuid", row["uuid"])} for row, table in zip(rows, boards)]


def driver(faults="", head=None):
    """The scenario with these faults; `head` changes its [driver] table."""

    def begin(rig):
        text = (harness.ROOT / "sim" / "scenarios" / f"{rig.fault.base}.toml").read_text()
        if head is not None:
            text = text.replace("[driver]\n", "[driver]\n" + head + "\n", 1)
        rig.scenario.write(text + faults)

    return begin


def faults(call, gpu=None, **effects):
    lines = [f'call = "{call}"'] + ([f"gpu = {gpu}"] if gpu is not None else [])
    lines += [f'{key.rstrip("_")} = {_toml(value)}' for key, value in effects.items()]
    return "\n[[fault]]\n" + "\n".join(lines) + "\n"


def _toml(value):
    return str(value).lower() if isinstance(value, bool) else f'"{value}"' if isinstance(value, str) else str(value)


def then(*steps):
    def begin(rig):
        for step in steps:
            step(rig)

    return begin


def signal_worker(number):
    return lambda rig: os.kill(rig.daemon.worker(), number)


def kill_spawner(rig):
    os.kill(rig.daemon.spawner(), signal.SIGKILL)


def stop_worker(rig):
    harness.freeze(rig.daemon.worker())


# The freezer of control groups version 1 holds back even SIGKILL, as a driver does that sleeps uninterruptibly. The one
# of version 2 lets it through.
FREEZER = pathlib.Path("/sys/fs/cgroup/freezer")


def no_freezer():
    probe = FREEZER / f"gputach-probe-{os.getpid()}"
    try:
        probe.mkdir()
        usable = (probe / "freezer.state").exists()
        probe.rmdir()
    except OSError as error:
        return f"no freezer of control groups version 1 ({error.strerror})"
    return None if usable else "no freezer of control groups version 1"


def freeze_worker(rig):
    group = FREEZER / f"gputach-e2e-{rig.daemon.pid}"
    group.mkdir()

    def thaw():
        (group / "freezer.state").write_text("THAWED")

        def empty():
            return not (group / "cgroup.procs").read_text()

        harness.wait_until("the frozen worker is dead", empty, 5)
        group.rmdir()

    rig.undo.append(thaw)
    (group / "cgroup.procs").write_text(str(rig.daemon.worker()))
    (group / "freezer.state").write_text("FROZEN")
    harness.wait_until("it is frozen", lambda: (group / "freezer.state").read_text().strip() == "FROZEN")


def limit_spawner(what, soft):
    return lambda rig: rig.limit(rig.daemon.spawner(), what, soft)


def limit_worker(what, soft):
    return lambda rig: rig.limit(rig.daemon.worker(), what, soft)


def sanitized():
    return "a sanitizer needs its own address space" if os.environ.get("GPUTACH_SANITIZE") else None


def libc():
    maps = pathlib.Path("/proc/self/maps").read_text()
    return re.search(r"\S+/libc\.so\.6$", maps, re.MULTILINE).group()


def reload_with(library):
    """The driver is taken away under us, and comes back as another version."""

    def mend(rig):
        rig.link(harness.BUILD / "drivers" / library / "libnvidia-ml.so.1" if library else harness.SIMULATOR)
        rig.scenario.become(rig.fault.base)

    return mend


def come_back_reversed(rig):
    """The same boards, the last one first."""
    rig.scenario.become(rig.fault.base)
    head, board = rig.scenario.path.read_text().split("[[gpu]]\n")
    uuids = [row["uuid"] for row in rig.rows]
    rig.scenario.write(head + "".join("[[gpu]]\n" + re.sub(r"^count = \d+", f'uuid = "{uuid}"', board, flags=re.M)
                                      for uuid in reversed(uuids)))


def come_back_without_one(rig):
    rig.scenario.become(rig.fault.base)
    count = len(rig.rows)
    rig.scenario.write(rig.scenario.path.read_text().replace(f"\ncount = {count}\n", f"\ncount = {count - 1}\n"))


class Pulse:
    """Asks for a page that needs no pass, over one connection, all the time."""

    def __init__(self, daemon):
        self.seconds = []  # that each answer took
        self._socket = daemon.connect()
        self._ask = b"GET /proxy/healthz HTTP/1.1\r\nHost: e2e\r\n\r\n"

    def beat(self):
        started = time.monotonic()
        self._socket.sendall(self._ask)
        response = harness.read_response(self._socket, started)
        if response.status != 200:
            raise AssertionError(f"healthz: {response.status}")
        self.seconds.append(response.seconds)

    def close(self):
        self._socket.close()
