"""The stream keeps its discipline and loses nothing of all that an upstream may legally send."""

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.events import (
    CallArguments,
    CallStarted,
    Event,
    Finished,
    FinishReason,
    Reasoning,
    Refusal,
    Text,
)
from tests.dialects.messages.support import answer, read_message, stream

PIECES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
REASONS: list[FinishReason] = ["stop", "length", "tool_calls", "content_filter"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | PIECES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PIECES, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def calls(draw: st.DrawFn) -> list[Event]:
    """All events of one call; its arguments are a JSON object cut anywhere, or empty."""
    arguments = draw(st.dictionaries(PIECES, JSON, max_size=3).map(json.dumps) | st.just(""))
    cuts = sorted(draw(st.sets(st.integers(1, len(arguments) - 1)))) if len(arguments) > 1 else []
    edges = [0, *cuts, len(arguments)]
    fragments = [arguments[a:b] for a, b in pairwise(edges) if a != b]
    started = CallStarted(0, draw(PIECES), draw(PIECES))
    return [started, *(CallArguments(0, fragment) for fragment in fragments)]


@st.composite
def answers(draw: st.DrawFn) -> list[Event]:
    """Texts, reasoning and calls, with the calls' fragments interleaved at will."""
    kinds = st.builds(Reasoning, PIECES) | st.builds(Text, PIECES)
    sources: list[list[Event]] = [list(draw(st.lists(kinds, max_size=8)))]
    sources += [
        _numbered(source, i) for i, source in enumerate(draw(st.lists(calls(), max_size=3)))
    ]
    merged: list[Event] = []
    while sources := [source for source in sources if source]:
        merged.append(draw(st.sampled_from(sources)).pop(0))
    return [*merged, Finished(draw(st.sampled_from(REASONS)))]


def _numbered(source: list[Event], index: int) -> list[Event]:
    numbered: list[Event] = []
    for event in source:
        if isinstance(event, CallStarted):
            numbered.append(CallStarted(index, event.id, event.name))
        elif isinstance(event, CallArguments):
            numbered.append(CallArguments(index, event.fragment))
    return numbered


@st.composite
def chunked(draw: st.DrawFn) -> list[list[Event]]:
    """An answer cut into chunks anywhere."""
    events = draw(answers())
    chunks: list[list[Event]] = [[]]
    for event in events:
        if draw(st.booleans()):
            chunks.append([])
        chunks[-1].append(event)
    return chunks


def joined(events: Sequence[Event], kind: type[Text] | type[Reasoning]) -> str:
    return "".join(event.text for event in events if isinstance(event, kind))


def arguments_by_name(events: Sequence[Event]) -> list[tuple[str, str]]:
    """Name and arguments of each call, in the order they started."""
    calls = {event.index: (event.name, "") for event in events if isinstance(event, CallStarted)}
    for event in events:
        if isinstance(event, CallArguments):
            name, arguments = calls[event.index]
            calls[event.index] = (name, arguments + event.fragment)
    return list(calls.values())


def blocks(message: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [block for block in message["content"] if block["type"] == kind]


@settings(max_examples=150)
@given(chunked())
def test_any_legal_answer_keeps_the_discipline_and_loses_nothing(
    chunks: list[list[Event]],
) -> None:
    events = [event for chunk in chunks for event in chunk]
    message = read_message(stream(*chunks))

    assert "".join(block["text"] for block in blocks(message, "text")) == joined(events, Text)
    assert "".join(block["thinking"] for block in blocks(message, "thinking")) == joined(
        events, Reasoning
    )
    shown = [(block["name"], block["_json"]) for block in blocks(message, "tool_use")]
    assert shown == arguments_by_name(events)


@settings(max_examples=60)
@given(answers())
def test_a_whole_answer_holds_the_same_as_its_stream(events: list[Event]) -> None:
    streamed = read_message(stream(*([event] for event in events)))
    whole = answer(*events)

    assert whole["stop_reason"] == streamed["stop_reason"]
    for one, other in zip(whole["content"], streamed["content"], strict=True):
        assert one["type"] == other["type"]
        assert one.get("text") == other.get("text")
        assert one.get("thinking") == other.get("thinking")
        if one["type"] == "tool_use":
            assert one["input"] == json.loads(other["_json"] or "{}")


def test_a_refusal_is_text_too() -> None:
    message = read_message(stream([Refusal("I "), Refusal("won't.")], [Finished("stop")]))

    assert [block["text"] for block in message["content"]] == ["I won't."]
