// The openai package for JavaScript: both of its APIs, with its own helpers as the judges.
import assert from "node:assert/strict";
import test from "node:test";
import OpenAI from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

const { EKAI_URL, EKAI_TOKEN, MODEL: model } = process.env;
const client = new OpenAI({ baseURL: `${EKAI_URL}/v1`, apiKey: EKAI_TOKEN, maxRetries: 0 });
const Weather = z.object({ city: z.string(), degrees: z.number(), windy: z.boolean() });
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false };
const question = "Use the tool get_weather.";
const user = (content) => [{ role: "user", content }];

test("chat: a whole reply", async () => {
  const reply = await client.chat.completions.create({ model, messages: user("hello") });
  assert.equal(reply.choices[0].message.content, "You said: hello");
  assert.equal(reply.choices[0].finish_reason, "stop");
  assert.ok(reply.usage.prompt_tokens > 0 && reply.usage.completion_tokens > 0);
});

test("chat: a stream amounts to the same", async () => {
  const stream = client.chat.completions.stream({ model, messages: user("hello"), stream_options: { include_usage: true } });
  const reply = await stream.finalChatCompletion();
  assert.equal(reply.choices[0].message.content, "You said: hello");
  assert.ok((await stream.totalUsage()).total_tokens > 0);
});

for (const stream of [false, true]) {
  test(`chat: a tool loop, ${stream ? "streamed" : "whole"}`, async () => {
    const asked = [];
    const run = client.chat.completions.runTools({
      model,
      stream,
      messages: user(question),
      tools: [{
        type: "function",
        function: { name: "get_weather", parameters, parse: JSON.parse, function: ({ city }) => { asked.push(city); return "sunny"; } },
      }],
    });
    assert.equal(await run.finalContent(), 'The tool answered: "sunny".');
    assert.deepEqual(asked.map((city) => typeof city), ["string"]);
  });
}

test("chat: parsed output, and the parsed message goes back", async () => {
  const messages = user("What is the weather?");
  const reply = await client.chat.completions.parse({ model, messages, response_format: zodResponseFormat(Weather, "weather") });
  const said = reply.choices[0].message;
  Weather.parse(said.parsed);
  const next = await client.chat.completions.create({ model, messages: [...messages, said, ...user("thanks")] });
  assert.equal(next.choices[0].message.content, "You said: thanks");
});

test("responses: a whole reply", async () => {
  const reply = await client.responses.create({ model, input: "hello", store: false });
  assert.equal(reply.output_text, "You said: hello");
  assert.equal(reply.status, "completed");
});

test("responses: a stream amounts to the same", async () => {
  const stream = client.responses.stream({ model, input: "hello", store: false, reasoning: { effort: "low", summary: "auto" } });
  let text = "";
  for await (const event of stream) if (event.type === "response.output_text.delta") text += event.delta;
  const reply = await stream.finalResponse();
  assert.equal(text, "You said: hello");
  assert.equal(reply.output_text, text);
  assert.ok(reply.usage.output_tokens > 0);
});

test("responses: a tool loop with reasoning in between", async () => {
  const tools = [{ type: "function", name: "get_weather", parameters, strict: true }];
  const options = { model, tools, store: false, include: ["reasoning.encrypted_content"], reasoning: { effort: "low" } };
  const input = user(question);
  const first = await client.responses.stream({ ...options, input }).finalResponse();
  const call = first.output.find((item) => item.type === "function_call");
  assert.deepEqual(Object.keys(JSON.parse(call.arguments)), ["city"]);
  const result = { type: "function_call_output", call_id: call.call_id, output: "sunny" };
  const last = await client.responses.create({ ...options, input: [...input, ...first.output, result] });
  assert.equal(last.output_text, 'The tool answered: "sunny".');
});

test("responses: parsed output", async () => {
  const text = { format: zodTextFormat(Weather, "weather") };
  const reply = await client.responses.parse({ model, input: "What is the weather?", store: false, text });
  Weather.parse(reply.output_parsed);
});

const ask = {
  chat: (content, stream) => client.chat.completions.create({ model, messages: user(content), stream }),
  responses: (input, stream) => client.responses.create({ model, input, stream, store: false }),
};
const drained = async (stream) => { for await (const event of await stream) if (event.type === "response.failed") throw new Error(event.response.error.message); };

for (const [api, call] of Object.entries(ask)) {
  for (const [status, kind] of [[400, "BadRequestError"], [401, "AuthenticationError"], [429, "RateLimitError"], [500, "InternalServerError"]]) {
    test(`${api}: ${status} becomes the package's own error`, async () => {
      await assert.rejects(call(`[[fail ${status}]]`, true), (error) => {
        assert.ok(error instanceof OpenAI[kind], `${error}`);
        assert.equal(error.status, status);
        assert.equal(error.code, "PROVIDER_ERROR");
        return true;
      });
    });
  }

  test(`${api}: it tries again after a limit`, async () => {
    const patient = client.withOptions({ maxRetries: 2 });
    const content = `again [[fail 429 retry-after=1 times=1]] ${api} ${model}`;
    const reply = api === "chat"
      ? await patient.chat.completions.create({ model, messages: user(content) })
      : await patient.responses.create({ model, input: content, store: false });
    assert.ok(reply.id);
  });

  for (const fault of ["error", "break", "cut"]) {
    test(`${api}: a stream with ${fault} ends in an error`, async () => {
      await assert.rejects(drained(call(`hello [[${fault} after 2]]`, true)));
    });
  }
}

test("a token that nobody knows", async () => {
  await assert.rejects(client.withOptions({ apiKey: "unknown" }).models.list(), OpenAI.AuthenticationError);
});

test("the models are the preferences", async () => {
  assert.deepEqual((await client.models.list()).data.map(({ id }) => id), [model]);
});
