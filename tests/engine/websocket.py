"""/v1/realtime: a WebSocket (RFC 6455) that sends back what it gets."""

import base64
import hashlib

import message

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
FRAME_BYTES_MAX = 16 << 20


def accept_key(key):
    return base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()


def frame(opcode, payload, final=True):
    """As a server writes it: not masked."""
    head = bytes([opcode | (0x80 if final else 0)])
    if len(payload) < 126:
        head += bytes([len(payload)])
    elif len(payload) < 65536:
        head += b"\x7e" + len(payload).to_bytes(2, "big")
    else:
        head += b"\x7f" + len(payload).to_bytes(8, "big")
    return head + payload


async def _exactly(connection, count):
    data = b""
    while len(data) < count:
        data += await connection.read_some(count - len(data))
    return data


async def read_frame(connection):
    """(first byte, payload)"""
    first, second = await _exactly(connection, 2)
    length = second & 0x7F
    if length >= 126:
        length = int.from_bytes(await _exactly(connection, 2 if length == 126 else 8), "big")
    if not second & 0x80 or length > FRAME_BYTES_MAX:
        raise message.Malformed("a frame of a client that is not masked, or too large")
    mask = await _exactly(connection, 4)
    payload = await _exactly(connection, length)
    long_mask = (mask * (length // 4 + 1))[:length]
    clear = int.from_bytes(payload, "big") ^ int.from_bytes(long_mask, "big")
    return first, clear.to_bytes(length, "big")


async def realtime(exchange):
    request, connection = exchange.request, exchange.connection
    if not request.has_token("upgrade", "websocket") or not request.has_token("connection", "upgrade"):
        await exchange.answer(404, {"detail": "Not Found"})
        return
    key = request.header("sec-websocket-key")
    if request.header("sec-websocket-version") != "13" or not key:
        await exchange.answer(400, b"Failed to open a WebSocket connection", [("content-type", "text/plain")])
        return
    exchange.status = exchange.record.status = 101
    exchange.record.phase = "tunnel"
    fields = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept_key(key))]
    head = message.status_line(101) + message.field_lines(fields) + b"\r\n"
    # ?greeting=1: the first frame in the same segment as the head.
    greeting = frame(TEXT, b'{"type":"session.created"}') if request.query.get("greeting") else b""
    connection.write(head + greeting)
    exchange.closes = True
    while True:
        first, payload = await read_frame(connection)
        opcode = first & 0x0F
        if opcode == PING:
            opcode = PONG
        connection.write(frame(opcode, payload, bool(first & 0x80)))
        await connection.drain()
        if opcode == CLOSE:
            return
        await exchange.token_sent()
