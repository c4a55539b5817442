// OpenAI's client for Node against the engine at GPUTACH_E2E_BASE_URL, whatever stands before it.
// GPUTACH_E2E_ENGINE_LOG: what the engine prints, so that an abort is seen to have reached it.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";

// The client lies in the cache and not beside this file.
const { OpenAI, NotFoundError } = createRequire(`${process.env.GPUTACH_E2E_NODE_MODULES}/`)("openai");

const engineLog = process.env.GPUTACH_E2E_ENGINE_LOG;
const patienceMs = 60_000;
const abortMsMax = 2_000;
const tokens = 120;
const tokensOfALongAnswer = 1500;
const concurrent = 8;
const repeatable = { model: "tiny-random", temperature: 0, messages: [{ role: "user", content: "say something" }] };

const client = new OpenAI({
  baseURL: process.env.GPUTACH_E2E_BASE_URL,
  apiKey: "none",
  timeout: patienceMs,
  maxRetries: 0,
});

const chat = (more, options) => client.chat.completions.create({ ...repeatable, max_tokens: tokens, ...more }, options);

async function streamedText() {
  let text = "";
  for await (const chunk of await chat({ stream: true })) text += chunk.choices[0]?.delta?.content ?? "";
  return text;
}

const disconnects = () => (engineLog ? readFileSync(engineLog, "utf8").split("Disconnected from client").length : 0);

test("models are listed", async () => {
  const models = await client.models.list();
  assert.deepEqual(models.data.map((model) => model.id), ["tiny-random"]);
});

test("a chat answer is the same whole and streamed", async () => {
  const whole = await chat({});
  assert.equal(whole.usage.completion_tokens, tokens);
  assert.equal(await streamedText(), whole.choices[0].message.content);
});

test("a completion is the same whole and streamed", async () => {
  const ask = { model: "tiny-random", temperature: 0, prompt: "once upon a time", max_tokens: tokens };
  const whole = await client.completions.create(ask);
  let text = "";
  for await (const chunk of await client.completions.create({ ...ask, stream: true })) text += chunk.choices[0].text;
  assert.equal(text, whole.choices[0].text);
});

test("concurrent streams do not mix", async () => {
  const whole = (await chat({})).choices[0].message.content;
  const texts = await Promise.all(Array.from({ length: concurrent }, streamedText));
  assert.deepEqual(texts, Array(concurrent).fill(whole));
});

test("an abort in mid-stream reaches the engine", async () => {
  const before = disconnects();
  const stream = await chat({ stream: true, max_tokens: tokensOfALongAnswer });
  let seen = 0;
  for await (const _ of stream) {
    if (++seen === 5) break; // the client aborts its request when the loop is left
  }
  const deadline = performance.now() + abortMsMax;
  while (engineLog && disconnects() === before) {
    assert.ok(performance.now() < deadline, "the engine does not know that its client is gone");
    await pause(10);
  }
  const started = performance.now();
  await chat({ max_tokens: 1 });
  assert.ok(performance.now() - started < abortMsMax);
});

test("errors of the engine arrive as they are", async () => {
  await assert.rejects(client.get("/no/such/route"), NotFoundError);
});
