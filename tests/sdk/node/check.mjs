// The official Node SDK against the simulator, as AzureOpenAI and as OpenAI on v1.
//
// Usage: node check.mjs ADDRESS, with a simulator listening at that http:// address. Prints a line for each check;
// exits 1 if one failed.

import assert from "node:assert/strict";
import OpenAI, { AzureOpenAI } from "openai";

const address = process.argv[2].replace(/\/$/, "");
const KEY = "simulator-key";
const CHAT = "gpt-4o";
const EMBEDDING = "text-embedding-3-small";

const weather = {
  type: "function",
  function: {
    name: "get_weather",
    description: "The weather at a place.",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
};

const classic = (apiKey = KEY, maxRetries = 0) =>
  new AzureOpenAI({ endpoint: address, apiKey, apiVersion: "2024-10-21", maxRetries });
const v1 = (apiKey = KEY, maxRetries = 0) => new OpenAI({ baseURL: `${address}/openai/v1/`, apiKey, maxRetries });

// The next answers of a deployment.
async function script(deployment, ...answers) {
  const response = await fetch(`${address}/_simulator/script`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ deployment, answers }),
  });
  assert.equal(response.ok, true, await response.text());
}

const ask = (client, more = {}) =>
  client.chat.completions.create({ model: CHAT, messages: [{ role: "user", content: "Say hello." }], ...more });

async function raises(kind, call, expected = {}) {
  const error = await call().then(
    () => assert.fail(`no ${kind.name}`),
    (error) => error,
  );
  assert.equal(error.constructor, kind, `${error.constructor.name} instead of ${kind.name}: ${error.message}`);
  for (const [name, value] of Object.entries(expected)) assert.equal(error[name], value, name);
  return error;
}

async function collect(stream) {
  const events = [];
  for await (const event of await stream) events.push(event);
  return events;
}

const checks = {
  async chat(client) {
    const answer = await ask(client, { max_tokens: 20 });
    assert.ok(answer.choices[0].message.content);
    assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
  },
  async several_choices(client) {
    const answer = await ask(client, { max_tokens: 5, n: 3 });
    assert.deepEqual(answer.choices.map((choice) => choice.index), [0, 1, 2]);
  },
  async streamed_chat(client) {
    const chunks = await collect(ask(client, { stream: true, max_tokens: 30 }));
    assert.ok(chunks.map((chunk) => chunk.choices[0]?.delta?.content ?? "").join(""));
    assert.ok(chunks.every((chunk) => !chunk.usage), "no usage was asked for");
  },
  async streamed_chat_with_tools(client) {
    const more = { tools: [weather], tool_choice: "required", stream: true, stream_options: { include_usage: true } };
    const chunks = await collect(ask(client, more));
    const calls = chunks.flatMap((chunk) => chunk.choices[0]?.delta?.tool_calls ?? []);
    assert.equal(calls.map((call) => call.function.name ?? "").join(""), "get_weather");
    assert.ok("city" in JSON.parse(calls.map((call) => call.function.arguments ?? "").join("")));
    assert.ok(chunks.some((chunk) => chunk.choices[0]?.finish_reason === "tool_calls"));
    assert.ok(chunks.at(-1).usage.completion_tokens > 0);
  },
  async embeddings(client) {
    const answer = await client.embeddings.create({ model: EMBEDDING, input: ["one", "two"] });
    assert.equal(answer.data.length, 2);
    assert.equal(answer.data[0].embedding.length, 1536);
    assert.equal(typeof answer.data[0].embedding[0], "number");
  },
  async responses(client) {
    const answer = await client.responses.create({ model: CHAT, input: "Say hello.", max_output_tokens: 20 });
    assert.ok(answer.output_text);
    assert.equal(answer.usage.total_tokens, answer.usage.input_tokens + answer.usage.output_tokens);
  },
  async streamed_responses(client) {
    const events = await collect(client.responses.create({ model: CHAT, input: "Say hello.", stream: true }));
    assert.equal(events[0].type, "response.created");
    assert.equal(events.at(-1).type, "response.completed");
    const deltas = events.filter((event) => event.type === "response.output_text.delta").map((event) => event.delta);
    assert.ok(deltas.join(""));
    events.forEach((event, number) => assert.equal(event.sequence_number, number));
  },
  async rate_limited(client) {
    await script(CHAT, { kind: "rate_limited", after_ms: 1500 });
    const error = await raises(OpenAI.RateLimitError, () => ask(client), { status: 429 });
    assert.equal(error.headers.get("retry-after-ms"), "1500");
  },
  async content_filter(client) {
    await script(CHAT, { kind: "content_filter" });
    await raises(OpenAI.BadRequestError, () => ask(client), { status: 400, code: "content_filter" });
  },
  async context_length(client) {
    await script(CHAT, { kind: "context_length" });
    await raises(OpenAI.BadRequestError, () => ask(client), { status: 400, code: "context_length_exceeded" });
  },
  async server_error(client) {
    await script(CHAT, { kind: "status", status: 500 });
    await raises(OpenAI.InternalServerError, () => ask(client), { status: 500 });
  },
  async unknown_deployment(client) {
    const call = () => ask(client, { model: "no-such-deployment" });
    await raises(OpenAI.NotFoundError, call, { status: 404, code: "DeploymentNotFound" });
  },
  async connection_reset(client) {
    await script(CHAT, { kind: "reset" });
    await raises(OpenAI.APIConnectionError, () => ask(client));
  },
  async error_in_the_stream(client) {
    await script(CHAT, { kind: "error", events: 2 });
    await raises(OpenAI.APIError, () => collect(ask(client, { stream: true })));
  },
  async wrong_key(_, make) {
    await raises(OpenAI.AuthenticationError, () => ask(make("wrong")), { status: 401 });
  },
  async its_own_retries(_, make) {
    const busy = { kind: "rate_limited", after_ms: 20 };
    await script(CHAT, busy, busy);
    assert.ok((await ask(make(KEY, 2))).choices.length);
  },
};

let failed = 0;
for (const [style, make] of [["AzureOpenAI", classic], ["OpenAI on v1", v1]]) {
  for (const [name, check] of Object.entries(checks)) {
    try {
      await check(make(), make);
      console.log(`ok      ${style}: ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`FAILED  ${style}: ${name}\n${error.stack}`);
    }
  }
}
console.log(`openai-node: ${failed} failed`);
process.exit(failed ? 1 : 0);
