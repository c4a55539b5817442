"""The routes that generate, with the framing of each API: chat, completions, responses, messages."""

import json
import time

PROMPT_CHARACTERS_PER_TOKEN = 4
STREAM = [("content-type", "text/event-stream; charset=utf-8")]
DONE = b"data: [DONE]\n\n"


class BadRequest(Exception):
    """What a client asked for cannot be done: 400 and this text."""


def dumps(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def event(value, kind=None):
    return (f"event: {kind}\n" if kind else "").encode() + f"data: {dumps(value)}\n\n".encode()


async def read_json(exchange):
    content = await exchange.body.read()
    if exchange.request.header("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise BadRequest("the content type is not application/json")
    try:
        value = json.loads(content)
    except ValueError:
        raise BadRequest("the body is not JSON") from None
    if not isinstance(value, dict):
        raise BadRequest("the body is not an object")
    return value


def usage(prompt_tokens, count):
    return {"prompt_tokens": prompt_tokens, "total_tokens": prompt_tokens + count, "completion_tokens": count}


class Api:
    """What differs between the APIs. `ask` is the request's JSON."""

    def __init__(self, exchange, ask):
        self.ask = ask
        self.prompt_tokens = 1 + len(self.prompt_text()) // PROMPT_CHARACTERS_PER_TOKEN
        default = exchange.engine.settings.tokens
        self.count = int(ask.get("max_tokens") or ask.get("max_completion_tokens") or ask.get("max_output_tokens")
                         or default)  # fmt: skip
        options = ask.get("stream_options") or {}
        self.usage_wanted = options.get("include_usage") or exchange.engine.settings.force_usage
        self.id = f"{self.PREFIX}-{exchange.record.number:032x}"
        self.common = {"id": self.id, "created": int(time.time()),
                       "model": ask.get("model") or exchange.engine.settings.model}  # fmt: skip

    def opening(self):
        return []

    def closing(self):
        return []


class Chat(Api):
    PREFIX = "chatcmpl"

    def prompt_text(self):
        if not isinstance(self.ask.get("messages"), list):
            raise BadRequest("messages is missing")
        return dumps(self.ask["messages"])

    def whole(self, text):
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "length"}
        return self.common | {"object": "chat.completion", "choices": [choice],
                              "usage": usage(self.prompt_tokens, self.count)}  # fmt: skip

    def _chunk(self, delta, reason=None):
        choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}]
        return self.common | {"object": "chat.completion.chunk", "choices": choices}

    def opening(self):
        return [event(self._chunk({"role": "assistant", "content": ""}))]

    def token(self, text, is_last):
        return event(self._chunk({"content": text}, "length" if is_last else None))

    def closing(self):
        last = self._chunk({}) | {"choices": [], "usage": usage(self.prompt_tokens, self.count)}
        return ([event(last)] if self.usage_wanted else []) + [DONE]


class Completion(Chat):
    PREFIX = "cmpl"

    def prompt_text(self):
        if "prompt" not in self.ask:
            raise BadRequest("prompt is missing")
        return dumps(self.ask["prompt"])

    def whole(self, text):
        choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": "length"}
        return self.common | {"object": "text_completion", "choices": [choice],
                              "usage": usage(self.prompt_tokens, self.count)}  # fmt: skip

    def _chunk(self, delta, reason=None):
        choices = [{"index": 0, "text": delta.get("content", ""), "logprobs": None, "finish_reason": reason}]
        return self.common | {"object": "text_completion", "choices": choices}

    def opening(self):
        return []


class Responses(Api):
    PREFIX = "resp"

    def prompt_text(self):
        if "input" not in self.ask:
            raise BadRequest("input is missing")
        return dumps(self.ask["input"])

    def whole(self, text):
        output = [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}]
        counts = {"input_tokens": self.prompt_tokens, "output_tokens": self.count,
                  "total_tokens": self.prompt_tokens + self.count}  # fmt: skip
        return {"id": self.id, "object": "response", "status": "completed", "model": self.common["model"],
                "output": output, "usage": counts}  # fmt: skip

    def opening(self):
        response = {"id": self.id, "object": "response", "status": "in_progress"}
        return [event({"type": "response.created", "response": response}, "response.created")]

    def token(self, text, is_last):
        return event({"type": "response.output_text.delta", "delta": text}, "response.output_text.delta")

    def closing(self):
        return [event({"type": "response.completed", "response": self.whole("")}, "response.completed")]


class Messages(Api):
    PREFIX = "msg"
    prompt_text = Chat.prompt_text

    def whole(self, text):
        return {"id": self.id, "type": "message", "role": "assistant", "model": self.common["model"],
                "content": [{"type": "text", "text": text}], "stop_reason": "max_tokens",
                "usage": {"input_tokens": self.prompt_tokens, "output_tokens": self.count}}  # fmt: skip

    def opening(self):
        message = self.whole("") | {"content": [], "stop_reason": None}
        message["usage"] = {"input_tokens": self.prompt_tokens, "output_tokens": 0}
        return [event({"type": "message_start", "message": message}, "message_start")]

    def token(self, text, is_last):
        delta = {"type": "text_delta", "text": text}
        return event({"type": "content_block_delta", "index": 0, "delta": delta}, "content_block_delta")

    def closing(self):
        delta = {"type": "message_delta", "delta": {"stop_reason": "max_tokens"},
                 "usage": {"output_tokens": self.count}}  # fmt: skip
        return [event(delta, "message_delta"), event({"type": "message_stop"}, "message_stop")]


def generate(api_class):
    """The handler of one API."""

    async def handler(exchange):
        await run(exchange, api_class(exchange, await read_json(exchange)))

    return handler


async def invocations(exchange):
    ask = await read_json(exchange)
    await run(exchange, (Chat if "messages" in ask else Completion)(exchange, ask))


async def run(exchange, api):
    served = exchange.engine.settings.model
    if api.ask.get("model", served) != served:
        await exchange.error(404, f"The model `{api.ask['model']}` does not exist.", "NotFoundError")
        return
    tokens = exchange.engine.scheduler.tokens(exchange, api.prompt_tokens, api.count)
    exchange.engine.load += 1
    try:
        await (stream if api.ask.get("stream") else whole)(exchange, api, tokens)
    finally:
        exchange.engine.load -= 1
        await tokens.aclose()


async def whole(exchange, api, tokens):
    """Nothing at all is sent before the whole answer is ready."""
    text = ""
    async for token in tokens:
        text += token
        exchange.record.tokens += 1
    fields = []
    if exchange.request.header("endpoint-load-metrics-format"):
        fields.append(("endpoint-load-metrics", "TEXT named_metrics.kv_cache_usage_perc=0.0"))
    await exchange.answer(200, api.whole(text), fields)


async def stream(exchange, api, tokens):
    """The head goes out before the prefill; each event is one chunk."""
    await exchange.start(200, STREAM)
    opening = api.opening()
    sent = 0
    async for token in tokens:
        for piece in opening:
            await exchange.send(piece)
        opening = []
        if exchange.manner.stream_error is not None and sent >= exchange.manner.stream_error:
            error = {"message": "EngineCore encountered an issue.", "type": "InternalServerError", "code": 500}
            await exchange.send(event({"error": error}) + DONE)
            await exchange.finish()
            return
        sent += 1
        await exchange.send(api.token(token, sent == api.count))
        await exchange.token_sent()
    for piece in api.closing():
        await exchange.send(piece)
    await exchange.finish()
