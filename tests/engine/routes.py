"""The routes of vLLM's API server (Python front end) and the stand-in's own."""

import generation
import diagnosis
import websocket

VERSION = "0.31.0"
MAX_MODEL_LEN = 4096
GUARDED = ("/v1", "/v2", "/inference", "/cohere")
TEXT = [("content-type", "text/plain; version=1.0.0; charset=utf-8")]


async def models(exchange):
    model = exchange.engine.settings.model
    await exchange.answer(200, {"object": "list", "data": [
        {"id": model, "object": "model", "created": 1, "owned_by": "vllm", "root": model, "parent": None,
         "max_model_len": MAX_MODEL_LEN, "permission": []}]})  # fmt: skip


async def health(exchange):
    await exchange.body.read()
    await exchange.answer(200 if exchange.engine.settings.healthy else 503)


async def version(exchange):
    await exchange.answer(200, {"version": VERSION})


async def load(exchange):
    await exchange.answer(200, {"server_load": exchange.engine.load})


async def metrics(exchange):
    await exchange.answer(200, exchange.engine.scheduler.metrics().encode(), TEXT)


async def tokenize(exchange):
    ask = await generation.read_json(exchange)
    tokens = list(generation.dumps(ask.get("prompt", ask.get("messages", ""))).encode())
    await exchange.answer(200, {"count": len(tokens), "max_model_len": MAX_MODEL_LEN, "tokens": tokens,
                                "token_strs": None})  # fmt: skip


async def detokenize(exchange):
    ask = await generation.read_json(exchange)
    await exchange.answer(200, {"prompt": bytes(ask.get("tokens", [])).decode(errors="replace")})


async def embeddings(exchange):
    ask = await generation.read_json(exchange)
    inputs = ask.get("input", "")
    inputs = inputs if isinstance(inputs, list) else [inputs]
    count = sum(1 + len(str(text)) // generation.PROMPT_CHARACTERS_PER_TOKEN for text in inputs)
    await exchange.answer(200, {
        "id": f"embd-{exchange.record.number:032x}", "object": "list", "created": 1, "model": ask.get("model", ""),
        "data": [{"index": i, "object": "embedding", "embedding": [i + 0.5, -0.25, 0.125]} for i in range(len(inputs))],
        "usage": {"prompt_tokens": count, "total_tokens": count, "completion_tokens": 0}})  # fmt: skip


async def transcription(exchange):
    """A large upload that is read to its end."""
    async for _ in exchange.body.pieces():
        pass
    await exchange.answer(200, {"text": f"{exchange.body.bytes} bytes"})


async def done(exchange):
    """Routes of which only matters whether they can be reached."""
    await exchange.body.read()
    await exchange.answer(200, {})


# Reached without the engine's key: vLLM's docs/usage/security.md tells operators to shut them.
WITHOUT_KEY = ("/pooling", "/classify", "/score", "/rerank", "/generative_scoring", "/sleep", "/wake_up", "/pause",
               "/resume", "/abort_requests", "/reset_prefix_cache", "/collective_rpc", "/start_profile",
               "/stop_profile", "/scale_elastic_ep")  # fmt: skip

# path: methods ("*" for all) and handler
TABLE = {
    "/v1/models": (("GET",), models),
    "/v1/chat/completions": (("POST",), generation.generate(generation.Chat)),
    "/v1/completions": (("POST",), generation.generate(generation.Completion)),
    "/v1/responses": (("POST",), generation.generate(generation.Responses)),
    "/v1/messages": (("POST",), generation.generate(generation.Messages)),
    "/v1/embeddings": (("POST",), embeddings),
    "/v1/audio/transcriptions": (("POST",), transcription),
    "/v1/realtime": (("GET",), websocket.realtime),
    "/invocations": (("POST",), generation.invocations),
    "/tokenize": (("POST",), tokenize),
    "/detokenize": (("POST",), detokenize),
    "/health": (("GET",), health),
    "/ping": (("GET", "POST"), health),
    "/version": (("GET",), version),
    "/load": (("GET",), load),
    "/metrics": (("GET",), metrics),
    "/is_sleeping": (("GET",), done),
    "/echo": (("*",), diagnosis.echo),
    "/mirror": (("*",), diagnosis.mirror),
    "/bytes": (("*",), diagnosis.some_bytes),
} | {path: (("POST",), done) for path in WITHOUT_KEY}


def needs_key(path):
    return any(path == prefix or path.startswith(prefix + "/") for prefix in GUARDED)


async def dispatch(exchange):
    request, key = exchange.request, exchange.engine.settings.api_key
    if request.method == "OPTIONS" and request.header("access-control-request-method"):
        allowed = [("access-control-allow-methods", "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT")]
        await exchange.answer(200, b"OK", [("content-type", "text/plain; charset=utf-8"), *allowed])
        return
    if key and request.method != "OPTIONS" and needs_key(request.path):
        if request.header("authorization") != f"Bearer {key}":
            await exchange.answer(401, {"error": "Unauthorized"})
            return
    methods, handler = TABLE.get(request.path, ((), None))
    if handler is None:
        await exchange.answer(404, {"detail": "Not Found"})
    elif request.method not in methods and "*" not in methods:
        await exchange.answer(405, {"detail": "Method Not Allowed"}, [("allow", ", ".join(methods))])
    else:
        await handler(exchange)
