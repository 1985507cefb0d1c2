// The released OpenAI SDK for JavaScript as the judge; its client knows only the key's Secret.

import assert from "node:assert/strict";
import OpenAI from "openai";
import {
  standardFunction,
  standardResponseFormat,
  standardTextFormat,
} from "openai/helpers/standard-schema";
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

const client = new OpenAI({ maxRetries: 0, timeout: 20_000 });
const CITIES = [{ city: "Paris" }, { city: "Rome" }];
const PNG_URL = `data:image/png;base64,${PNG}`;
const TOOL = { type: "function", function: { name: "weather", parameters: CITY, strict: true } };
const FLAT = { type: "function", name: "weather", parameters: CITY, strict: true };

const user = (content) => ({ role: "user", content });
const chat = (text, more = {}) =>
  client.chat.completions.create({ model: MODEL, messages: [user(text)], ...more });
const chatStream = (text, more = {}) =>
  client.chat.completions.stream({ model: MODEL, messages: [user(text)], ...more });
const respond = (input, more = {}) => client.responses.create({ model: MODEL, input, ...more });
const respondStream = (input, more = {}) =>
  client.responses.stream({ model: MODEL, input, ...more });
const argumentsOf = (message) => message.tool_calls.map((c) => JSON.parse(c.function.arguments));
const callsOf = (response) => response.output.filter((item) => item.type === "function_call");
const outputsFor = (response) =>
  callsOf(response).map((call) => ({
    type: "function_call_output",
    call_id: call.call_id,
    output: `sunny in ${JSON.parse(call.arguments).city}`,
  }));

/** A schema as a validation library hands it out. */
function standard(schema) {
  const validate = (value) =>
    schema.required.every((name) => name in value) ? { value } : { issues: [{ message: "bad" }] };
  return {
    "~standard": { version: 1, vendor: "judge", validate, jsonSchema: { input: () => schema } },
  };
}

const failures = [
  ["!error 400", OpenAI.BadRequestError, 400, null],
  ["!error 401", OpenAI.InternalServerError, 502, "upstream_misconfigured"],
  ["!error 429", OpenAI.InternalServerError, 503, "upstream_overloaded"],
  ["!error 500", OpenAI.InternalServerError, 502, "upstream_error"],
  ["!error 504", OpenAI.InternalServerError, 504, "upstream_timeout"],
];

