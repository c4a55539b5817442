"""The engine's time: places, a queue, a prefill, and tokens at a settable rate. And what vLLM counts of it."""

import asyncio
import bisect
import collections
import contextlib
import time

WORDS = (" the", " quick", " brown", " fox", " jumps", " über", " den", " Hund", " 犬", " 🙂", ".", "\n", ' "so"',
         " \\")  # fmt: skip
BUCKETS_S = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0)
KV_TOKENS = 100_000


class Histogram:
    def __init__(self):
        self.counts = [0] * (len(BUCKETS_S) + 1)
        self.sum = 0.0

    def observe(self, value):
        self.counts[bisect.bisect_left(BUCKETS_S, value)] += 1
        self.sum += value

    def lines(self, name, labels):
        total = 0
        for bound, count in zip((*map(str, BUCKETS_S), "+Inf"), self.counts):
            total += count
            yield f'{name}_bucket{{{labels},le="{bound}"}} {float(total)}'
        yield f"{name}_count{{{labels}}} {float(total)}"
        yield f"{name}_sum{{{labels}}} {self.sum}"


class Scheduler:
    def __init__(self, settings):
        self._settings = settings
        self._waiting = collections.deque()
        self.running = 0
        self.held_tokens = 0
        self.counters = collections.Counter()
        self.finished = collections.Counter()
        self.first_token = Histogram()
        self.between_tokens = Histogram()
        self.whole = Histogram()

    @property
    def waiting(self):
        return len(self._waiting)

    @contextlib.asynccontextmanager
    async def place(self):
        """One of `max_running` places, first come, first served; also given back when the request is aborted."""
        if self.running < self._settings.max_running and not self._waiting:
            self.running += 1
        else:
            await self._wait_for_turn()
        try:
            yield
        finally:
            self._pass_on()

    async def _wait_for_turn(self):
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                with contextlib.suppress(ValueError):
                    self._waiting.remove(turn)
            else:
                self._pass_on()  # it was given in the same moment
            raise

    def _pass_on(self):
        """The place of one that leaves goes to the first in the queue, so nobody overtakes it."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.running -= 1

    async def tokens(self, exchange, prompt_tokens, count):
        """Yields the text of each token when its time has come, counted from the end of the prefill."""
        record, request = exchange.record, exchange.request
        rate = float(request.header("x-token-rate", self._settings.token_rate))
        prompt_s = float(request.header("x-prompt-ms", self._settings.prompt_ms)) / 1000
        arrived = time.monotonic()
        record.phase = "queue"
        held = 0
        async with self.place():
            try:
                record.phase = "prefill"
                await asyncio.sleep(prompt_s)
                self.counters["prompt_tokens"] += prompt_tokens
                self.held_tokens += prompt_tokens
                held = prompt_tokens
                record.phase = "decode"
                started = previous = time.monotonic()
                for index in range(count):
                    if rate > 0:
                        await asyncio.sleep(max(0.0, started + index / rate - time.monotonic()))
                    now = time.monotonic()
                    self._count_token(index, now - arrived, now - previous)
                    held += 1
                    previous = now
                    yield WORDS[index % len(WORDS)]
                self.finished["length"] += 1
                self.whole.observe(time.monotonic() - arrived)
            finally:
                self.held_tokens -= held

    def _count_token(self, index, since_arrival, since_previous):
        self.counters["generation_tokens"] += 1
        self.held_tokens += 1
        if index == 0:
            self.first_token.observe(since_arrival)
        else:
            self.between_tokens.observe(since_previous)

    def metrics(self):
        """The page of vLLM's Python front end, as far as others read it."""
        labels = f'engine="0",model_name="{self._settings.model}"'
        lines = []

        def family(name, kind, text, samples):
            lines.extend((f"# HELP {name} {text}", f"# TYPE {name} {kind}", *samples))

        for name, value, text in (
            ("vllm:num_requests_running", self.running, "Number of requests in model execution batches."),
            ("vllm:num_requests_waiting", self.waiting, "Number of requests waiting to be processed."),
            ("vllm:kv_cache_usage_perc", min(1.0, self.held_tokens / KV_TOKENS), "KV-cache usage. 1 means 100%."),
        ):
            family(name, "gauge", text, [f"{name}{{{labels}}} {float(value)}"])
        for name in ("prompt_tokens", "generation_tokens"):
            family(f"vllm:{name}_total", "counter", "Number of tokens processed.",
                   [f"vllm:{name}_total{{{labels}}} {float(self.counters[name])}"])
        family("vllm:request_success_total", "counter", "Count of successfully processed requests.", [
            f'vllm:request_success_total{{engine="0",finished_reason="{reason}",'
            f'model_name="{self._settings.model}"}} {float(self.finished[reason])}'
            for reason in ("stop", "length", "abort", "error", "repetition")])  # fmt: skip
        for name, histogram in (
            ("vllm:time_to_first_token_seconds", self.first_token),
            ("vllm:inter_token_latency_seconds", self.between_tokens),
            ("vllm:e2e_request_latency_seconds", self.whole),
        ):
            family(name, "histogram", "Histogram in seconds.", histogram.lines(name, labels))
        return "\n".join(lines) + "\n"
