"""One request and its answer. How the answer is written is open to faults: framing, cuts, gaps, extra bytes."""

import asyncio
import dataclasses
import email.utils
import json
import random

import message


class Broken(Exception):
    """The stand-in has broken this exchange on purpose and nothing more is to be said on the connection."""


@dataclasses.dataclass
class Manner:
    """How an answer is to be written; what a fault changes."""

    framing: str | None = None  # length, chunked or close; None leaves it to the route
    interim: list = dataclasses.field(default_factory=list)  # (status, fields) before the answer
    fields: list = dataclasses.field(default_factory=list)  # more header fields
    trailers: list = dataclasses.field(default_factory=list)
    head_cut: bool = False
    head_gap_s: float = 0.0
    body_cut: int | None = None  # after so many bytes of the body
    token_cut: int | None = None  # after so many tokens
    cut_how: str = "close"  # close, reset or stall
    gap_s: float = 0.0  # between pieces of the body
    ragged: random.Random | None = None  # pieces cut anew, without regard for events
    gather: int = 0  # pieces joined until there are so many bytes
    stream_error: int | None = None  # an error event after so many tokens
    close_after: bool = False  # closes without having said so
    afterwards: bytes = b""  # on the idle connection
    afterwards_s: float = 0.0


class Exchange:
    """Use: `await start(...)`, `await send(...)` any number of times, `await finish()`; or `await answer(...)`."""

    def __init__(self, engine, connection, request, body, record):
        self.engine = engine
        self.connection = connection
        self.request = request
        self.body = body
        self.record = record
        self.manner = Manner()
        self.status = None
        self.closes = not request.keep_alive
        self._framing = None
        self._left = None
        self._sent = 0
        self._gathered = b""

    # What routes say.

    async def answer(self, status, content=b"", fields=()):
        """A whole answer; anything but bytes goes out as JSON."""
        fields = list(fields)
        if not isinstance(content, bytes):
            content = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
            fields.append(("content-type", "application/json"))
        await self.start(status, fields, length=len(content))
        await self.send(content)
        await self.finish()

    async def error(self, status, text, kind="BadRequestError"):
        await self.answer(status, {"error": {"message": text, "type": kind, "param": None, "code": status}})

    async def start(self, status, fields=(), length=None):
        for its_status, its_fields in self.manner.interim:
            self.connection.write(message.status_line(its_status) + message.field_lines(its_fields) + b"\r\n")
        self.status = self.record.status = status
        self.record.phase = "reply" if self.record.phase in ("head", "body") else self.record.phase
        fields = [("date", email.utils.formatdate(usegmt=True)), ("server", "uvicorn"), *fields, *self.manner.fields]
        if self.request.header("origin"):
            fields.append(("access-control-allow-origin", "*"))
        fields.append(("vary", "Origin"))
        fields += self._framing_fields(status, length)
        if self.closes:
            fields.append(("connection", "close"))
        await self._write_head(message.status_line(status) + message.field_lines(fields) + b"\r\n")

    def _framing_fields(self, status, length):
        if status in message.NO_BODY_STATUS:
            self._framing = "none"
            return []
        self._framing = self.manner.framing or ("chunked" if length is None else "length")
        if self._framing == "length" and length is None:
            raise ValueError("the length of this answer is not known")
        if self._framing == "chunked" and self.request.minor == 0:
            self._framing = "close"
        if self._framing == "length":
            self._left = length
            return [("content-length", str(length))]
        if self._framing == "chunked":
            return [("transfer-encoding", "chunked")]
        self.closes = True
        return []

    async def _write_head(self, head):
        if self.manner.head_cut:
            self.connection.write(head[: len(head) * 2 // 3])
            await self._cut()
        if self.manner.head_gap_s:
            for position in range(len(head)):
                self.connection.write(head[position : position + 1])
                await asyncio.sleep(self.manner.head_gap_s)
        else:
            self.connection.write(head)
        await self.connection.drain()

    async def send(self, data):
        """One call is one chunk, unless the manner says otherwise."""
        if not data or self.request.method == "HEAD" or self._framing == "none":
            return
        for piece in self._pieces(data):
            if self.manner.body_cut is not None and self._sent + len(piece) > self.manner.body_cut:
                await self._cut_within(piece)
            self._write_piece(piece)
            await self.connection.drain()
            if self.manner.gap_s:
                await asyncio.sleep(self.manner.gap_s)

    def _pieces(self, data):
        if self.manner.gather:
            self._gathered += data
            if len(self._gathered) < self.manner.gather:
                return
            data, self._gathered = self._gathered, b""
        while self.manner.ragged and len(data) > 1:
            count = self.manner.ragged.randint(1, min(len(data), 40))
            yield data[:count]
            data = data[count:]
        if data:
            yield data

    def _write_piece(self, piece):
        self._sent += len(piece)
        self.record.sent_bytes = self._sent
        if self._left is not None:
            self._left -= len(piece)
            if self._left < 0:
                raise ValueError("more than the length that was announced")
        self.connection.write(message.chunk(piece) if self._framing == "chunked" else piece)

    async def _cut_within(self, piece):
        """In the middle of a chunk when the cut falls there, between two when it falls on their border."""
        kept = piece[: self.manner.body_cut - self._sent]
        if kept:
            self.connection.write(b"%x\r\n%b" % (len(piece), kept) if self._framing == "chunked" else kept)
            self.record.sent_bytes += len(kept)
        await self._cut()

    async def token_sent(self):
        self.record.tokens += 1
        if self.manner.token_cut is not None and self.record.tokens >= self.manner.token_cut:
            await self._cut()

    async def _cut(self):
        await self.connection.drain()
        await self.broken(self.manner.cut_how)

    async def finish(self):
        if self._gathered:
            self.manner.gather = 0
            rest, self._gathered = self._gathered, b""
            await self.send(rest)
        if self.manner.body_cut is not None and self._framing != "none":
            await self._cut()  # the body was shorter than the cut: what is missing is its end
        if self._framing == "chunked" and self.request.method != "HEAD":
            self.connection.write(b"0\r\n" + message.field_lines(self.manner.trailers) + b"\r\n")
        elif self._left and self.request.method != "HEAD":
            raise ValueError("less than the length that was announced")
        await self.connection.drain()
        if self.manner.close_after:
            self.closes = True

    # What faults say.

    async def broken(self, how):
        """close: FIN; reset: RST; stall: nothing more until the peer goes."""
        if how == "stall":
            await self.connection.until_gone()
        self.engine.book.end(self.record, "faulted")
        if how == "reset":
            self.connection.reset()
        raise Broken

    async def raw(self, data, how="close"):
        """Bytes as they are. how: close, reset, stall or keep (the connection stays usable)."""
        self.connection.write(data)
        await self.connection.drain()
        if how != "keep":
            await self.broken(how)
        self.engine.book.end(self.record, "faulted")