await judge({
  "an answer is whole": async () => {
    const { data, response, request_id } = await chat("!answer Hello there").withResponse();
    assert.equal(data.choices[0].message.content, "Hello there");
    assert.equal(data.choices[0].finish_reason, "stop");
    assert.equal(data.model, MODEL);
    assert.equal(data.usage.total_tokens, 5);
    assert.equal(response.headers.get("x-credits-charged"), "2");
    assert.match(request_id, /^req_/);
  },

  "a stream says the same in pieces": async () => {
    const more = { stream: true, stream_options: { include_usage: true } };
    const chunks = await collect(await chat("!answer Grüße, 世界 🎈\n!split\n!usage choice", more));
    const last = chunks.pop();
    const text = chunks.map((chunk) => chunk.choices[0].delta.content ?? "").join("");
    assert.equal(text, "Grüße, 世界 🎈");
    assert.deepEqual(last.choices, []);
    assert.equal(last.usage.completion_tokens, 3);
    assert.ok(chunks.every((chunk) => !chunk.usage && chunk.model === MODEL));
    const quiet = await collect(await chat("!answer Hi", { stream: true }));
    assert.ok(quiet.every((chunk) => chunk.choices.length === 1 && !chunk.usage));
  },

  "the stream helper builds the completion": async () => {
    const stream = chatStream("!reason Hm.\n!answer Piece by piece it grows", {
      reasoning_effort: "high",
      stream_options: { include_usage: true },
    });
    const pieces = [];
    stream.on("content", (piece) => pieces.push(piece));
    const completion = await stream.finalChatCompletion();
    assert.equal(completion.choices[0].message.content, "Piece by piece it grows");
    assert.equal(pieces.join(""), "Piece by piece it grows");
    assert.equal((await stream.totalUsage()).completion_tokens, 6);
  },

  "structured output is parsed": async () => {
    const response_format = standardResponseFormat(standard(TRIP_SCHEMA), "trip");
    const text = `!answer ${JSON.stringify(TRIP)}`;
    const asked = { model: MODEL, messages: [user(text)], response_format };
    const whole = await client.chat.completions.parse(asked);
    assert.deepEqual(whole.choices[0].message.parsed, TRIP);
    const streamed = await client.chat.completions.stream(asked).finalChatCompletion();
    assert.deepEqual(streamed.choices[0].message.parsed, TRIP);
    const made = await client.chat.completions.parse({ ...asked, messages: [user("Plan")] });
    assert.deepEqual(Object.keys(made.choices[0].message.parsed), ["title", "legs", "home"]);
  },

  "parallel calls are read in any order": async () => {
    for (const way of ["", "!interleave", "!late-name", "!interleave\n!late-name"]) {
      const text = `${PARALLEL}\n${way}`;
      const whole = await chat(text, { tools: [TOOL] });
      assert.deepEqual(argumentsOf(whole.choices[0].message), CITIES);
      const stream = chatStream(text, { tools: [TOOL] });
      const done = [];
      stream.on("tool_calls.function.arguments.done", (call) => done.push(call.arguments));
      const { message, finish_reason } = (await stream.finalChatCompletion()).choices[0];
      assert.deepEqual(argumentsOf(message), CITIES);
      assert.deepEqual(done.map(JSON.parse), CITIES);
      assert.equal(finish_reason, "tool_calls");
    }
  },

  "a tool loop runs by itself": async () => {
    for (const stream of [false, true]) {
      const seen = [];
      const weather = standardFunction({
        name: "weather",
        description: "The weather",
        parameters: standard(CITY),
        function: ({ city }) => `sunny in ${(seen.push(city), city)}`,
      });
      const runner = client.chat.completions.runTools({
        model: MODEL,
        messages: [user(TWO_CALLS)],
        tools: [weather],
        reasoning_effort: "high",
        stream,
      });
      assert.equal(await runner.finalContent(), "Sunny in both.");
      assert.deepEqual(seen, ["Paris", "Rome"]);
      const [, assistant, ...results] = (await upstreamBody()).messages;
      assert.ok(assistant.reasoning_content.trim());
      assert.deepEqual(
        results.map((result) => result.content),
        ["sunny in Paris", "sunny in Rome"],
      );
    }
  },

  "a forced tool is called": async () => {
    const named = { type: "function", function: { name: "weather" } };
    for (const tool_choice of ["required", named]) {
      const more = { tools: [TOOL], tool_choice, reasoning_effort: "high" };
      const { message } = (await chat("Hi", more)).choices[0];
      assert.deepEqual(Object.keys(argumentsOf(message)[0]), ["city"]);
    }
  },

  "an image goes inline": async () => {
    const content = [
      { type: "text", text: "What is it?" },
      { type: "image_url", image_url: { url: PNG_URL } },
    ];
    const completion = await chat(content);
    assert.match(completion.choices[0].message.content, /^I see 1 image\./);
  },

  "every failure has its class": async () => {
    for (const [text, kind, status, code] of failures) {
      for (const ask of [() => chat(text), () => respond(text), () => chat(text, { stream: true })]) {
        const error = await failureOf(ask());
        assert.equal(error.constructor, kind, text);
        assert.deepEqual([error.status, error.code], [status, code]);
        assert.match(error.requestID, /^req_/);
      }
    }
    const unknown = await failureOf(chat("Hi", { model: "unknown" }));
    assert.equal(unknown.constructor, OpenAI.NotFoundError);
    assert.deepEqual([unknown.code, unknown.param], ["model_not_found", "model"]);
    const stranger = new OpenAI({ apiKey: "sk-nobody", maxRetries: 0 });
    const refused = await failureOf(stranger.models.list());
    assert.equal(refused.constructor, OpenAI.AuthenticationError);
    assert.equal(refused.code, "invalid_api_key");
  },

  "used up credits are reported once": async () => {
    const counting = countingFetch();
    const poor = new OpenAI({ apiKey: process.env.JUDGE_POOR_KEY, fetch: counting });
    const error = await failureOf(
      poor.chat.completions.create({ model: MODEL, messages: [user("Hi")] }),
    );
    assert.deepEqual([error.status, error.code], [402, "insufficient_quota"]);
    assert.equal(counting.count, 1);
  },

  "only what may pass is tried again": async () => {
    for (const [text, attempts] of [["!error 400", 1], ["!error 401", 1], ["!error 500", 2]]) {
      const counting = countingFetch();
      const patient = new OpenAI({ maxRetries: 1, fetch: counting });
      await failureOf(patient.chat.completions.create({ model: MODEL, messages: [user(text)] }));
      assert.equal(counting.count, attempts, text);
    }
  },

  "a stream that breaks raises after what it sent": async () => {
    for (const fault of ["!cut 4", "!error-event", "!end-early"]) {
      const text = `!chunks 10\n${fault}`;
      const said = [];
      const stream = await chat(text, { stream: true });
      const error = await failureOf(
        (async () => {
          for await (const chunk of stream) said.push(chunk.choices[0].delta.content ?? "");
        })(),
      );
      assert.ok(error instanceof OpenAI.APIError);
      assert.equal(error.code, "upstream_broken");
      assert.match(said.join(""), /^word1 /);
      const failed = await failureOf(respond(text, { stream: true }).then(collect));
      assert.ok(failed instanceof OpenAI.APIError);
      await failureOf(chatStream(text).finalChatCompletion());
      await failureOf(respondStream(text).finalResponse());
    }
  },

  "a client that leaves cuts the upstream": async () => {
    const before = (await upstreamStats()).cancelled;
    const stream = await chat("!chunks 2000 20", { stream: true });
    for await (const chunk of stream) {
      if (chunk.choices[0].delta.content) break;
    }
    await until(async () => (await upstreamStats()).cancelled > before, "the upstream's end");
  },

  "silence is filled with what the SDK skips": async () => {
    const completion = await chatStream("!silence 0.4\n!chunks 3").finalChatCompletion();
    assert.equal(completion.choices[0].message.content, "word1 word2 word3 ");
    const response = await respondStream("!silence 0.4\n!chunks 3").finalResponse();
    assert.equal(response.output_text, "word1 word2 word3 ");
  },

  "a response is whole": async () => {
    const response = await respond("!answer Hello there", { metadata: { run: "1" } });
    assert.equal(response.output_text, "Hello there");
    assert.equal(response.status, "completed");
    assert.deepEqual(response.metadata, { run: "1" });
    assert.equal(response.usage.total_tokens, 5);
  },

  "the response stream builds the response": async () => {
    const text = `!reason Hm, well.\n!answer I look.\n${PARALLEL}\n!interleave`;
    const stream = respondStream(text, { tools: [FLAT], reasoning: { effort: "high" } });
    const kinds = new Set();
    stream.on("event", (event) => kinds.add(event.type));
    const response = await stream.finalResponse();
    assert.deepEqual(
      response.output.map((item) => item.type),
      ["reasoning", "message", "function_call", "function_call"],
    );
    assert.equal(response.output[0].summary[0].text, "Hm, well.");
    assert.equal(response.output_text, "I look.");
    assert.deepEqual(callsOf(response).map((call) => JSON.parse(call.arguments)), CITIES);
    assert.ok(kinds.has("response.reasoning_summary_text.delta"));
    assert.ok(kinds.has("response.function_call_arguments.done"));
  },

  "a response is parsed": async () => {
    const format = standardTextFormat(standard(TRIP_SCHEMA), "trip");
    const asked = { model: MODEL, input: `!answer ${JSON.stringify(TRIP)}`, text: { format } };
    assert.deepEqual((await client.responses.parse(asked)).output_parsed, TRIP);
    const streamed = await client.responses.stream(asked).finalResponse();
    assert.deepEqual(streamed.output_parsed, TRIP);
  },

  "a custom tool takes and gives plain text": async () => {
    const tools = [{ type: "custom", name: "patch" }];
    const text = '!tool patch {"input": "*** Begin\\n+ x"}\n!then\n!answer Patched';
    for (const ask of [respond, (...given) => respondStream(...given).finalResponse()]) {
      const first = await ask(text, { tools });
      const [call] = first.output;
      assert.deepEqual([call.type, call.input], ["custom_tool_call", "*** Begin\n+ x"]);
      const result = { type: "custom_tool_call_output", call_id: call.call_id, output: "ok" };
      const answer = await ask([user(text), call, result], { tools });
      assert.equal(answer.output_text, "Patched");
    }
  },

  "a conversation goes on from the previous response": async () => {
    const more = { tools: [FLAT], reasoning: { effort: "high" } };
    const first = await respondStream(TWO_CALLS, more).finalResponse();
    const next = { ...more, previous_response_id: first.id };
    const answer = await respond(outputsFor(first), next);
    assert.equal(answer.output_text, "Sunny in both.");
    assert.equal((await upstreamBody()).messages[1].reasoning_content, "Two cities, then.");
  },

  "items are referred to": async () => {
    const more = { tools: [FLAT], reasoning: { effort: "high" } };
    const first = await respond(TWO_CALLS, more);
    const references = first.output.map(({ id }) => ({ type: "item_reference", id }));
    const answer = await respond([user(TWO_CALLS), ...references, ...outputsFor(first)], more);
    assert.equal(answer.output_text, "Sunny in both.");
  },

  "a response is kept and deleted": async () => {
    const first = await respond("!answer One");
    const second = await respond("!answer Two", { previous_response_id: first.id });
    assert.equal((await client.responses.retrieve(second.id)).output_text, "Two");
    const items = await collect(client.responses.inputItems.list(second.id, { limit: 1 }));
    const texts = items.map((item) => item.content[0].text);
    assert.deepEqual(texts, ["!answer Two", "One", "!answer One"]);
    await client.responses.delete(second.id);
    const gone = await failureOf(client.responses.retrieve(second.id));
    assert.equal(gone.constructor, OpenAI.NotFoundError);
    const next = await failureOf(respond("Hi", { previous_response_id: second.id }));
    assert.equal(next.code, "previous_response_not_found");
  },

  "nothing is kept where the client says so": async () => {
    const more = { tools: [FLAT], reasoning: { effort: "high" }, store: false };
    const first = await respondStream(TWO_CALLS, {
      ...more,
      include: ["reasoning.encrypted_content"],
    }).finalResponse();
    assert.equal(first.store, false);
    const [reasoning, ...calls] = first.output;
    const sealed = { ...reasoning, summary: [] };
    const history = [user(TWO_CALLS), sealed, ...calls, ...outputsFor(first)];
    assert.equal((await respond(history, more)).output_text, "Sunny in both.");
    assert.equal((await upstreamBody()).messages[1].reasoning_content, "Two cities, then.");
    const gone = await failureOf(client.responses.retrieve(first.id));
    assert.equal(gone.constructor, OpenAI.NotFoundError);
  },

  "texts become vectors, in both forms": async () => {
    const input = ["one text", "another"];
    const [packed, plain] = await Promise.all(
      [undefined, "float"].map((encoding_format) =>
        client.embeddings.create({ model: "vectors", input, encoding_format }),
      ),
    );
    assert.equal(plain.data[0].embedding.length, 8);
    assert.deepEqual(
      packed.data.map((each) => Array.from(each.embedding)),
      plain.data.map((each) => Array.from(new Float32Array(each.embedding))),
    );
  },

  "models are listed and found": async () => {
    const models = await collect(client.models.list());
    assert.ok(models.some((model) => model.id === MODEL && model.object === "model"));
    assert.equal((await client.models.retrieve(MODEL)).id, MODEL);
    const missing = await failureOf(client.models.retrieve("unknown"));
    assert.equal(missing.constructor, OpenAI.NotFoundError);
  },

  "another header for the key opens it too": async () => {
    const headers = { "x-api-key": process.env.OPENAI_API_KEY };
    const other = new OpenAI({ apiKey: "sk-nobody", defaultHeaders: headers, maxRetries: 0 });
    assert.ok((await other.models.list()).data.length > 0);
  },
});
