// One run of the Vercel AI SDK: its provider and what to do are arguments, the prompt is standard
// input, and what came of it is printed as JSON. The key and the URL come from the environment.
import { readFileSync } from "node:fs";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, Output, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const { FAREGATE_KEY: apiKey, FAREGATE_URL: url } = process.env;
const [provider, act] = process.argv.slice(2);
const name = "kimi-k2.5";
const openai = createOpenAI({ baseURL: `${url}/api/openai/v1`, apiKey });
const models = {
  responses: () => openai(name),
  "responses, not stored": () => openai(name),
  chat: () => openai.chat(name),
  compatible: () =>
    createOpenAICompatible({ name: "faregate", baseURL: `${url}/api/openai/v1`, apiKey })(name),
  messages: () => createAnthropic({ baseURL: `${url}/api/anthropic/v1`, apiKey })(name),
};
const providerOptions = {
  responses: { openai: { reasoningEffort: "high", forceReasoning: true } },
  "responses, not stored": {
    openai: { reasoningEffort: "high", forceReasoning: true, store: false },
  },
  chat: { openai: { reasoningEffort: "high", forceReasoning: true } },
  compatible: { faregate: { reasoningEffort: "high" } },
  messages: { anthropic: { thinking: { type: "enabled", budgetTokens: 2048 } } },
}[provider];

const results = [];
const tools = {
  look: tool({
    description: "Looks at a city.",
    inputSchema: z.object({ city: z.string() }),
    execute: async ({ city }) => {
      results.push(city);
      return `Sunny in ${city}`;
    },
  }),
};
const call = {
  model: models[provider](),
  prompt: readFileSync(0, "utf8"),
  maxRetries: 0,
  maxOutputTokens: 8000,
};

async function answer() {
  if (act === "object") {
    const schema = z.object({ name: z.string(), count: z.number().int() });
    const made = await generateText({ ...call, output: Output.object({ schema }) });
    return { object: made.output };
  }
  const loop = { ...call, tools, stopWhen: stepCountIs(5), providerOptions };
  if (act === "generate") {
    const made = await generateText(loop);
    return { text: made.text, steps: made.steps.length };
  }
  let failure;
  const streamed = streamText({ ...loop, onError: ({ error }) => { failure = error; } });
  let text = "";
  for await (const piece of streamed.textStream) text += piece;
  if (failure) throw failure;
  return { text, steps: (await streamed.steps).length };
}

try {
  console.log(JSON.stringify({ ...(await answer()), results }));
} catch (error) {
  const { statusCode = null, isRetryable = null } = error;
  console.log(JSON.stringify({ error: String(error), statusCode, isRetryable, results }));
}
