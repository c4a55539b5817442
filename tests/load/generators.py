"""The clients: wrk, h2load and load_poller, each on the second processor, each answer checked."""

import json
import re
import subprocess

import machine
import servers

PATH = "/proxy/stats"
SLACK_S = 60  # beyond the time a generator was told to take


def run(command, seconds):
    machine.need(command[0])
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False,
                          timeout=seconds + SLACK_S, preexec_fn=servers.placement(servers.GENERATOR_PROCESSOR))
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stdout} {done.stderr}")
    return done.stdout


def url(server, path=PATH):
    return f"http://127.0.0.1:{server.port}{path}"


def post_script(body_bytes):
    """For wrk: what a client of an inference engine posts."""
    empty = json.dumps({"model": "stand-in", "stream": False, "messages": [{"role": "user", "content": ""}]})
    body = empty.replace('"content": ""', f'"content": "{"x" * (body_bytes - len(empty))}"')
    return f"""
wrk.method = "POST"
wrk.body = '{body}'
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer 0123456789abcdef0123456789abcdef"
"""


def microseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(number) * {"us": 1, "ms": 1e3, "s": 1e6, "m": 60e6}[unit]


def wrk(server, connections, seconds, path=PATH, script=None):
    scripted = ["-s", script] if script else []
    text = run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", *scripted, url(server, path)], seconds)
    if re.search(r"Non-2xx|Socket errors", text):
        raise RuntimeError(f"wrk had errors with {server.name}: {text}")
    return {
        "requests": int(re.search(r"(\d+) requests in", text).group(1)),
        "requests_per_s": float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1)),
        "p50_us": microseconds(re.search(r"(?m)^ +50% +(\S+)", text).group(1)),
        "p99_us": microseconds(re.search(r"(?m)^ +99% +(\S+)", text).group(1)),
    }


def h2load(server, connections, depth, seconds):
    text = run(["h2load", "--h1", f"-c{connections}", f"-m{depth}", "-D", seconds, url(server)], seconds)
    requests, done = re.search(r"requests: \d+ total, (\d+) started, (\d+) done", text).groups()
    good = int(re.search(r"status codes: (\d+) 2xx", text).group(1))
    if good == 0 or good != int(done):
        raise RuntimeError(f"h2load had errors with {server.name}: {text}")
    return {"requests": int(requests), "requests_per_s": float(re.search(r", ([\d.]+) req/s", text).group(1))}


def poller(bench, mode, server, limit_s, may_refuse=False, **options):
    command = [bench.program("poller"), mode, "--port", server.port]
    for name, value in options.items():
        command += [f"--{name}", value]
    answer = json.loads(run(command, limit_s))
    if (answer.get("refused") and not may_refuse) or answer.get("unanswered"):
        raise RuntimeError(f"{server.name} refused requests or left them unanswered: {answer}")
    return answer


def open_loop(bench, server, connections, rate, seconds):
    return poller(bench, "open", server, seconds, connections=connections, rate=rate, seconds=seconds)


def closed_loop(bench, server, connections, depth, seconds):
    return poller(bench, "closed", server, seconds, connections=connections, depth=depth, seconds=seconds)


class Idle:
    """Connections that stay open and say nothing while the block lasts."""

    def __init__(self, bench, server, connections, asked):
        command = [bench.program("poller"), "idle", "--port", server.port,
                   "--connections", connections, "--ask", int(asked)]
        self._process = subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         preexec_fn=servers.placement(servers.GENERATOR_PROCESSOR))
        if not self._process.stdout.readline():
            raise RuntimeError(f"{connections} connections could not be opened")

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self._process.stdin.close()
        status = self._process.wait(SLACK_S)
        self._process.stdout.close()
        if status != 0 and kind is None:
            raise RuntimeError("idle connections were closed by the server")
