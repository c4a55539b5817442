"""What every end-to-end test needs: the real binary on a free port, a plain HTTP client, and waits that end.

GPUTACH_BUILD       folder with the binary and the simulated driver (default build/release)
GPUTACH_TIME_SCALE  factor for every bound in seconds; sanitizer builds are slower
GPUTACH_SANITIZE    which sanitizers the build has, as in -fsanitize=
"""

import ctypes
import dataclasses
import email.parser
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("GPUTACH_BUILD", ROOT / "build" / "release")).resolve()
BINARY = BUILD / "gputach"
SIMULATOR = BUILD / "libnvidia-ml.so.1"
SCALE = float(os.environ.get("GPUTACH_TIME_SCALE", "1"))
# The thread sanitizer gives every process a thread of its own, which wakes up ten times in a second.
THREAD_SANITIZER = "thread" in os.environ.get("GPUTACH_SANITIZE", "")

FROZEN_TIME_S = 1000  # the moment of the load curves that golden pages show
PATIENCE_S = 20 * SCALE  # for what has to happen, but about whose speed a test says nothing
NOT_RUN = 77  # the exit status by which ctest knows a test that the machine cannot run
SANITIZER_REPORT = re.compile(r"ERROR: \w*Sanitizer|WARNING: ThreadSanitizer|runtime error:|SUMMARY: \w*Sanitizer")


# Orphans come to this process and not to an init that may not exist in a container, so that a daemon that was killed
# leaves exactly what it forgot.
PR_SET_CHILD_SUBREAPER = 36
if ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
    raise OSError("cannot become a subreaper")


