// Vercel's AI SDK with its providers for OpenAI (both APIs) and Anthropic.
import assert from "node:assert/strict";
import test from "node:test";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { APICallError, Output, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const { EKAI_URL, EKAI_TOKEN: apiKey, MODEL } = process.env;
const openai = createOpenAI({ baseURL: `${EKAI_URL}/v1`, apiKey });
const anthropic = createAnthropic({ baseURL: `${EKAI_URL}/v1`, apiKey });
const models = { chat: openai.chat(MODEL), responses: openai.responses(MODEL), messages: anthropic(MODEL) };
const question = "Use the tool get_weather.";
const Weather = z.object({ city: z.string(), degrees: z.number(), windy: z.boolean() });
const weather = () => tool({ description: "The weather.", inputSchema: z.object({ city: z.string() }), execute: async ({ city }) => `sunny in ${city}` });

for (const [api, model] of Object.entries(models)) {
  const options = { model, maxRetries: 0 };

  test(`${api}: whole and streamed`, async () => {
    const whole = await generateText({ ...options, prompt: "hello" });
    assert.equal(whole.text, "You said: hello");
    assert.equal(whole.finishReason, "stop");
    const stream = streamText({ ...options, prompt: "hello", onError: ({ error }) => assert.fail(error) });
    let text = "";
    for await (const word of stream.textStream) text += word;
    assert.equal(text, whole.text);
    assert.ok((await stream.usage).outputTokens > 0);
  });

  test(`${api}: a tool loop, whole and streamed`, async () => {
    const loop = { ...options, prompt: question, tools: { get_weather: weather() }, stopWhen: stepCountIs(4) };
    const said = 'The tool answered: "sunny in demo".';
    assert.equal((await generateText(loop)).text, said);
    const stream = streamText({ ...loop, onError: ({ error }) => assert.fail(error) });
    await stream.consumeStream();
    assert.equal(await stream.text, said);
  });

  test(`${api}: an object`, async () => {
    const reply = await generateText({ ...options, prompt: "What is the weather?", output: Output.object({ schema: Weather }) });
    Weather.parse(reply.output);
  });

  test(`${api}: errors`, async () => {
    for (const status of [400, 401, 429, 500]) {
      await assert.rejects(generateText({ ...options, prompt: `[[fail ${status}]]` }), (error) => {
        assert.ok(APICallError.isInstance(error), `${error}`);
        assert.equal(error.statusCode, status);
        return true;
      });
    }
  });

  for (const fault of ["error", "break", "cut"]) {
    test(`${api}: a stream with ${fault} ends in an error`, async () => {
      const errors = [];
      const stream = streamText({ ...options, prompt: `hello [[${fault} after 2]]`, onError: ({ error }) => errors.push(error) });
      const reasons = [];
      for await (const part of stream.fullStream) if (part.type === "error" || part.type === "finish") reasons.push(part.finishReason ?? "error");
      assert.ok(errors.length > 0, `${reasons}`);
    });
  }
}
