// The released Anthropic SDK for JavaScript as the judge; its client knows only the key's Secret.

import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";
import { jsonSchemaOutputFormat } from "@anthropic-ai/sdk/helpers/json-schema";
import { betaTool } from "@anthropic-ai/sdk/helpers/beta/json-schema";
import {
  CITY,
  MODEL,
  PARALLEL,
  PNG,
  TRIP,
  TRIP_SCHEMA,
  TWO_CALLS,
  collect,
  countingFetch,
  failureOf,
  judge,
  until,
  upstreamBody,
  upstreamStats,
} from "./judge.mjs";

const client = new Anthropic({ maxRetries: 0, timeout: 20_000 });
const CITIES = [{ city: "Paris" }, { city: "Rome" }];
const TOOL = { name: "weather", description: "The weather", input_schema: CITY };
const THINKING = { type: "enabled", budget_tokens: 1024 };

const user = (content) => ({ role: "user", content });
const asked = (content, more) => ({
  model: MODEL,
  max_tokens: 2000,
  messages: [user(content)],
  ...more,
});
const ask = (content, more = {}) => client.messages.create(asked(content, more));
const stream = (content, more = {}) => client.messages.stream(asked(content, more));
const final = (content, more = {}) => stream(content, more).finalMessage();
const either = [ask, final];
const textOf = (message) =>
  message.content.map((block) => (block.type === "text" ? block.text : "")).join("");
const callsOf = (message) => message.content.filter((block) => block.type === "tool_use");
const resultsOf = (message) =>
  callsOf(message).map((call) => ({
    type: "tool_result",
    tool_use_id: call.id,
    content: `sunny in ${call.input.city}`,
  }));

const failures = [
  ["!error 400", Anthropic.BadRequestError, 400, "invalid_request_error"],
  ["!error 401", Anthropic.InternalServerError, 502, "api_error"],
  ["!error 429", Anthropic.InternalServerError, 529, "overloaded_error"],
  ["!error 500", Anthropic.InternalServerError, 502, "api_error"],
  ["!error 504", Anthropic.InternalServerError, 504, "timeout_error"],
];

