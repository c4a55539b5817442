"""What the stand-in saw: served at /standin/state, so that a test can say what reached the engine and when.

Times are CLOCK_MONOTONIC in nanoseconds, which on one machine is time.monotonic_ns() of every process.
"""

import collections
import dataclasses
import itertools
import time

LOG_RECORDS_MAX = 5000


@dataclasses.dataclass
class Record:
    number: int
    connection: int
    on_connection: int  # the first request on a connection has 1
    method: str
    target: str
    minor: int
    headers: list
    started_ns: int
    state: str = "active"  # finished, aborted (the peer went away) or faulted (the stand-in broke it on purpose)
    phase: str = "head"  # the last of head, body, queue, prefill, decode, reply that was reached
    fault: str | None = None
    status: int | None = None
    ended_ns: int | None = None
    body_bytes: int = 0
    body_chunks: int = 0
    body_complete: bool = False
    body_sha256: str | None = None
    trailers: list = dataclasses.field(default_factory=list)
    sent_bytes: int = 0
    tokens: int = 0

    def take_body(self, body):
        self.body_bytes, self.body_chunks, self.body_complete = body.bytes, body.chunks, body.complete
        self.body_sha256, self.trailers = body.sha256, body.trailers


class Book:
    """Connections and requests, counted. Those of the control address and of /standin/ are left out."""

    def __init__(self):
        self.open = set()
        self.clear()

    def clear(self):
        self._numbers = itertools.count(1)
        self.opened = len(self.open)
        self.peak = len(self.open)
        self.counts = collections.Counter(started=0, finished=0, aborted=0, faulted=0, malformed=0)
        self.received_bytes = 0
        self.sent_bytes = 0
        self.log = collections.deque(maxlen=LOG_RECORDS_MAX)
        self.malformed = collections.deque(maxlen=100)

    def connection_opened(self, connection):
        self.open.add(connection)
        self.opened += 1
        self.peak = max(self.peak, len(self.open))

    def connection_is_not_counted(self, connection):
        if connection in self.open:
            self.open.remove(connection)
            self.opened -= 1

    def begin(self, connection, on_connection, request):
        record = Record(next(self._numbers), connection.number, on_connection, request.method, request.target,
                        request.minor, request.headers, time.monotonic_ns())
        self.counts["started"] += 1
        self.log.append(record)
        return record

    def end(self, record, state, at_ns=None):
        if record.state != "active":
            return
        record.state = state
        record.ended_ns = at_ns or time.monotonic_ns()
        self.counts[state] += 1

    def saw_malformed(self, reason, data):
        self.counts["malformed"] += 1
        self.malformed.append({"reason": str(reason), "bytes": bytes(data[:2000]).decode("latin-1")})

    def state(self, last):
        active = self.counts["started"] - sum(self.counts[name] for name in ("finished", "aborted", "faulted"))
        idle = sum(connection.is_idle for connection in self.open)
        for connection in self.open:
            connection.refresh_record()
        return {
            "now_ns": time.monotonic_ns(),
            "connections": {"open": len(self.open), "idle": idle, "opened": self.opened, "peak": self.peak},
            "requests": {"active": active, **self.counts},
            "bytes": {"received": self.received_bytes, "sent": self.sent_bytes},
            "malformed": list(self.malformed),
            "log": [dataclasses.asdict(record) for record in list(self.log)[-last:]] if last else [],
        }
