"""From chunks and completions to events, in every spelling that servers use."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import UpstreamBroken
from gateway.core.events import (
    CallArguments,
    CallStarted,
    Event,
    Finished,
    Reasoning,
    Refusal,
    Text,
)
from gateway.dialects.chat.answer_reader import EventDecoder
from gateway.dialects.chat.answer_stream import ChatAnswer
from tests.dialects.support import chunk

TOLD = {"prompt_tokens": 2, "completion_tokens": 1}


def decode(*values: dict[str, Any]) -> list[Event]:
    decoder = EventDecoder()
    return [event for value in values for event in decoder.decode(json.dumps(value).encode())]


def whole(message: dict[str, Any], finish: str = "stop", **more: Any) -> list[Event]:
    choice = {"index": 0, "message": message, "finish_reason": finish, **more.pop("choice", {})}
    data = json.dumps({"choices": [choice], **more}).encode()
    return list(ChatAnswer(data, len(data), None).events())


def call(index: int | None = 0, **more: Any) -> dict[str, Any]:
    made = {"index": index, **more} if index is not None else more
    return {"tool_calls": [made]}


def function(name: str | None = None, arguments: str | None = None) -> dict[str, Any]:
    return {"function": {"name": name, "arguments": arguments}}


def test_reasoning_then_text_then_the_end() -> None:
    assert decode(
        chunk({"role": "assistant", "content": ""}),
        chunk({"reasoning_content": "hm"}),
        chunk({"content": "Hi"}),
        chunk({"content": None}),
        chunk({}, "stop"),
        chunk(choices=[], usage=TOLD),
    ) == [Reasoning("hm"), Text("Hi"), Finished("stop")]


@pytest.mark.parametrize(
    "delta",
    [
        {"reasoning_content": "hm"},
        {"reasoning": "hm"},
        {"reasoning_details": [{"text": "h"}, {"text": "m"}, {"summary": "x"}]},
        {"reasoning": "hm", "reasoning_details": [{"text": "hm"}]},
        {"reasoning_content": "hm", "reasoning": "hm"},
    ],
)
def test_reasoning_in_every_spelling_and_once(delta: dict[str, Any]) -> None:
    assert decode(chunk(delta)) == [Reasoning("hm")]
    assert whole({**delta, "content": "x"}) == [Reasoning("hm"), Text("x"), Finished("stop")]


def test_one_delta_may_hold_everything() -> None:
    delta = {"reasoning_content": "hm", "content": "Hi", **call(0, id="a", **function("f", "{}"))}
    expected = [Reasoning("hm"), Text("Hi"), CallStarted(0, "a", "f"), CallArguments(0, "{}")]
    assert decode(chunk(delta, "tool_calls")) == [*expected, Finished("tool_calls")]
    assert whole(delta, "tool_calls") == [*expected, Finished("tool_calls")]


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("content_filter", "content_filter"),
        ("tool_calls", "tool_calls"),
        ("function_call", "tool_calls"),
        ("unexpected_state", "stop"),
    ],
)
def test_reasons_to_stop(reason: str, expected: Any) -> None:
    assert decode(chunk({}, reason)) == [Finished(expected)]


@pytest.mark.parametrize(("reason", "expected"), [("stop", "tool_calls"), ("length", "length")])
def test_a_call_makes_stop_a_call(reason: str, expected: Any) -> None:
    begun = chunk(call(0, id="a", **function("f")))
    assert decode(begun, chunk({}, reason))[-1] == Finished(expected)


@pytest.mark.parametrize("member", ["stop_reason", "matched_stop"])
def test_the_stop_sequence_that_matched_is_reported_where_it_is_known(member: str) -> None:
    assert decode(chunk({}, "stop", choice={member: "END"})) == [Finished("stop", "END")]
    assert decode(chunk({}, "stop", choice={member: 151645})) == [Finished("stop")]
    assert decode(chunk({}, "length", choice={member: "END"})) == [Finished("length")]
    assert whole({"content": "x"}, choice={member: "END"})[-1] == Finished("stop", "END")


def test_interleaved_calls_keep_their_indexes() -> None:
    assert decode(
        chunk(call(0, id="a", **function("f"))),
        chunk(call(1, id="b", **function("g", "{"))),
        chunk(call(0, **function(None, "{}"))),
        chunk(call(1, **function(None, "}"))),
    ) == [
        CallStarted(0, "a", "f"),
        CallStarted(1, "b", "g"),
        CallArguments(1, "{"),
        CallArguments(0, "{}"),
        CallArguments(1, "}"),
    ]


def test_arguments_before_the_name_are_held() -> None:
    assert decode(
        chunk(call(0, **function(None, '{"a"'))),
        chunk(call(0, id="a", **function("f", ":1"))),
        chunk(call(0, **function(None, "}"))),
    ) == [CallStarted(0, "a", "f"), CallArguments(0, '{"a":1'), CallArguments(0, "}")]


def test_calls_without_ids_or_indexes() -> None:
    [started, arguments] = decode(chunk(call(0, **function("f", '{"a":1}'))))
    assert isinstance(started, CallStarted)
    assert started.id
    assert arguments == CallArguments(0, '{"a":1}')
    assert decode(
        chunk(call(None, id="a", **function("f", "{}"))),
        chunk(call(None, id="b", **function("g", "{"))),
        chunk(call(None, **function(None, "}"))),
    ) == [
        CallStarted(0, "a", "f"),
        CallArguments(0, "{}"),
        CallStarted(1, "b", "g"),
        CallArguments(1, "{"),
        CallArguments(1, "}"),
    ]


def test_calls_of_a_whole_message_are_counted_by_their_place() -> None:
    same = {"function": {"name": "f", "arguments": "{}"}}
    events = whole({"content": None, "tool_calls": [same, same]}, "tool_calls")
    started = [event for event in events if isinstance(event, CallStarted)]
    assert [event.index for event in started] == [0, 1]
    assert started[0].id != started[1].id


def test_a_function_call_of_2023_is_a_call() -> None:
    events = decode(
        chunk({"function_call": {"name": "f", "arguments": ""}}),
        chunk({"function_call": {"arguments": "{}"}}, "function_call"),
    )
    assert isinstance(events[0], CallStarted)
    assert events[1:] == [CallArguments(0, "{}"), Finished("tool_calls")]


def test_a_refusal_is_its_own_event() -> None:
    assert decode(chunk({"refusal": "no"})) == [Refusal("no")]


def test_only_the_first_choice_is_sent() -> None:
    assert decode(chunk({"content": "b"}, index=1), chunk({}, "stop", index=1)) == []


def test_content_after_a_reason_to_finish_is_sent_and_an_end_only_if_it_differs() -> None:
    assert decode(
        chunk({}, "stop"),
        chunk({"content": "late"}, "stop", usage=TOLD),
        chunk(call(0, id="a", **function("f")), "stop"),
        chunk({}, "stop"),
        chunk({}, "length"),
        chunk({}, "stop"),
    ) == [
        Finished("stop"),
        Text("late"),
        CallStarted(0, "a", "f"),
        CallArguments(0, "{}"),
        Finished("tool_calls"),
        Finished("length"),
    ]


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b'{"choices":5}', b'{"choices":[{"delta":1}]}'])
def test_a_foreign_shape_is_broken(data: bytes) -> None:
    with pytest.raises(UpstreamBroken):
        EventDecoder().decode(data)


def join(events: list[Event]) -> tuple[str, str]:
    """All reasoning and all text of an answer that holds nothing else."""
    assert events[-1] == Finished("stop")
    found = {Reasoning: "", Text: ""}
    for event in events[:-1]:
        assert isinstance(event, Reasoning | Text)
        assert event.text, "deltas are never empty"
        found[type(event)] += event.text
    return found[Reasoning], found[Text]


def split_think(content: str, places: list[int]) -> tuple[str, str]:
    """Reasoning and text of content that arrives in pieces, then the end."""
    ends = [*places, len(content)]
    deltas = [{"content": content[a:b]} for a, b in zip([0, *places], ends, strict=True)]
    return join(decode(*(chunk(delta) for delta in deltas), chunk({}, "stop")))


@pytest.mark.parametrize(
    ("content", "reasoning", "text"),
    [
        ("<think>a</think>b", "a", "b"),
        ("\n<think>\na\n</think>\n\nb\n", "a\n", "b\n"),
        ("<think>a < b </thin c</think>d<think>e", "a < b </thin c", "d<think>e"),
        ("no <think>a</think>", "", "no <think>a</think>"),
        ("<thin", "", "<thin"),
        ("<think>never closed </thi", "never closed </thi", ""),
        ("<think></think>", "", ""),
        ("  plain", "", "  plain"),
        ("<b>bold</b>", "", "<b>bold</b>"),
    ],
)
def test_think_tags_are_split_wherever_the_pieces_end(
    content: str, reasoning: str, text: str
) -> None:
    for at in range(len(content)):
        assert split_think(content, [at]) == (reasoning, text)
    assert split_think(content, list(range(1, len(content)))) == (reasoning, text)
    assert join(whole({"content": content})) == (reasoning, text)


def test_tags_in_an_answer_with_a_reasoning_member_are_text() -> None:
    events = decode(chunk({"reasoning": "r"}), chunk({"content": "<think>a</think>"}))
    assert events == [Reasoning("r"), Text("<think>a</think>")]


def test_tags_beside_the_same_reasoning_are_the_same_once_more() -> None:
    deltas = [
        {"content": "<think>\nHm", "reasoning_content": "Hm"},
        {"content": ".", "reasoning_content": "."},
        {"content": "</thi"},
        {"content": "nk>\n\nHello <think>"},
    ]
    assert join(decode(*map(chunk, deltas), chunk({}, "stop"))) == ("Hm.", "Hello <think>")


@given(
    st.text(st.sampled_from("<>/think ab\n"), max_size=30),
    st.lists(st.integers(0, 40), max_size=6),
)
def test_splitting_loses_nothing_but_the_tags(content: str, places: list[int]) -> None:
    cuts = sorted({min(place, len(content)) for place in places})
    assert split_think(content, cuts) == split_think(content, [])
    reasoning, text = split_think("<think>x</think>y" + content, [])
    assert (reasoning, text) == ("x", "y" + content)


def test_an_answer_without_end_is_not_kept() -> None:
    decoder = EventDecoder()
    data = json.dumps(chunk({"content": "x" * 4_000_000})).encode()
    with pytest.raises(UpstreamBroken, match="too large"):
        for _ in range(80):
            decoder.decode(data)
