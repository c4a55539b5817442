"""Routes of the stand-in's own that a test asks through whatever stands between: what arrived, and known bytes back."""

import asyncio

import bodies

BYTES_MAX = 1 << 30
OCTETS = [("content-type", "application/octet-stream")]


async def echo(exchange):
    """What arrived, as JSON."""
    async for _ in exchange.body.pieces():
        pass
    request, body = exchange.request, exchange.body
    await exchange.answer(int(request.query.get("status", 200)), {
        "method": request.method, "target": request.target, "minor": request.minor, "headers": request.headers,
        "bytes": body.bytes, "sha256": body.sha256, "chunked": body.chunked, "chunks": body.chunks,
        "trailers": body.trailers, "connection": exchange.connection.number,
        "on_connection": exchange.record.on_connection})  # fmt: skip


async def mirror(exchange):
    """The body, sent back while it arrives."""
    await exchange.start(200, OCTETS)
    async for piece in exchange.body.pieces():
        await exchange.send(piece)
    await exchange.finish()


async def some_bytes(exchange):
    """?n= bytes of ?seed= in ?chunks= pieces of random sizes; ?framing=length, chunked or close; ?gap_ms="""
    query = exchange.request.query
    count, seed = int(query.get("n", 1000)), int(query.get("seed", 0))
    if not 0 <= count <= BYTES_MAX:
        await exchange.error(400, f"n is {count}")
        return
    exchange.manner.framing = exchange.manner.framing or query.get("framing", "length")
    gap_s = float(query.get("gap_ms", 0)) / 1000
    await exchange.start(200, OCTETS, length=count)
    chunks = int(query.get("chunks", 0))
    source = bodies.pieces(bodies.body(seed, count), chunks, seed) if chunks else bodies.blocks(seed, count)
    for piece in source:
        await exchange.send(piece)
        if gap_s:
            await asyncio.sleep(gap_s)
    await exchange.finish()