def wait_until(what, probe, seconds=PATIENCE_S):
    """Returns the first true answer of `probe`; fails when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (answer := probe()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.1f} s: {what}")
        time.sleep(0.01)
    return answer


@dataclasses.dataclass(frozen=True)
class Response:
    status: int
    headers: http.client.HTTPMessage
    body: bytes
    seconds: float

    def json(self):
        return json.loads(self.body)

    @property
    def cache(self):
        return self.headers["X-Cache"]

    @property
    def error(self):
        return self.json()["error"]


@dataclasses.dataclass(frozen=True)
class Process:
    pid: int
    parent: int
    state: str

    @property
    def comm(self):
        return pathlib.Path(f"/proc/{self.pid}/comm").read_text().strip()


def processes_of_session(session):
    """Everything a daemon started, orphans and zombies too: each daemon gets a session of its own. Orphans that have
    ended are reaped, as an init would do.
    """
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            stat = pathlib.Path(f"/proc/{entry}/stat").read_text()
        except OSError:
            continue  # it ended meanwhile
        state, parent, _, its_session = stat[stat.rindex(")") + 2 :].split()[:4]
        if int(its_session) != session:
            continue
        if int(parent) == os.getpid() and int(entry) != session and os.waitpid(int(entry), os.WNOHANG)[0] != 0:
            continue
        found.append(Process(int(entry), int(parent), state))
    return found


def freeze(pid):
    """SIGSTOP, in force for every thread when this returns."""
    os.kill(pid, signal.SIGSTOP)

    def stopped(task):
        stat = (task / "stat").read_text()
        return stat[stat.rindex(")") + 2] == "T"

    wait_until(f"{pid} is stopped", lambda: all(map(stopped, pathlib.Path(f"/proc/{pid}/task").iterdir())))


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


@dataclasses.dataclass(frozen=True)
class Call:
    at_ns: int
    symbol: str
    gpu: int | None


class Daemon:
    """One `gputach serve`. Use TestCase.serve(), which also ends and judges it."""

    def __init__(self, folder, scenario, flags, environment, library, listen, frozen, prefix):
        self.folder = folder
        self.call_log = folder / "calls"
        env = {k: v for k, v in os.environ.items() if not k.startswith("GPUTACH_")}
        env |= {"GPUTACH_SIM_SCENARIO": str(scenario), "GPUTACH_SIM_CALL_LOG": str(self.call_log)}
        if frozen:
            env["GPUTACH_SIM_TIME_S"] = str(FROZEN_TIME_S)
        arguments = [*prefix, str(BINARY), "serve"]
        arguments += ["--listen", listen] if listen is not None else []
        arguments += ["--nvml-library", str(library)] if library is not None else []
        self.process = subprocess.Popen(arguments + list(flags), env=env | environment, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        self.pid = self.process.pid
        self.judged = False
        self._log = []
        self._log_grew = threading.Condition()
        self._log_ended = False
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()

    def _read_log(self):
        for line in self.process.stderr:
            with self._log_grew:
                self._log.append(line.decode(errors="replace").rstrip("\n"))
                self._log_grew.notify_all()
        with self._log_grew:
            self._log_ended = True
            self._log_grew.notify_all()

    # The log.

    def log(self):
        with self._log_grew:
            return list(self._log)

    def wait_for_log(self, pattern, seconds=PATIENCE_S, count=1):
        """The match of the `count`-th line with `pattern`."""
        def matches():
            return [m for line in self._log if (m := re.search(pattern, line))]

        with self._log_grew:
            self._log_grew.wait_for(lambda: len(matches()) >= count or self._log_ended, seconds)
            found = matches()
            if len(found) < count:
                log = "\n".join(self._log)
                raise AssertionError(f"no log line {pattern!r} within {seconds:.1f} s; the log:\n{log}")
            return found[count - 1]

    def wait_listening(self):
        address = self.wait_for_log(r" info listening address=(\S+)").group(1).split(",")[0]
        self.host, _, port = address.rpartition(":")
        self.host = self.host.strip("[]")
        self.host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        self.port = int(port)

    def wait_ready(self):
        self.wait_for_log(r"worker_ready")

    # HTTP.

    @property
    def url(self):
        return f"http://{self.host}:{self.port}"

    def request(self, method, path, headers=None, body=None, timeout=PATIENCE_S):
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        try:
            started = time.monotonic()
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            content = answer.read()
            return Response(answer.status, answer.headers, content, time.monotonic() - started)
        finally:
            connection.close()

    def get(self, path="/proxy/stats", **more):
        return self.request("GET", path, **more)

    def stats(self, path="/proxy/stats"):
        response = self.get(path)
        if response.status != 200:
            raise AssertionError(f"GET {path}: {response.status} {response.body!r}")
        return response.json()

    def connect(self):
        return socket.create_connection((self.host, self.port), timeout=PATIENCE_S)

    def simultaneous(self, count, path="/proxy/stats"):
        """`count` connections that ask at the same time; their answers in the order of the connections."""
        clients = [self.connect() for _ in range(count)]
        try:
            started = time.monotonic()
            for client in clients:
                client.sendall(f"GET {path} HTTP/1.1\r\nHost: e2e\r\nConnection: close\r\n\r\n".encode())
            return [read_response(client, started) for client in clients]
        finally:
            for client in clients:
                client.close()

    # The simulated driver.

    def calls(self):
        if not self.call_log.exists():
            return []
        rows = [line.split() for line in self.call_log.read_text().splitlines()]
        return [Call(int(at), symbol, None if gpu == "-" else int(gpu)) for at, symbol, gpu in rows]

    def count_calls(self, symbol, gpu=None):
        return sum(c.symbol == symbol and c.gpu == gpu for c in self.calls())

    def passes(self):
        """How often the GPUs were read: one figure of the first GPU is asked once in each pass."""
        return self.count_calls("nvmlDeviceGetPowerUsage", 0)

    # Processes.

    def processes(self):
        return processes_of_session(self.pid)

    def child_of(self, parent):
        return next((p.pid for p in self.processes() if p.parent == parent and p.state != "Z"), None)

    def spawner(self):
        return wait_until("there is a spawner", lambda: self.child_of(self.pid))

    def worker(self):
        spawner = self.spawner()
        return wait_until("there is a worker", lambda: self.child_of(spawner))

    # The end.

    def terminate(self, number=signal.SIGTERM):
        """Ends it as an init system does and returns the seconds that took; the rules of a good end are checked."""
        started = time.monotonic()
        self.process.send_signal(number)
        try:
            status = self.process.wait(timeout=1 * SCALE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"alive 1 s after {number.name}; the log:\n" + "\n".join(self.log())) from None
        seconds = time.monotonic() - started
        self.judge(status, 0)
        return seconds

    def judge(self, status, expected):
        self.judged = True
        self.wait_gone(1 * SCALE)
        if printed := self.process.stdout.read():
            raise AssertionError(f"logs go to standard error; standard output got {printed!r}")
        self._reader.join(PATIENCE_S)
        log = "\n".join(self.log())
        if SANITIZER_REPORT.search(log):
            raise AssertionError(f"the sanitizer complains:\n{log}")
        if status != expected:
            raise AssertionError(f"exit status {status} instead of {expected}; the log:\n{log}")

    def wait_gone(self, seconds):
        wait_until("no process of the daemon is left", lambda: not self.processes(), seconds)

    def clean_up(self):
        try:
            if not self.judged:
                self.terminate()
        finally:
            for process in self.processes():
                os.kill(process.pid, signal.SIGKILL)
            self.process.wait(PATIENCE_S)
            self._reader.join(PATIENCE_S)
            self.process.stdout.close()
            self.process.stderr.close()


def read_response(client, started):
    """One response on a socket, by Content-Length, without any HTTP library in between."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = client.recv(65536)
        if not more:
            raise AssertionError(f"the connection ended within the head of a response: {data!r}")
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    line, _, fields = head.partition(b"\r\n")
    headers = email.parser.BytesParser(_class=http.client.HTTPMessage).parsebytes(fields + b"\r\n\r\n")
    length = int(headers.get("Content-Length", 0))
    while len(body) < length:
        more = client.recv(65536)
        if not more:
            raise AssertionError(f"the connection ended within the body: {body!r}")
        body += more
    return Response(int(line.split()[1]), headers, body, time.monotonic() - started)


