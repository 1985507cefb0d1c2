"""Signatures of chat upstreams: pieces put together, places kept, and what is none."""

import json
from typing import Any

import pytest

from gateway.core.events import CallStarted, Event, Finished, Reasoning, Signature, Text
from gateway.core.request import AssistantMessage, SignedReasoning, ToolCall
from gateway.core.upstream_profiles import ALL_PROFILES
from gateway.dialects.chat.answer_reader import EventDecoder
from gateway.dialects.chat.history_writer import write_messages
from gateway.dialects.chat.signatures import (
    FROM_CLIENT,
    DetailAssembly,
    read_signatures,
    sign_call,
    sign_message,
)
from tests.dialects.support import chunk, resolve

Object = dict[str, Any]

EXTRA = {"google": {"thought_signature": "S"}}
TEXT = {"type": "reasoning.text", "index": 0}
REFUSING = ("fireworks", "mistral", "groq", "together", "deepseek", "xai", "cerebras")


def decode(*deltas: Object, finish: str = "stop") -> list[Event]:
    decoder = EventDecoder("main")
    pieces = [*map(chunk, deltas), chunk({}, finish)]
    return [event for piece in pieces for event in decoder.decode(json.dumps(piece).encode())]


def calls(*ids: str) -> tuple[ToolCall, ...]:
    return tuple(ToolCall(call_id, "look", "{}") for call_id in ids)


def write(message: AssistantMessage, profile: str = "generic") -> Object:
    return write_messages([message], resolve(profile))[0]


@pytest.mark.parametrize(
    ("given", "whole"),
    [
        ([{**TEXT, "text": "a"}, {**TEXT, "text": "b"}], [{**TEXT, "text": "ab"}]),
        (
            [{**TEXT, "text": "a"}, {**TEXT, "signature": "S"}],
            [{**TEXT, "text": "a", "signature": "S"}],
        ),
        (
            [{**TEXT, "text": "a", "signature": None}, {**TEXT, "text": "", "signature": "S"}],
            [{**TEXT, "text": "a", "signature": "S"}],
        ),
        ([{**TEXT, "text": "a", "signature": "S"}, {**TEXT, "text": "b"}], None),
        ([{**TEXT, "text": "a"}, {**TEXT, "text": "b", "index": 1}], None),
        ([{**TEXT, "text": "a", "id": "1"}, {**TEXT, "text": "b", "id": "2"}], None),
        ([{"type": "reasoning.encrypted", "data": "a"}] * 2, None),
        ([{"type": "reasoning.summary", "summary": "a"}, {**TEXT, "text": "a"}], None),
        ([{**TEXT, "text": 1}, {**TEXT, "text": "b"}], None),
        ([{**TEXT, "text": text} for text in "abcd"], [{**TEXT, "text": "abcd"}]),
        (
            [{**TEXT, "text": "a"}, {**TEXT, "text": "b", "summary": "c"}, {**TEXT, "text": 1}],
            [{**TEXT, "text": 1, "summary": "c"}],
        ),
    ],
)
def test_pieces_of_a_detail_become_one(given: list[Object], whole: list[Object] | None) -> None:
    before = json.dumps(given)
    for cut in range(len(given) + 1):
        details = DetailAssembly()
        details.add(given[:cut])
        details.add(given[cut:])
        assert details.take() == (given if whole is None else whole)
        assert details.take() == []
    assert json.dumps(given) == before


@pytest.mark.parametrize("given", [None, "a", 1, {}, ["a", None, 1, []], {"text": "a"}])
def test_what_is_no_list_of_details_is_none(given: Any) -> None:
    details = DetailAssembly()
    details.add(given)
    assert details.take() == []
    assert read_signatures(given, given, [("1", given)]) in (
        (),
        read_signatures(None, None, [("1", given)]),
    )


def test_a_signature_stands_where_it_was_made() -> None:
    events = decode(
        {"reasoning": "Hm.", "reasoning_details": [{**TEXT, "text": "Hm.", "signature": "S"}]},
        {"content": "Look: "},
        {"reasoning_details": [{"type": "reasoning.encrypted", "data": "D"}]},
        {"tool_calls": [{"index": 0, "id": "1", "function": {"name": "look"}}]},
        {"tool_calls": [{"index": 0, "extra_content": EXTRA, "function": {"arguments": "{}"}}]},
    )
    kinds = [type(event) for event in events]
    assert kinds[:5] == [Reasoning, Signature, Text, Signature, CallStarted]
    assert Finished("tool_calls") in events
    signed = [event for event in events if isinstance(event, Signature)]
    assert [event.upstream for event in signed] == ["main"] * 3
    assert [event.is_redacted for event in signed] == [False, True, True]
    assert signed[2].signature == sign_call(0, "1", EXTRA)


def test_what_comes_before_a_late_name_is_not_lost() -> None:
    events = decode(
        {"tool_calls": [{"index": 0, "extra_content": EXTRA, "function": {"arguments": "{}"}}]},
        {"tool_calls": [{"index": 0, "id": "1", "function": {"name": "look"}}]},
    )
    assert events[0] == Signature(sign_call(0, "1", EXTRA), "main", is_redacted=True)


@pytest.mark.parametrize(
    "delta",
    [
        {"reasoning_details": [{"text": "Hm."}]},
        {"extra_content": {"google": {"thought": True}}},
        {"extra_content": {"google": "S"}},
        {"extra_content": "S"},
        {"content": "Hi", "extra_content": []},
    ],
)
def test_what_needs_no_way_back_is_no_signature(delta: Object) -> None:
    assert not any(isinstance(event, Signature) for event in decode(delta))


def test_a_call_is_found_by_its_id_else_by_its_place() -> None:
    signed = tuple(
        SignedReasoning("", sign_call(index, call_id, {"at": index}), "main")
        for index, call_id in enumerate(("1", "2"))
    )
    for ids, found in ((("1", "2"), [0, 1]), (("2", "1"), [1, 0]), (("a", "b"), [0, 1])):
        written = write(AssistantMessage(calls=calls(*ids), signed_blocks=signed))
        assert [call["extra_content"]["at"] for call in written["tool_calls"]] == found
    written = write(AssistantMessage(calls=calls("1"), signed_blocks=signed))
    assert written["tool_calls"][0]["extra_content"] == {"at": 0}


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "S",
        "call:1 S",
        "[",
        "[]",
        '["call"]',
        '["call",-1,"x",{}]',
        '["call",0,"1","S"]',
        "[" * 9999,
    ],
)
def test_another_dialect_s_signature_is_not_written(signature: str) -> None:
    signed = (SignedReasoning("", signature, "main"),)
    written = write(AssistantMessage(calls=calls("1"), signed_blocks=signed))
    assert written.keys() == {"role", "content", "tool_calls"}
    assert written["tool_calls"][0].keys() == {"id", "type", "function"}


@pytest.mark.parametrize("profile", ALL_PROFILES)
def test_what_a_client_brings_is_kept_from_those_who_refuse_it(profile: str) -> None:
    signed = (SignedReasoning("", sign_message(EXTRA), FROM_CLIENT),)
    written = write(AssistantMessage("Hi", signed_blocks=signed), profile)
    refuses = profile in REFUSING or profile.startswith("gpt")
    assert ("extra_content" in written) is not refuses
    own = (SignedReasoning("", sign_message(EXTRA), "main"),)
    assert "extra_content" in write(AssistantMessage("Hi", signed_blocks=own), profile)
