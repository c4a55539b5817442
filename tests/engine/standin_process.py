"""Starts the stand-in for a test and gives it orders. Standard library only; nothing else of this folder is needed.

    with standin_process.StandIn("--token-rate", "50") as engine:
        engine.url, engine.arm("cut_tokens n=3", times=1), engine.state()["requests"]["aborted"]
"""

import http.client
import json
import pathlib
import re
import subprocess
import sys
import time

PROGRAM = pathlib.Path(__file__).resolve().with_name("standin.py")
PATIENCE_S = 20
TERMINATION_S = 2


class StandIn:
    def __init__(self, *flags):
        self.process = subprocess.Popen([sys.executable, str(PROGRAM), "--until-stdin-ends", *flags],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        match = re.fullmatch(r"standin listening address=(\S+) control=(\S+)\n", line)
        if not match:
            self.stop()
            raise AssertionError(f"the stand-in did not start: {line!r}")
        self.address, self._control = match.groups()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    @property
    def url(self):
        return f"http://{self.address}"

    @property
    def host_port(self):
        host, _, port = self.address.rpartition(":")
        return host, int(port)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(TERMINATION_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    # Orders, on the address that no fault reaches.

    def order(self, method, path, ask=None):
        connection = http.client.HTTPConnection(self._control, timeout=PATIENCE_S)
        try:
            connection.request(method, f"/standin/{path}", None if ask is None else json.dumps(ask))
            answer = connection.getresponse()
            content = json.loads(answer.read())
        finally:
            connection.close()
        if answer.status != 200:
            raise AssertionError(f"{method} /standin/{path}: {answer.status} {content}")
        return content

    def state(self, last=100):
        return self.order("GET", f"state?last={last}")

    def last(self):
        """The record of the newest request."""
        return self.state(1)["log"][-1]

    def clear(self):
        self.order("POST", "clear")

    def settings(self, **values):
        return self.order("POST", "settings", values)

    def arm(self, fault, times=None, path="/"):
        """The next `times` requests to paths that begin with `path` meet the fault; no `times`: until disarm()."""
        self.order("POST", "fault", {"fault": fault, "times": times, "path": path})

    def disarm(self):
        self.arm("")

    def listener(self, mode):
        self.order("POST", f"listener?mode={mode}")

    def drop(self, how="reset"):
        """Ends every connection that is open."""
        self.order("POST", f"drop?how={how}")

    def wait(self, what, condition, seconds=PATIENCE_S):
        """The first state for which `condition(state)` is true."""
        deadline = time.monotonic() + seconds
        while not condition(state := self.state()):
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {seconds} s: {what}; the state: {state}")
            time.sleep(0.005)
        return state

    def wait_ended(self, count=1, **more):
        """The records once `count` requests have ended, however that was."""
        ended = ("finished", "aborted", "faulted")
        state = self.wait(f"{count} requests ended", lambda s: sum(s["requests"][e] for e in ended) >= count, **more)
        return state["log"]