class TestCase(unittest.TestCase):
    maxDiff = None

    def folder(self):
        path = pathlib.Path(tempfile.mkdtemp(prefix="gputach-e2e-"))
        self.addCleanup(shutil.rmtree, path)
        return path

    def start(self, scenario="h100x8-busy", *flags, environment=None, library=SIMULATOR, listen="127.0.0.1:0",
              frozen=True, prefix=()):
        """A daemon that may not have come up yet. `prefix`: a command that becomes it."""
        daemon = Daemon(self.folder(), scenario, flags, environment or {}, library, listen, frozen, prefix)
        self.addCleanup(daemon.clean_up)
        return daemon

    def serve(self, scenario="h100x8-busy", *flags, **more):
        daemon = self.start(scenario, *flags, **more)
        daemon.wait_listening()
        return daemon

    def serve_ready(self, scenario="h100x8-busy", *flags, **more):
        daemon = self.serve(scenario, *flags, **more)
        daemon.wait_ready()
        return daemon

    def scenario_file(self, name):
        return ScenarioFile(self.folder() / "scenario.toml", name)

    def assert_query_error(self, response, text):
        self.assertEqual((response.status, response.body), (500, query_error(text)))


class ScenarioFile:
    """A scenario by path, which the simulated driver reads again when it is replaced."""

    def __init__(self, path, name):
        self.path = path
        self.become(name)

    def become(self, name, more=""):
        self.write((ROOT / "sim" / "scenarios" / f"{name}.toml").read_text() + more)

    def write(self, text):
        fresh = self.path.with_suffix(".new")
        fresh.write_text(text)
        fresh.rename(self.path)

    def __str__(self):
        return str(self.path)


def query_error(text):
    return b'{"error":"Failed to query GPU: ' + text.encode() + b'"}'


def run_gputach(*arguments, environment=None, timeout=PATIENCE_S):
    """A command that ends by itself."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("GPUTACH_")}
    return subprocess.run([str(BINARY), *arguments], env=env | (environment or {}), stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=timeout, check=False)


def main():
    for needed in (BINARY, SIMULATOR):
        if not needed.exists():
            sys.exit(f"{needed} is missing: build first, or set GPUTACH_BUILD")
    result = unittest.main(module="__main__", verbosity=2, exit=False).result
    if not result.wasSuccessful():
        sys.exit(1)
    if result.testsRun == 0:
        sys.exit("there is no test in this file")
    sys.exit(NOT_RUN if len(result.skipped) == result.testsRun else 0)