await judge({
  "an answer is whole": async () => {
    const { data, response, request_id } = await ask("!answer Hello there").withResponse();
    assert.deepEqual(data.content.map((block) => [block.type, block.text]), [
      ["text", "Hello there"],
    ]);
    assert.deepEqual([data.model, data.stop_reason], [MODEL, "end_turn"]);
    assert.deepEqual([data.usage.input_tokens, data.usage.output_tokens], [3, 2]);
    assert.equal(response.headers.get("x-credits-charged"), "2");
    assert.match(request_id, /^req_/);
  },

  "a stream has its events in order": async () => {
    const text = "!answer Grüße, 世界 🎈\n!reason Hm, ü\n!split";
    const events = await collect(await ask(text, { stream: true, thinking: THINKING }));
    assert.equal(events[0].type, "message_start");
    assert.ok(events[0].message.usage.input_tokens > 0);
    assert.deepEqual(
      events.filter((event) => event.type === "content_block_start").map((event) => event.index),
      [0, 1],
    );
    assert.equal(events.at(-2).delta.stop_reason, "end_turn");
    assert.equal(events.at(-1).type, "message_stop");
  },

  "the stream helper builds the message": async () => {
    const helper = stream("!answer Piece by piece it grows");
    const pieces = [];
    helper.on("text", (piece) => pieces.push(piece));
    const message = await helper.finalMessage();
    assert.ok(pieces.length > 2);
    assert.equal(pieces.join(""), "Piece by piece it grows");
    assert.equal(textOf(message), await helper.finalText());
    assert.equal(message.usage.output_tokens, 5);
  },

  "silence is filled with pings": async () => {
    assert.equal(textOf(await final("!silence 0.4\n!chunks 3")), "word1 word2 word3 ");
  },

  "parallel calls are written one after the other": async () => {
    for (const way of ["", "!interleave", "!late-name"]) {
      for (const get of either) {
        const message = await get(`${PARALLEL}\n${way}`, { tools: [TOOL] });
        assert.equal(message.stop_reason, "tool_use");
        assert.deepEqual(callsOf(message).map((call) => call.input), CITIES);
        assert.ok(callsOf(message).every((call) => /^[a-zA-Z0-9_-]+$/.test(call.id)));
      }
    }
  },

  "thinking goes round in a tool loop": async () => {
    for (const get of either) {
      const more = { tools: [TOOL], thinking: THINKING };
      const first = await get(TWO_CALLS, more);
      assert.equal(first.content[0].thinking, "Two cities, then.");
      assert.ok(first.content[0].signature);
      const messages = [user(TWO_CALLS), first, user(resultsOf(first))].map(
        ({ role, content }) => ({ role, content }),
      );
      const answer = await get("", { ...more, messages });
      assert.equal(textOf(answer), "Sunny in both.");
      const [, assistant, ...results] = (await upstreamBody()).messages;
      assert.equal(assistant.reasoning_content, "Two cities, then.");
      assert.deepEqual(
        results.map((result) => result.content),
        ["sunny in Paris", "sunny in Rome"],
      );
    }
  },

  "the tool runner does without a thread": async () => {
    for (const streams of [false, true]) {
      const before = (await upstreamStats()).received;
      const seen = [];
      const weather = betaTool({
        name: "weather",
        description: "The weather",
        inputSchema: CITY,
        run: ({ city }) => `sunny in ${(seen.push(city), city)}`,
      });
      const message = await client.beta.messages.toolRunner({
        ...asked(TWO_CALLS, { tools: [weather], thinking: THINKING }),
        stream: streams,
      });
      assert.equal(textOf(message), "Sunny in both.");
      assert.deepEqual(seen, ["Paris", "Rome"]);
      assert.equal((await upstreamStats()).received, before + 2);
      const { messages } = await upstreamBody();
      assert.deepEqual(
        messages.map((said) => said.role),
        ["user", "assistant", "tool", "tool"],
      );
      assert.equal(messages[1].reasoning_content, "Two cities, then.");
    }
  },

  "a forced tool is called": async () => {
    for (const tool_choice of [{ type: "any" }, { type: "tool", name: "weather" }]) {
      const message = await ask("Hi", { tools: [TOOL], tool_choice, thinking: THINKING });
      assert.deepEqual(Object.keys(callsOf(message)[0].input), ["city"]);
    }
  },

  "an image goes inline": async () => {
    const source = { type: "base64", media_type: "image/png", data: PNG };
    const message = await ask([{ type: "image", source }, { type: "text", text: "What?" }]);
    assert.match(textOf(message), /^I see 1 image\./);
  },

  "structured output is parsed": async () => {
    const output_config = { format: jsonSchemaOutputFormat(TRIP_SCHEMA) };
    const text = `!answer ${JSON.stringify(TRIP)}`;
    const whole = await client.messages.parse(asked(text, { output_config }));
    assert.deepEqual(whole.parsed_output, TRIP);
    assert.deepEqual((await final(text, { output_config })).parsed_output, TRIP);
    const made = await client.messages.parse(asked("Plan", { output_config }));
    assert.deepEqual(Object.keys(made.parsed_output), ["title", "legs", "home"]);
  },

  "tokens are counted": async () => {
    const count = async (content) =>
      (await client.messages.countTokens({ model: MODEL, messages: [user(content)] })).input_tokens;
    const [few, many] = [await count("foo"), await count("word ".repeat(1000))];
    assert.ok(few >= 1 && few < 20);
    assert.ok(many > 900);
  },

  "every failure has its class": async () => {
    for (const [text, kind, status, type] of failures) {
      for (const more of [{}, { stream: true }]) {
        const error = await failureOf(ask(text, more));
        assert.ok(error instanceof kind, text);
        assert.deepEqual([error.status, error.error.error.type], [status, type]);
        assert.match(error.requestID, /^req_/);
      }
    }
    const unknown = await failureOf(ask("Hi", { model: "unknown" }));
    assert.ok(unknown instanceof Anthropic.NotFoundError);
    const stranger = new Anthropic({ authToken: "sk-nobody", maxRetries: 0 });
    const refused = await failureOf(stranger.models.list());
    assert.ok(refused instanceof Anthropic.AuthenticationError);
  },

  "used up credits are reported once": async () => {
    const counting = countingFetch();
    const poor = new Anthropic({ authToken: process.env.JUDGE_POOR_KEY, fetch: counting });
    const error = await failureOf(poor.messages.create(asked("Hi")));
    assert.deepEqual([error.status, error.error.error.type], [402, "billing_error"]);
    assert.match(error.message, /Your credit balance is too low/);
    assert.equal(counting.count, 1);
  },

  "only what may pass is tried again": async () => {
    for (const [text, attempts] of [["!error 400", 1], ["!error 401", 1], ["!error 500", 2]]) {
      const counting = countingFetch();
      const patient = new Anthropic({ maxRetries: 1, fetch: counting });
      await failureOf(patient.messages.create(asked(text)));
      assert.equal(counting.count, attempts, text);
    }
  },

  "a stream that breaks raises after what it sent": async () => {
    for (const fault of ["!cut 4", "!error-event", "!end-early"]) {
      const text = `!chunks 10\n${fault}`;
      const said = [];
      const events = await ask(text, { stream: true });
      const error = await failureOf(
        (async () => {
          for await (const event of events) said.push(event.delta?.text ?? "");
        })(),
      );
      assert.ok(error instanceof Anthropic.APIError);
      assert.equal(error.error.error.type, "api_error");
      assert.match(said.join(""), /^word1 /);
      const broken = await failureOf(final(text));
      assert.ok(broken instanceof Anthropic.APIError);
    }
  },

  "a client that leaves cuts the upstream": async () => {
    const before = (await upstreamStats()).cancelled;
    for await (const event of await ask("!chunks 2000 20", { stream: true })) {
      if (event.type === "content_block_delta") break;
    }
    await until(async () => (await upstreamStats()).cancelled > before, "the upstream's end");
  },

  "models are listed and found": async () => {
    const models = await collect(client.models.list());
    assert.ok(models.some((model) => model.id === MODEL && model.type === "model"));
    assert.ok(models.every((model) => model.lifecycle === "active"));
    assert.equal((await client.models.retrieve(MODEL)).display_name, MODEL);
    const missing = await failureOf(client.models.retrieve("unknown"));
    assert.ok(missing instanceof Anthropic.NotFoundError);
  },

  "another header for the key opens it too": async () => {
    const headers = { "x-api-key": process.env.ANTHROPIC_AUTH_TOKEN };
    const other = new Anthropic({ authToken: "sk-nobody", defaultHeaders: headers });
    assert.ok((await other.models.list()).data.length > 0);
  },
});
