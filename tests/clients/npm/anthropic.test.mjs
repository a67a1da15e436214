// The @anthropic-ai/sdk package, with its own helpers as the judges.
import assert from "node:assert/strict";
import test from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import { zodOutputFormat } from "@anthropic-ai/sdk/helpers/zod";
import { betaZodTool } from "@anthropic-ai/sdk/helpers/beta/zod";
import { z } from "zod";

const { EKAI_URL: baseURL, EKAI_TOKEN: apiKey, MODEL: model } = process.env;
const client = new Anthropic({ baseURL, apiKey, maxRetries: 0 });
const Weather = z.object({ city: z.string(), degrees: z.number(), windy: z.boolean() });
const question = "Use the tool get_weather.";
const asked = (content) => ({ model, max_tokens: 2000, messages: [{ role: "user", content }] });
const text = (reply) => reply.content.filter(({ type }) => type === "text").map(({ text }) => text).join("");

test("a whole reply", async () => {
  const reply = await client.messages.create(asked("hello"));
  assert.equal(text(reply), "You said: hello");
  assert.equal(reply.stop_reason, "end_turn");
  assert.ok(reply.usage.input_tokens > 0 && reply.usage.output_tokens > 0);
});

test("a stream amounts to the same", async () => {
  const stream = client.messages.stream(asked("hello"));
  const reply = await stream.finalMessage();
  assert.equal(text(reply), "You said: hello");
  assert.ok(reply.usage.input_tokens > 0 && reply.usage.output_tokens > 0);
});

test("a tool loop with thinking in between", async () => {
  const tools = [{ name: "get_weather", input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] } }];
  const thinking = { type: "enabled", budget_tokens: 1024 };
  const first = await client.messages.stream({ ...asked(question), tools, thinking }).finalMessage();
  assert.equal(first.stop_reason, "tool_use");
  assert.equal(first.content[0].type, "thinking");
  const call = first.content.find(({ type }) => type === "tool_use");
  assert.deepEqual(Object.keys(call.input), ["city"]);
  const { messages, ...rest } = asked(question);
  const result = { role: "user", content: [{ type: "tool_result", tool_use_id: call.id, content: "sunny" }] };
  const history = [...messages, { role: "assistant", content: first.content }, result];
  assert.equal(text(await client.messages.create({ ...rest, tools, thinking, messages: history })), 'The tool answered: "sunny".');
});

for (const stream of [false, true]) {
  test(`its tool runner, ${stream ? "streamed" : "whole"}`, async () => {
    const weather = betaZodTool({
      name: "get_weather", description: "The weather.", inputSchema: z.object({ city: z.string() }), run: ({ city }) => `sunny in ${city}`,
    });
    const runner = client.beta.messages.toolRunner({ ...asked(question), tools: [weather], stream });
    assert.equal(text(await runner.runUntilDone()), 'The tool answered: "sunny in demo".');
  });
}

test("parsed output", async () => {
  const reply = await client.messages.parse({ ...asked("What is the weather?"), output_config: { format: zodOutputFormat(Weather) } });
  Weather.parse(reply.parsed_output);
});

for (const [status, kind] of [[400, "BadRequestError"], [401, "AuthenticationError"], [429, "RateLimitError"], [529, "InternalServerError"]]) {
  test(`${status} becomes the package's own error`, async () => {
    await assert.rejects(client.messages.create({ ...asked(`[[fail ${status}]]`), stream: true }), (error) => {
      assert.ok(error instanceof Anthropic[kind], `${error}`);
      assert.equal(error.status, status);
      return true;
    });
  });
}

test("it tries again when a provider is overloaded", async () => {
  const reply = await client.withOptions({ maxRetries: 2 }).messages.create(asked(`again [[fail 529 times=1]] ${model} sdk`));
  assert.ok(reply.id);
});

for (const fault of ["error", "break", "cut"]) {
  test(`a stream with ${fault} ends in an error`, async () => {
    await assert.rejects(client.messages.stream(asked(`hello [[${fault} after 2]]`)).finalMessage());
  });
}

test("tokens are counted", async () => {
  const { model, messages } = asked("hello");
  assert.ok((await client.messages.countTokens({ model, messages })).input_tokens > 0);
});

test("the models are the preferences, under names that look like Claude", async () => {
  const page = await client.models.list();
  assert.deepEqual(page.data.map(({ id }) => id), [`claude-ekai-${model}`]);
  assert.equal(text(await client.messages.create({ ...asked("hello"), model: page.data[0].id })), "You said: hello");
});
