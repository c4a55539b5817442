"""The servers that are measured: gputach over the simulated driver, nginx, and the raw epoll loop. All are started on
one processor, in a session of their own, and end with the block that started them.
"""

import contextlib
import os
import pathlib
import re
import resource
import signal
import socket
import subprocess
import time

import machine

SERVER_PROCESSOR = 0
GENERATOR_PROCESSOR = 1
PATIENCE_S = 20
REQUEST = b"GET /proxy/stats HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: gputach-load\r\nAccept: */*\r\n\r\n"
# A long TTL makes every timed request a hit; it is the longest that the flag takes.
CACHED = ("--cache-ttl", "60s")
UNCACHED = ("--cache-ttl", "0s")

running = []  # every server that lives now


def placement(processor):
    """For preexec_fn: on this processor and, where that is allowed, ahead of what else the machine does."""

    def place():
        if processor is not None:
            os.sched_setaffinity(0, {processor})
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, -10)

    return place


def allow_descriptors(bench, connections):
    """For this process and what it starts."""
    spare = 1000
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < connections + spare:
        raise machine.NotRun(f"a process of this user may open only {hard} descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(what, probe, seconds=PATIENCE_S):
    deadline = time.monotonic() + seconds
    while not (answer := probe()):
        if time.monotonic() > deadline:
            raise RuntimeError(f"not within {seconds} s: {what}")
        time.sleep(0.005)
    return answer


def fetch(port):
    """One answer as it came: head and body."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as client:
        client.sendall(REQUEST)
        answer = b""
        while True:
            head, end, body = answer.partition(b"\r\n\r\n")
            if end and len(body) >= int(re.search(rb"(?i)content-length: (\d+)", head).group(1)):
                return head + end, body
            if not (more := client.recv(65536)):
                raise RuntimeError(f"the connection ended within an answer: {answer[:200]!r}")
            answer += more


class Server:
    """A running program. Its figures are sums over all of its processes."""

    def __init__(self, name, command, log, environment=None, processor=SERVER_PROCESSOR):
        self.name = name
        self.port = None
        self.log = log
        with open(log, "wb") as output:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                            env=environment, start_new_session=True, preexec_fn=placement(processor))
        running.append(self)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        if self not in running:
            return
        running.remove(self)
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def log_match(self, pattern):
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.name} ended by itself: {self.log.read_text(errors='replace')[-2000:]}")
        return re.search(pattern, self.log.read_text(errors="replace"))

    def processes(self):
        return machine.processes_of_session(self.process.pid)

    def cpu_seconds(self):
        return machine.cpu_seconds(self.processes())

    def memory_kib(self, field):
        return sum(machine.memory_kib(pid, field) for pid in self.processes())


def running_sessions():
    return [server.process.pid for server in running]


class Gputach(Server):
    def __init__(self, bench, *flags, scenario="h100x8-busy", call_log=None, frozen=False, prefix=(),
                 processor=SERVER_PROCESSOR, port=0):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("GPUTACH_")}
        environment["GPUTACH_SIM_SCENARIO"] = str(scenario)
        if call_log:
            environment["GPUTACH_SIM_CALL_LOG"] = str(call_log)
        if frozen:
            environment["GPUTACH_SIM_TIME_S"] = "1000"  # the figures, and so the bytes, are the same each time
        command = [*prefix, str(bench.build / "gputach"), "serve", "--listen", f"127.0.0.1:{port}",
                   "--nvml-library", str(bench.build / "libnvidia-ml.so.1"), *flags]
        super().__init__("gputach", command, bench.log_file("gputach"), environment, processor)

    def ready(self):
        """Listening, its worker has read the GPUs, and the answer is in the cache."""
        found = wait_for("gputach listens", lambda: self.log_match(r"listening address=127\.0\.0\.1:(\d+)"))
        self.port = int(found.group(1))
        wait_for("gputach answers with figures", lambda: b'"gpus":[{' in fetch(self.port)[1])
        return self


class Nginx(Server):
    """`return` with the same body and, beside nginx's own, the same fields."""

    def __init__(self, bench, head, body):
        folder = bench.work / "nginx"
        folder.mkdir(exist_ok=True)
        own = ("content-type", "content-length", "date", "connection", "server")
        lines = [line.split(": ", 1) for line in head.decode().split("\r\n")[1:] if line]
        fields = [f"add_header {name} '{value}';" for name, value in lines if name.lower() not in own]
        text = body.decode()
        if "'" in text or "$" in text or "\\" in text or len(text) > 3900:  # one word of its configuration: 4096 bytes
            raise RuntimeError("this body cannot be written into nginx's configuration")
        port = free_port()
        (folder / "nginx.conf").write_text(f"""
worker_processes 1;
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 16384; }}
http {{
  access_log off;
  server_tokens off;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  default_type application/json;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = /proxy/stats {{
      {' '.join(fields)}
      return 200 '{text}';
    }}
  }}
}}
""")
        command = [machine.need("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf")]
        super().__init__("nginx", command, bench.log_file("nginx"))
        self.port = port

    def ready(self):
        def answers():
            with contextlib.suppress(OSError):
                return fetch(self.port)
            self.log_match("")
            return None

        wait_for("nginx answers", answers)
        return self


class RawEpoll(Server):
    def __init__(self, bench, head, body):
        page = bench.work / "page.http"
        page.write_bytes(head + body)
        super().__init__("epoll", [bench.program("epoll"), "--response", str(page)],
                         bench.log_file("epoll"))

    def ready(self):
        self.port = int(wait_for("the raw loop listens", lambda: self.log_match(r"port (\d+)")).group(1))
        return self


@contextlib.contextmanager
def opponents(bench):
    """gputach with a cached page, and the others with the same bytes."""
    with Gputach(bench, *CACHED) as gputach:
        gputach.ready()
        head, body = fetch(gputach.port)
        with Nginx(bench, head, body) as nginx, RawEpoll(bench, head, body) as epoll:
            nginx.ready()
            epoll.ready()
            if fetch(nginx.port)[1] != body or fetch(epoll.port)[1] != body:
                raise RuntimeError("the opponents do not send the same body")
            yield {"gputach": gputach, "nginx": nginx, "epoll": epoll}
