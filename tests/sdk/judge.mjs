// What both judges share: the cases run one after the other, a line of JSON for each; what the
// upstream saw; and what the cases talk about. It never decides: an SDK or an assertion does.

export const MODEL = "kimi-k2.5";
export const PNG =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJg" +
  "gg==";
export const CITY = {
  type: "object",
  properties: { city: { type: "string", description: "Where" } },
  required: ["city"],
  additionalProperties: false,
};
export const PARALLEL = '!tool weather {"city": "Paris"}\n!tool weather {"city": "Rome"}';
// A first turn that thinks and calls twice, and a second that answers from the results.
export const TWO_CALLS = `!reason Two cities, then.\n${PARALLEL}\n!then\n!answer Sunny in both.`;
// Nested, with references and a union, and something that fits it.
export const TRIP_SCHEMA = {
  type: "object",
  properties: {
    title: { type: "string" },
    legs: { type: "array", items: { $ref: "#/$defs/Leg" } },
    home: { anyOf: [{ $ref: "#/$defs/Place" }, { type: "null" }] },
  },
  required: ["title", "legs", "home"],
  additionalProperties: false,
  $defs: {
    Leg: {
      type: "object",
      properties: { start: { $ref: "#/$defs/Place" }, hours: { type: "number" } },
      required: ["start", "hours"],
      additionalProperties: false,
    },
    Place: {
      type: "object",
      properties: { city: { type: "string" }, kind: { enum: ["inland", "harbour"] } },
      required: ["city", "kind"],
      additionalProperties: false,
    },
  },
};
const OSLO = { city: "Oslo", kind: "harbour" };
export const TRIP = { title: "North", legs: [{ start: OSLO, hours: 30.5 }], home: OSLO };

const SIMULATED = process.env.JUDGE_SIMULATED;

export async function upstreamStats() {
  return (await fetch(`${SIMULATED}/stats`)).json();
}

export async function upstreamBody() {
  const requests = await (await fetch(`${SIMULATED}/stats/requests`)).json();
  return requests.at(-1).body;
}

/** A fetch for an SDK that counts how often it was used. */
export function countingFetch() {
  const counting = (...given) => {
    counting.count += 1;
    return fetch(...given);
  };
  counting.count = 0;
  return counting;
}

/** The error that a promise must end in. */
export async function failureOf(promise) {
  let value;
  try {
    value = await promise;
  } catch (error) {
    return error;
  }
  throw new Error(`no error, but ${JSON.stringify(value)}`);
}

export async function collect(stream) {
  const events = [];
  for await (const event of stream) events.push(event);
  return events;
}

/** Wait until a condition holds; throws after five seconds. */
export async function until(condition, what) {
  const deadline = Date.now() + 5000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`still waiting for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export async function judge(cases) {
  for (const [name, run] of Object.entries(cases)) {
    let error = null;
    try {
      await run();
    } catch (caught) {
      error = caught?.stack ?? String(caught);
    }
    console.log(JSON.stringify({ name, error }));
  }
}
