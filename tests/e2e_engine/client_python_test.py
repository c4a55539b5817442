#!/usr/bin/env python3
"""OpenAI's client for Python against the engine at GPUTACH_E2E_BASE_URL, whatever stands before it.

GPUTACH_E2E_ENGINE_LOG  what the engine prints, so that an abort is seen to have reached it
"""

import concurrent.futures
import os
import pathlib
import time
import unittest

import openai

BASE_URL = os.environ["GPUTACH_E2E_BASE_URL"]
ENGINE_LOG = os.environ.get("GPUTACH_E2E_ENGINE_LOG")
MODEL = "tiny-random"
PATIENCE_S = 60
ABORT_SECONDS_MAX = 2
TOKENS = 120
TOKENS_OF_A_LONG_ANSWER = 1500
CONCURRENT = 8
QUESTION = [{"role": "user", "content": "say something"}]
DISCONNECTED = "Disconnected from client"
REPEATABLE = {"model": MODEL, "temperature": 0}


def text_of(stream):
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


class OpenAiForPython(unittest.TestCase):
    def setUp(self):
        self.client = openai.OpenAI(base_url=BASE_URL, api_key="none", timeout=PATIENCE_S, max_retries=0)
        self.addCleanup(self.client.close)

    def chat(self, count=TOKENS, **more):
        return self.client.chat.completions.create(messages=QUESTION, max_tokens=count, **REPEATABLE, **more)

    def test_models_are_listed(self):
        self.assertEqual([model.id for model in self.client.models.list()], [MODEL])

    def test_a_chat_answer_comes_whole(self):
        answer = self.chat()
        self.assertEqual(answer.choices[0].finish_reason, "length")
        self.assertGreaterEqual(len(answer.choices[0].message.content), TOKENS)
        self.assertEqual(answer.usage.completion_tokens, TOKENS)

    def test_a_streamed_chat_answer_has_the_same_text(self):
        whole = self.chat().choices[0].message.content
        chunks = list(self.chat(stream=True))
        self.assertEqual(text_of(chunks), whole)
        self.assertGreater(len(chunks), TOKENS // 2)
        self.assertEqual(chunks[-1].choices[0].finish_reason, "length")

    def test_a_stream_arrives_while_it_is_made(self):
        started = time.monotonic()
        arrivals = [time.monotonic() - started for _ in self.chat(count=3 * TOKENS, stream=True)]
        self.assertLess(arrivals[2], arrivals[-1] / 2, "the first chunks came with the last")

    def test_a_completion_comes_whole_and_streamed(self):
        ask = REPEATABLE | {"prompt": "once upon a time", "max_tokens": TOKENS}
        whole = self.client.completions.create(**ask)
        streamed = "".join(chunk.choices[0].text for chunk in self.client.completions.create(stream=True, **ask))
        self.assertEqual(whole.usage.completion_tokens, TOKENS)
        self.assertEqual(streamed, whole.choices[0].text)

    def test_concurrent_streams_do_not_mix(self):
        whole = self.chat().choices[0].message.content
        with concurrent.futures.ThreadPoolExecutor(CONCURRENT) as pool:
            texts = list(pool.map(lambda _: text_of(self.chat(stream=True)), range(CONCURRENT)))
        self.assertEqual(texts, [whole] * CONCURRENT)

    def test_an_abort_in_mid_stream_reaches_the_engine(self):
        disconnects = self.disconnects()
        stream = self.chat(count=TOKENS_OF_A_LONG_ANSWER, stream=True)
        for _, _ in zip(range(5), stream):
            pass
        stream.close()
        deadline = time.monotonic() + ABORT_SECONDS_MAX
        while ENGINE_LOG and self.disconnects() == disconnects:
            self.assertLess(time.monotonic(), deadline, "the engine does not know that its client is gone")
            time.sleep(0.01)
        # It answers one request at a time: this one would wait for the rest of the long answer.
        started = time.monotonic()
        self.chat(count=1)
        self.assertLess(time.monotonic() - started, ABORT_SECONDS_MAX)

    def disconnects(self):
        return pathlib.Path(ENGINE_LOG).read_text().count(DISCONNECTED) if ENGINE_LOG else 0

    def test_errors_of_the_engine_arrive_as_they_are(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            self.client.completions.create(prompt="a" * 20000, max_tokens=1, **REPEATABLE)
        self.assertIn("context length", caught.exception.message)
        with self.assertRaises(openai.NotFoundError):
            self.client.get("/no/such/route", cast_to=object)


if __name__ == "__main__":
    unittest.main(verbosity=2)
