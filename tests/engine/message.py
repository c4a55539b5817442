"""HTTP/1.1 as an engine needs it, written out so that a test can have it wrong on purpose.

Parsing is strict: what cannot be read in one way only is refused, and tests see it in the state as malformed.
"""

import dataclasses
import hashlib
import re
import urllib.parse

HEAD_BYTES_MAX = 1 << 20
CHUNK_LINE_BYTES_MAX = 8192
NO_BODY_STATUS = (204, 304)

TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) (\S+) HTTP/1\.([01])")
REASONS = {100: "Continue", 101: "Switching Protocols", 102: "Processing", 103: "Early Hints", 200: "OK",
           204: "No Content", 304: "Not Modified", 307: "Temporary Redirect", 400: "Bad Request", 401: "Unauthorized",
           403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 413: "Content Too Large",
           422: "Unprocessable Entity", 429: "Too Many Requests", 500: "Internal Server Error",
           503: "Service Unavailable"}  # fmt: skip


class Malformed(Exception):
    """The peer did not send HTTP that this reader accepts."""


@dataclasses.dataclass
class Request:
    method: str
    target: str
    minor: int
    headers: list  # (name, value) as they were received, in order
    path: str = ""
    query: dict = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        self.path, _, query = self.target.partition("?")
        self.query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))

    def values(self, name):
        return [value for its_name, value in self.headers if its_name.lower() == name]

    def header(self, name, default=None):
        return next(iter(self.values(name)), default)

    def has_token(self, name, token):
        return token in [part.strip().lower() for value in self.values(name) for part in value.split(",")]

    @property
    def keep_alive(self):
        if self.minor == 0:
            return self.has_token("connection", "keep-alive")
        return not self.has_token("connection", "close")


def parse_head(head):
    """`head` is everything up to and with the empty line."""
    lines = head[:-4].split(b"\r\n")
    match = REQUEST_LINE.fullmatch(lines[0])
    if not match:
        raise Malformed("request line")
    headers = [parse_field(line) for line in lines[1:]]
    method, target, minor = match.groups()
    request = Request(method.decode(), target.decode("latin-1"), int(minor), headers)
    if len(request.values("host")) != 1 and request.minor == 1:
        raise Malformed("not one Host")
    return request


def parse_field(line):
    name, colon, value = line.partition(b":")
    value = value.strip(b" \t")
    if not colon or not TOKEN.fullmatch(name) or re.search(rb"[\r\n\0]", value):
        raise Malformed("header field")
    return name.decode(), value.decode("latin-1")


class Body:
    """The body of one request, read piece by piece from a connection; bytes and hash are known at any time."""

    def __init__(self, connection, request):
        self._connection = connection
        self._request = request
        self._sha = hashlib.sha256()
        self.bytes = 0
        self.chunks = 0
        self.trailers = []
        self.length = None
        codings = request.values("transfer-encoding")
        lengths = request.values("content-length")
        if codings and lengths:
            raise Malformed("both a length and a transfer coding")
        if codings and [coding.lower() for coding in codings] != ["chunked"]:
            raise Malformed("transfer coding")
        if len(lengths) > 1 or any(not re.fullmatch("[0-9]{1,18}", length) for length in lengths):
            raise Malformed("content length")
        self.chunked = bool(codings)
        if not self.chunked:
            self.length = int(lengths[0]) if lengths else 0
        self.complete = self.length == 0
        self._continue_wanted = request.minor == 1 and request.header("expect", "").lower() == "100-continue"

    @property
    def sha256(self):
        return self._sha.hexdigest()

    async def pieces(self):
        """As uvicorn: the 100 goes out when the application begins to read."""
        if self._continue_wanted and not self.complete:
            self._continue_wanted = False
            self._connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self.chunked and not self.complete:
            async for piece in self._chunked_pieces():
                yield piece
        elif not self.complete:
            async for piece in self._exactly(self.length):
                yield piece
        self.complete = True

    async def read(self):
        return b"".join([piece async for piece in self.pieces()])

    async def _exactly(self, count):
        while count > 0:
            piece = await self._connection.read_some(count)
            count -= len(piece)
            self.bytes += len(piece)
            self._sha.update(piece)
            yield piece

    async def _chunked_pieces(self):
        while True:
            line = await self._connection.read_line(CHUNK_LINE_BYTES_MAX)
            match = re.fullmatch(rb"([0-9A-Fa-f]{1,15})[ \t]*(;.*)?", line)
            if not match:
                raise Malformed("chunk size")
            size = int(match.group(1), 16)
            if size == 0:
                break
            self.chunks += 1
            async for piece in self._exactly(size):
                yield piece
            if await self._connection.read_line(CHUNK_LINE_BYTES_MAX):
                raise Malformed("end of a chunk")
        while line := await self._connection.read_line(CHUNK_LINE_BYTES_MAX):
            self.trailers.append(parse_field(line))


def status_line(status):
    return f"HTTP/1.1 {status} {REASONS.get(status, '')}\r\n".encode()


def field_lines(fields):
    return b"".join(f"{name}: {value}\r\n".encode("latin-1") for name, value in fields)


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)
