"""The faults: a table. A fault either changes the manner of an answer or takes the place of the route.

A fault is chosen by the header `X-Fault: NAME key=value ...`, by `?fault=NAME,key=value` or, for the next requests,
at /standin/fault.
"""

import asyncio
import dataclasses
import random
import re
import typing

import raw_answers

CUTS = ("close", "reset", "stall")


class BadFault(Exception):
    """The text does not name a fault of the table."""


@dataclasses.dataclass
class Fault:
    name: str
    values: dict

    def number(self, key):
        return int(self.values[key])

    def seconds(self, key):
        return float(self.values[key]) / 1000

    def text(self, key):
        return self.values[key]


@dataclasses.dataclass
class Row:
    """`apply(exchange, fault)`: a coroutine; when it returns True the exchange is over, else the route answers."""

    apply: typing.Callable
    help: str
    defaults: dict


def parse(text):
    name, *pairs = [part for part in re.split(r"[\s,;]+", text) if part]
    row = TABLE.get(name)
    if row is None:
        raise BadFault(f"there is no fault {name!r}")
    values = dict(row.defaults)
    for pair in pairs:
        key, _, value = pair.partition("=")
        if key not in values:
            raise BadFault(f"the fault {name!r} has no {key!r}")
        values[key] = value
    if values.get("how", "close") not in (*CUTS, "keep"):
        raise BadFault(f"how={values['how']}")
    return Fault(name, values)


# Instead of an answer.


async def _silent(exchange, fault):
    await exchange.body.read()
    await exchange.broken("stall")


async def _close(exchange, fault):
    if fault.text("body") == "read":
        await exchange.body.read()
    await asyncio.sleep(fault.seconds("ms"))
    await exchange.broken(fault.text("how"))


async def _stale(exchange, fault):
    """What a pooled connection meets when the engine closes it in the same moment."""
    if exchange.record.on_connection > 1:
        await exchange.broken(fault.text("how"))


async def _raw(exchange, fault):
    await exchange.body.read()
    name = fault.text("name")
    if name not in raw_answers.ANSWERS:
        raise BadFault(f"there is no raw answer {name!r}")
    await exchange.raw(raw_answers.ANSWERS[name], fault.text("how"))
    return True


async def _early(exchange, fault):
    """An answer before the body has come, and then: close, keep on reading, or read nothing more."""
    status = fault.number("status")
    pieces = exchange.body.pieces()
    while exchange.body.bytes < fault.number("at") and not exchange.body.complete:
        await anext(pieces, b"")
    exchange.closes = fault.text("then") != "drain"
    await exchange.error(status, "the body is too large", "RequestEntityTooLargeError")
    if fault.text("then") == "drain":
        async for _ in pieces:
            pass
    elif fault.text("then") == "stall":
        exchange.connection.stop_reading()
        await exchange.broken("stall")
    return True


async def _stop_reading(exchange, fault):
    pieces = exchange.body.pieces()
    while exchange.body.bytes < fault.number("at") and not exchange.body.complete:
        await anext(pieces, b"")
    exchange.connection.stop_reading()
    if fault.number("ms") == 0:
        await exchange.connection.until_gone()
    await asyncio.sleep(fault.seconds("ms"))
    async for _ in pieces:
        pass


async def _status(exchange, fault):
    await exchange.body.read()
    fields = [("retry-after", fault.text("retry_after"))] if fault.text("retry_after") else []
    code = fault.number("code")
    error = {"message": f"status {code} as asked", "type": "Error", "param": None, "code": code}
    await exchange.answer(code, {"error": error}, fields)
    return True


# Another manner of the same answer.


def _changes(change):
    async def apply(exchange, fault):
        change(exchange.manner, fault)

    return apply


def _cut(framing):
    def change(manner, fault):
        manner.framing = framing or manner.framing
        manner.body_cut = fault.number("at")
        manner.cut_how = fault.text("how")

    return _changes(change)


def _cut_tokens(manner, fault):
    manner.token_cut, manner.cut_how = fault.number("n"), fault.text("how")


def _cut_head(manner, fault):
    manner.head_cut, manner.cut_how = True, fault.text("how")


def _slow_head(manner, fault):
    manner.head_gap_s = fault.seconds("ms")


def _slow_body(manner, fault):
    manner.gap_s = fault.seconds("ms")


