#!/usr/bin/env python3
"""Runs OpenAI's clients against llama.cpp's Python server with a model of random weights.

usage: run.py --cache DIR [--proxy COMMAND]     starts the engine itself
       run.py --cache DIR --base-url URL        against what runs already, URL as clients take it: http://host:port/v1

COMMAND is started with {upstream} replaced by the engine's address, and must log "listening address=HOST:PORT".
"""

import argparse
import contextlib
import os
import pathlib
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
START_SECONDS_MAX = 60
TERMINATION_SECONDS_MAX = 10
CLIENT_SECONDS_MAX = 300
CONTEXT_TOKENS = 2048


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def running(name, command, log):
    """A process of its own group, which does not outlive the block."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                                   start_new_session=True, env=os.environ | {"PYTHONUNBUFFERED": "1"})
    try:
        yield process
        if process.poll() is not None:
            sys.exit(f"{name} ended by itself with status {process.returncode}:\n{log.read_text()}")
    finally:
        process.terminate()
        try:
            process.wait(TERMINATION_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_for(what, process, log, probe):
    deadline = time.monotonic() + START_SECONDS_MAX
    while not (answer := probe()):
        if process.poll() is not None:
            sys.exit(f"no {what}: it ended with status {process.returncode}:\n{log.read_text()}")
        if time.monotonic() > deadline:
            sys.exit(f"no {what} within {START_SECONDS_MAX} s:\n{log.read_text()}")
        time.sleep(0.05)
    return answer


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return answer.status == 200
    except OSError:
        return False


@contextlib.contextmanager
def engine(cache, log):
    """Its address as http://host:port."""
    url = f"http://127.0.0.1:{free_port()}"
    command = [cache / "venv" / "bin" / "python", "-m", "llama_cpp.server", "--model", cache / "model.gguf",
               "--model_alias", "tiny-random", "--host", "127.0.0.1", "--port", url.rpartition(":")[2],
               "--n_ctx", str(CONTEXT_TOKENS), "--n_threads", "1", "--interrupt_requests", "false"]  # fmt: skip
    with running("the engine", [str(word) for word in command], log) as process:
        wait_for("answer of the engine", process, log, lambda: answers(url + "/v1/models"))
        yield url


@contextlib.contextmanager
def proxy(command, upstream, log):
    words = [word.replace("{upstream}", upstream) for word in shlex.split(command)]
    with running("the proxy", words, log) as process:
        def address():
            return re.search(r"listening address=([^\s,]+)", log.read_text())

        yield "http://" + wait_for("address of the proxy", process, log, address).group(1)


def run_clients(cache, base_url, engine_log):
    environment = os.environ | {"GPUTACH_E2E_BASE_URL": base_url, "PYTHONDONTWRITEBYTECODE": "1",
                                "GPUTACH_E2E_NODE_MODULES": str(cache / "node_modules")}  # fmt: skip
    if engine_log:
        environment["GPUTACH_E2E_ENGINE_LOG"] = str(engine_log)
    failed = []
    for command in ([cache / "venv" / "bin" / "python", HERE / "client_python_test.py"],
                    ["node", "--test", HERE / "client_node_test.mjs"]):  # fmt: skip
        started = time.monotonic()
        try:
            status = subprocess.run(command, env=environment, timeout=CLIENT_SECONDS_MAX, check=False).returncode
        except subprocess.TimeoutExpired:
            status = f"none after {CLIENT_SECONDS_MAX} s"
        print(f"== {command[-1].name}: status {status}, {time.monotonic() - started:.1f} s", flush=True)
        if status != 0:
            failed.append(command[-1].name)
    return failed


def main():
    parser = argparse.ArgumentParser(usage=__doc__.partition("usage: ")[2])
    parser.add_argument("--cache", type=pathlib.Path, required=True)
    parser.add_argument("--proxy", metavar="COMMAND")
    parser.add_argument("--base-url", metavar="URL")
    arguments = parser.parse_args()
    cache = arguments.cache.resolve()
    if arguments.base_url:
        return 1 if run_clients(cache, arguments.base_url, None) else 0
    engine_log, proxy_log = cache / "engine.log", cache / "proxy.log"
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(engine(cache, engine_log))
        if arguments.proxy:
            url = stack.enter_context(proxy(arguments.proxy, url, proxy_log))
        failed = run_clients(cache, url + "/v1", engine_log)
    if failed:
        print(f"what the engine said: {engine_log}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
