"""Answers for a client, streamed and whole. The first part are faults that broke agent clients in
other gateways; each has a test of its own.
"""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.core.errors import UpstreamBroken, UpstreamOverloaded
from gateway.core.events import (
    CallArguments,
    CallStarted,
    Event,
    Finished,
    Reasoning,
    Refusal,
    Text,
    Usage,
)
from gateway.dialects.messages.call_ids import encode_call_id
from tests.dialects.messages.support import (
    ALICE,
    SEALER,
    Piece,
    answer,
    read_frames,
    read_message,
    renderer_for,
    stream,
    tool,
)

STOP = Finished("stop")
CALLS = Finished("tool_calls")
OMITTED: dict[str, Any] = {"thinking": {"type": "adaptive", "display": "omitted"}}
ONE_CALL: dict[str, Any] = {
    "tools": [tool("A")],
    "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
}


def call(index: int, name: str, *fragments: str) -> list[Event]:
    started = CallStarted(index, f"functions.{name}:{index}", name)
    return [started, *(CallArguments(index, fragment) for fragment in fragments)]


def kinds(message: dict[str, Any]) -> list[str]:
    return [block["type"] for block in message["content"]]


def names(events: Sequence[tuple[str, dict[str, Any]]]) -> list[str]:
    return [name for name, _ in events]


def test_blocks_may_change_inside_one_chunk_without_losing_anything() -> None:
    message = read_message(
        stream(
            [Reasoning("Hm"), Text("Look: "), *call(0, "A", '{"a"', ":1}"), *call(1, "B", "{}")],
            [CALLS],
        )
    )

    assert kinds(message) == ["thinking", "text", "tool_use", "tool_use"]
    thinking, text, first, second = message["content"]
    assert thinking["thinking"] == "Hm"
    assert text["text"] == "Look: "
    assert (first["name"], first["_json"], first["input"]) == ("A", '{"a":1}', {})
    assert (second["name"], second["_json"]) == ("B", "{}")


def test_thinking_after_text_gets_a_block_of_its_own() -> None:
    message = read_message(stream([Text("a")], [Reasoning("b")], [Text("c")], [STOP]))

    assert kinds(message) == ["text", "thinking", "text"]


def test_a_call_without_text_has_no_empty_text_block_and_stops_for_the_tool() -> None:
    message = read_message(stream(call(0, "A", "{}"), [STOP]))

    assert kinds(message) == ["tool_use"]
    assert message["stop_reason"] == "tool_use"


def test_usage_has_every_cache_field_from_the_start_and_the_truth_at_the_end() -> None:
    events = stream([Text("Hi")], [STOP])

    assert events[0][1]["message"]["usage"] == {
        "input_tokens": 26,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": 1,
        "output_tokens_details": {"thinking_tokens": 0},
        "service_tier": "standard",
    }
    assert events[-2][1]["usage"] == {
        "input_tokens": 20,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 100,
        "output_tokens": 34,
        "output_tokens_details": {"thinking_tokens": 7},
    }


def test_the_estimate_leaves_out_an_image() -> None:
    source = {"type": "base64", "media_type": "image/png", "data": "A" * 1_000_000}
    question = {"role": "user", "content": [{"type": "image", "source": source}]}
    started = stream([STOP], messages=[question])[0][1]["message"]

    assert 1_000 < started["usage"]["input_tokens"] < 1_200


def test_without_usage_from_the_upstream_the_estimate_stays() -> None:
    events = stream([Text("Hi")], [Text(" there")], [STOP], usage=None)[-2][1]["usage"]

    assert set(events) == {"output_tokens"}
    assert events["output_tokens"] > 0


def test_interleaved_calls_come_out_one_after_the_other() -> None:
    chunks: list[list[Event]] = [
        [CallStarted(0, "a", "A"), CallStarted(1, "b", "B")],
        [CallArguments(1, '{"b":'), CallArguments(0, '{"a":')],
        [CallArguments(0, "1}"), CallArguments(1, "2}")],
        [CALLS],
    ]
    message = read_message(stream(*chunks))

    assert [block["_json"] for block in message["content"]] == ['{"a":1}', '{"b":2}']


