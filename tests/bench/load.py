"""Bodies of each dialect, the marks of a right answer, and the runs of the load generator."""

import subprocess
from pathlib import Path

import msgspec

from tests.bench.programs import BenchError

#: between two chunks of a stream
GAP_MS = 20
UPSTREAM_MODEL = "bench-model"
PUBLIC_MODEL = "kimi-k2.5"

_WORD = "lighthouse"  # once in every chunk of the upstream
_SYSTEM = "You answer shortly and in plain words, and you say so when you do not know something."
_QUESTION = "Who keeps the lamp burning at night, and what would the ships do if nobody did it?"


class Plan(msgspec.Struct, frozen=True):
    """The size of a run: rounds, the length of a window, chunks of content in a stream."""

    rounds: int = 3
    seconds: float = 3
    chunks: int = 64
    warm: bool = True


SMOKE = Plan(rounds=1, seconds=0.25, chunks=8, warm=False)


class Work(msgspec.Struct, frozen=True):
    """One kind of request, and what its right answer holds.

    `marker` is in the events that carry text, `end` in the last event, each of `has` in some event.
    There are exactly `closing_events` more events than chunks of content, if that is not None.
    """

    name: str
    dialect: str
    body: dict[str, object]
    stream: bool = False
    marker: str = ""
    end: str = ""
    has: tuple[str, ...] = ()
    closing_events: int | None = None


class LoadResult(msgspec.Struct, frozen=True):
    """The load generator's counts: right answers, their events, and wrong answers."""

    requests: int
    events: int
    errors: int
    first_error: str
    seconds: float
    latency_ms_p50: float
    latency_ms_p99: float
    first_word_ms_p50: float


_CHAT: dict[str, object] = {
    "messages": [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": _QUESTION}],
    "max_tokens": 256,
}
_MESSAGES: dict[str, object] = {
    "system": _SYSTEM,
    "messages": [{"role": "user", "content": _QUESTION}],
    "max_tokens": 256,
}
_RESPONSES: dict[str, object] = {"instructions": _SYSTEM, "input": _QUESTION, "store": False}

CHAT = Work("chat", "chat", _CHAT)
CHAT_STREAM = Work(
    "chat, streamed",
    "chat",
    # With its usage asked for, a stream has the same events through a gateway and without one.
    _CHAT | {"stream": True, "stream_options": {"include_usage": True}},
    stream=True,
    end="[DONE]",
    closing_events=3,  # finish, usage, [DONE]
)
MESSAGES = Work("messages", "messages", _MESSAGES)
MESSAGES_STREAM = Work(
    "messages, streamed",
    "messages",
    _MESSAGES | {"stream": True},
    stream=True,
    marker='"text_delta"',
    end="message_stop",
    has=('"stop_reason":"end_turn"',),
)
RESPONSES = Work("responses", "responses", _RESPONSES)
RESPONSES_STREAM = Work(
    "responses, streamed",
    "responses",
    _RESPONSES | {"stream": True},
    stream=True,
    marker="response.output_text.delta",
    end="[DONE]",
    has=("response.completed",),
)
RESPONSES_STORED = Work("responses, stored", "responses", _RESPONSES | {"store": True})


def request_body(work: Work, model: str) -> str:
    """The bytes of one request, as text."""
    return msgspec.json.encode({"model": model} | work.body).decode()


def send_load(
    program: Path,
    work: Work,
    *,
    url: str,
    model: str,
    key: str,
    connections: int,
    seconds: float,
    chunks: int,
) -> LoadResult:
    """Run the load generator over keep-alive connections until no request is under way.

    `chunks` is what the upstream sends in a stream.
    A gateway's answers must hold its public model, and the upstream's id nowhere.
    """
    job = {
        "url": url,
        "headers": {"Authorization": f"Bearer {key}"} if key else {},
        "body": request_body(work, model),
        "connections": connections,
        "seconds": seconds,
        # Streams begin over the length of one, so that none, early or late, begin in a clump.
        "stagger_seconds": min((chunks - 1) * GAP_MS / 1000, seconds / 2) if work.stream else 0,
        "expect": {
            "stream": work.stream,
            "word": _WORD,
            "words": chunks if work.stream else 1,
            "marker": work.marker,
            "events": 0 if work.closing_events is None else chunks + work.closing_events,
            "end": work.end,
            "has": [f'"{model}"', *work.has],
            "never": "" if model == UPSTREAM_MODEL else UPSTREAM_MODEL,
        },
    }
    ran = subprocess.run(
        [str(program)],
        input=msgspec.json.encode(job),
        capture_output=True,
        timeout=seconds + 60,
        check=False,
    )
    if ran.returncode != 0:
        raise BenchError(f"the load generator failed: {ran.stderr.decode().strip()}")
    return msgspec.json.decode(ran.stdout, type=LoadResult)