def _big_head(manner, fault):
    count = fault.number("fields")
    each = max(1, fault.number("bytes") // count - 12)
    manner.fields += [(f"x-pad-{i:04}", "p" * each) for i in range(count)]


def _interim(manner, fault):
    fields = [("link", "</style.css>; rel=preload")] if fault.number("status") == 103 else []
    manner.interim += [(fault.number("status"), fields)] * fault.number("n")


def _framing(manner, fault):
    manner.framing = fault.text("is")


def _trailers(manner, fault):
    manner.framing = "chunked"
    manner.fields.append(("trailer", "x-checksum"))
    manner.trailers = [("x-checksum", "abc"), ("content-length", "7"), ("x-more", "1")]


def _idle_bytes(manner, fault):
    manner.afterwards = raw_answers.ANSWERS.get(fault.text("name"), fault.text("name").encode())
    manner.afterwards_s = fault.seconds("ms")


def _close_after(manner, fault):
    manner.close_after = True


def _ragged(manner, fault):
    manner.ragged = random.Random(fault.number("seed"))
    manner.gap_s = fault.seconds("ms")


def _gather(manner, fault):
    manner.gather = fault.number("bytes")


def _stream_error(manner, fault):
    manner.stream_error = fault.number("n")


# fmt: off
TABLE = {
    "silent": Row(_silent, "reads the request and never answers", {}),
    "close": Row(_close, "closes before the first byte of an answer; body=unread leaves the body in the socket",
                 {"how": "close", "body": "read", "ms": "0"}),
    "stale": Row(_stale, "closes on any request but the first of a connection", {"how": "reset"}),
    "cut_head": Row(_changes(_cut_head), "ends within the head", {"how": "close"}),
    "cut": Row(_cut(None), "ends after `at` bytes of the body, in the framing of the route",
               {"at": "64", "how": "close"}),
    "cut_length": Row(_cut("length"), "the same with a length (whole answers only)", {"at": "64", "how": "close"}),
    "cut_chunked": Row(_cut("chunked"), "the same in chunks; within a chunk unless `at` is a border",
                       {"at": "64", "how": "close"}),
    "cut_eof": Row(_cut("close"), "the same in a body that the end of the connection ends",
                   {"at": "64", "how": "reset"}),
    "cut_tokens": Row(_changes(_cut_tokens), "ends after `n` tokens of a stream", {"n": "3", "how": "close"}),
    "raw": Row(_raw, "an answer of raw_answers.py, byte for byte", {"name": "garbage", "how": "close"}),
    "big_head": Row(_changes(_big_head), "a head of about so many bytes", {"bytes": "131072", "fields": "16"}),
    "interim": Row(_changes(_interim), "`n` interim answers before the answer", {"status": "103", "n": "1"}),
    "early": Row(_early, "answers after `at` bytes of the body; then=close, drain or stall",
                 {"status": "413", "at": "1", "then": "close"}),
    "slow_head": Row(_changes(_slow_head), "the head byte by byte", {"ms": "5"}),
    "slow_body": Row(_changes(_slow_body), "a gap after each piece of the body", {"ms": "50"}),
    "stop_reading": Row(_stop_reading, "stops reading the body after `at` bytes, for ever or for `ms`",
                        {"at": "1", "ms": "0"}),
    "status": Row(_status, "an error of the engine's own", {"code": "503", "retry_after": ""}),
    "framing": Row(_changes(_framing), "is=chunked or is=close instead of the length", {"is": "chunked"}),
    "trailers": Row(_changes(_trailers), "chunks with trailers", {}),
    "idle_bytes": Row(_changes(_idle_bytes), "bytes on the idle connection: a raw answer's name, or the text itself",
                      {"name": "http10", "ms": "20"}),
    "close_after": Row(_changes(_close_after), "closes after the answer without having said so", {}),
    "ragged": Row(_changes(_ragged), "pieces of 1 to 40 bytes, without regard for events",
                  {"seed": "1", "ms": "0"}),
    "gather": Row(_changes(_gather), "several events in one chunk", {"bytes": "4096"}),
    "stream_error": Row(_changes(_stream_error), "an error event after `n` tokens, within a stream of status 200",
                        {"n": "3"}),
}
# fmt: on


def as_text():
    lines = []
    for name, row in TABLE.items():
        defaults = " ".join(f"{key}={value}" for key, value in row.defaults.items())
        lines.append(f"{name} {defaults}".rstrip() + f"\n    {row.help}")
    return "\n".join(lines)