def test_a_later_call_goes_out_as_soon_as_the_earlier_one_is_complete() -> None:
    renderer = renderer_for()
    renderer.feed(Piece(call(0, "A", '{"a":{}')))
    assert renderer.feed(Piece(call(1, "B", '{"b":'))) == []

    frames = renderer.feed(Piece([CallArguments(0, "}")]))

    assert names(read_frames(frames)) == [
        "content_block_delta",
        "content_block_stop",
        "content_block_start",
        "content_block_delta",
    ]


def test_text_within_a_call_waits_for_its_arguments() -> None:
    message = read_message(
        stream(call(0, "A", '{"a"'), [Text("so ")], [CallArguments(0, ":1}"), Text("on")], [CALLS])
    )

    assert kinds(message) == ["tool_use", "text"]
    assert message["content"][0]["_json"] == '{"a":1}'
    assert message["content"][1]["text"] == "so on"


def test_no_content_at_all_still_ends_with_a_stop_reason() -> None:
    events = stream([STOP])

    assert names(events) == ["message_start", "message_delta", "message_stop"]
    assert events[1][1]["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}


def test_a_call_is_announced_before_its_arguments_come() -> None:
    events = read_frames(renderer_for().feed(Piece(call(0, "A"))))

    assert events == [
        (
            "content_block_start",
            {
                "type": "content_block_start",
                "index": 0,
                "content_block": {
                    "type": "tool_use",
                    "id": encode_call_id("functions.A:0"),
                    "name": "A",
                    "input": {},
                },
            },
        )
    ]


# Thinking


def test_the_signature_brings_the_reasoning_back() -> None:
    message = read_message(stream([Reasoning("Look ")], [Reasoning("first.")], [Text("Hi"), STOP]))

    thinking = message["content"][0]
    assert thinking["thinking"] == "Look first."
    assert SEALER.open(ALICE.account_id, thinking["signature"]) == b"Look first."


def test_hidden_thinking_is_a_signature_alone() -> None:
    streamed = read_message(stream([Reasoning("Secret.")], [Text("Hi"), STOP], **OMITTED))
    whole = answer(Reasoning("Secret."), Text("Hi"), STOP, **OMITTED)

    for message in (streamed, whole):
        thinking = message["content"][0]
        assert thinking["thinking"] == ""
        assert SEALER.open(ALICE.account_id, thinking["signature"]) == b"Secret."


# Stop reasons


@pytest.mark.parametrize(
    ("events", "reason", "sequence"),
    [
        ([Text("a"), STOP], "end_turn", None),
        ([Text("a"), CALLS], "end_turn", None),
        ([Text("a"), Finished("stop", "END")], "stop_sequence", "END"),
        ([Text("a"), Finished("length")], "max_tokens", None),
        ([*call(0, "A", "{}"), Finished("length")], "max_tokens", None),
        ([*call(0, "A", "{}"), Finished("stop", "END")], "tool_use", None),
        ([Finished("content_filter")], "refusal", None),
        ([*call(0, "A", "{}"), Finished("content_filter")], "refusal", None),
        ([Refusal("I will not."), STOP], "refusal", None),
    ],
)
def test_why_an_answer_stopped(events: list[Event], reason: str, sequence: str | None) -> None:
    streamed = read_message(stream(events))
    whole = answer(*events)

    for message in (streamed, whole):
        assert (message["stop_reason"], message["stop_sequence"]) == (reason, sequence)
        assert (message["stop_details"] is not None) == (reason == "refusal")


def test_only_the_first_of_parallel_calls_is_shown_where_one_was_wanted() -> None:
    events = [*call(0, "A", '{"a":'), *call(1, "B", "{}"), CallArguments(0, "1}"), CALLS]

    streamed = read_message(stream(events, **ONE_CALL))
    whole = answer(*events, **ONE_CALL)

    assert [block["_json"] for block in streamed["content"]] == ['{"a":1}']
    assert [block["input"] for block in whole["content"]] == [{"a": 1}]


def test_a_request_for_no_tokens_gets_an_empty_answer() -> None:
    events: list[Event] = [Text("H"), Finished("length")]
    streamed = read_message(stream(events, max_tokens=0))
    whole = answer(*events, max_tokens=0)

    for message in (streamed, whole):
        assert message["content"] == []
        assert message["stop_reason"] == "max_tokens"
        assert message["usage"]["input_tokens"] == 20
        assert message["usage"]["output_tokens"] == 0


# The whole answer


def test_a_whole_answer() -> None:
    message = answer(
        Reasoning("Hm"), Text("Look: "), *call(0, "A", '{"n": 10000000000000000001}'), STOP
    )
    signature = message["content"][0].pop("signature")

    assert SEALER.open(ALICE.account_id, signature) == b"Hm"
    assert message == {
        "id": "msg_0123abcd",
        "type": "message",
        "role": "assistant",
        "model": "kimi-k2.5",
        "content": [
            {"type": "thinking", "thinking": "Hm"},
            {"type": "text", "text": "Look: "},
            {
                "type": "tool_use",
                "id": encode_call_id("functions.A:0"),
                "name": "A",
                "input": {"n": 10000000000000000001},
            },
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "stop_details": None,
        "usage": {
            "input_tokens": 20,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 100,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "output_tokens": 34,
            "output_tokens_details": {"thinking_tokens": 7},
            "service_tier": "standard",
        },
    }


def test_what_was_written_to_a_cache_is_counted_by_how_long_it_is_kept() -> None:
    usage = answer(Text("Hi"), STOP, usage=Usage(9, 1, cache_write=5, cache_write_hour=3))["usage"]
    assert (usage["input_tokens"], usage["cache_creation_input_tokens"]) == (4, 5)
    assert usage["cache_creation"] == {
        "ephemeral_5m_input_tokens": 2,
        "ephemeral_1h_input_tokens": 3,
    }


def test_a_call_without_arguments_has_an_empty_input() -> None:
    assert answer(*call(0, "A"), CALLS)["content"][0]["input"] == {}


@pytest.mark.parametrize("arguments", ['{"a":', "[1]", "null", '{"a":1}{"a":1}', "nonsense"])
def test_a_call_that_nobody_can_carry_out_breaks_a_whole_answer(arguments: str) -> None:
    with pytest.raises(UpstreamBroken):
        answer(*call(0, "A", arguments), CALLS)


def test_a_call_cut_off_by_the_cap_is_left_out() -> None:
    message = answer(Text("Look: "), *call(0, "A", '{"a":'), Finished("length"))

    assert kinds(message) == ["text"]
    assert message["stop_reason"] == "max_tokens"


def test_a_whole_answer_without_usage_states_the_estimate() -> None:
    assert answer(Text("a"), STOP, usage=None)["usage"]["input_tokens"] == 26
    assert answer(Text("a"), STOP, usage=Usage())["usage"]["input_tokens"] == 0


# The stream around it


def test_a_ping_changes_nothing() -> None:
    assert renderer_for().keep_alive() == b'event: ping\ndata: {"type": "ping"}\n\n'


def test_a_broken_stream_ends_with_an_error_and_no_stop() -> None:
    renderer = renderer_for()
    frames = renderer.open() + renderer.feed(Piece([Text("Hal")]))
    frames += renderer.fail(UpstreamOverloaded("The upstream is busy."))

    events = read_frames(frames)
    assert names(events)[-2:] == ["content_block_delta", "error"]
    assert events[-1][1] == {
        "type": "error",
        "error": {"type": "overloaded_error", "message": "The upstream is busy."},
        "request_id": "req_0123abcd",
    }


def test_text_with_line_breaks_quotes_and_other_scripts_stays_one_frame() -> None:
    text = 'a\n\r\n"b"\\ \u2028 你好 🙂 \x00 event: error\n\n'
    message = read_message(stream([Text(text)], [Text(text), STOP]))

    assert message["content"][0]["text"] == text * 2


def test_an_answer_of_a_long_stream_keeps_no_text() -> None:
    renderer = renderer_for()
    for _ in range(1000):
        renderer.feed(Piece([Text("word ")]))
    frames = asyncio.run(renderer.close(None))

    assert len(b"".join(frames)) < 500
    assert json.loads(frames[1].split(b"data: ")[1])["usage"]["output_tokens"] >= 1000
