"""A `gputach serve` of one's own: started on a free port, asked, timed, ended. Python 3.8 and newer."""

import http.client
import json
import re
import signal
import subprocess
import threading
import time

START_SECONDS_MAX = 300  # GPUs without persistence take 1 to 3 s each to wake
ANSWER_SECONDS_MAX = 70


class Served:
    def __init__(self, binary, flags):
        self.log = []
        self._grew = threading.Condition()
        self._ended = False
        self.process = subprocess.Popen([binary, "serve", "--listen", "127.0.0.1:0", *flags],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                        universal_newlines=True)  # fmt: skip
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        self.port = int(self._wait_for(r" listening address=127\.0\.0\.1:(\d+)").group(1))
        self._wait_for(r" worker_ready ")
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_SECONDS_MAX)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._reader.join(10)
        self.process.stderr.close()

    def _read_log(self):
        for line in self.process.stderr:
            with self._grew:
                self.log.append(line.rstrip("\n"))
                self._grew.notify_all()
        with self._grew:
            self._ended = True
            self._grew.notify_all()

    def _wait_for(self, pattern):
        def match():
            return next((found for line in self.log for found in [re.search(pattern, line)] if found), None)

        with self._grew:
            self._grew.wait_for(lambda: match() or self._ended, START_SECONDS_MAX)
            if match():
                return match()
        self.process.kill()
        self.process.wait()
        raise RuntimeError("gputach did not come up:\n" + "\n".join(self.log))

    def get(self):
        """(status, headers, body, seconds) of one page."""
        started = time.perf_counter()
        self.connection.request("GET", "/proxy/stats")
        answer = self.connection.getresponse()
        body = answer.read()
        return answer.status, answer.headers, body, time.perf_counter() - started

    def page(self):
        """(headers, parsed page); a page of errors is an error."""
        status, headers, body, _ = self.get()
        if status != 200:
            raise RuntimeError("GET /proxy/stats: %d %s" % (status, body.decode()))
        return headers, json.loads(body.decode())

    def time(self, count, cache):
        """Milliseconds of `count` requests that were all answered as `cache` says."""
        seconds = []
        for _ in range(count):
            status, headers, _, took = self.get()
            if (status, headers["X-Cache"]) != (200, cache):
                raise RuntimeError("%d, X-Cache: %s where 200, %s was due" % (status, headers["X-Cache"], cache))
            seconds.append(took * 1000)
        return seconds


def quantiles(values):
    ordered = sorted(values)
    pick = [ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in (0.5, 0.99)]
    return {"count": len(ordered), "p50_ms": round(pick[0], 3), "p99_ms": round(pick[1], 3),
            "max_ms": round(ordered[-1], 3)}  # fmt: skip
