"""An answer in the Messages dialect becomes events."""

import json
from typing import Any

import pytest

from gateway.core.errors import UpstreamBroken, UpstreamMisconfigured, UpstreamOverloaded
from gateway.core.events import (
    CallArguments,
    CallStarted,
    Finished,
    Reasoning,
    Signature,
    Text,
    Usage,
)
from gateway.dialects.event_stream import EventAnswer, EventStream
from gateway.dialects.messages.answer_reader import MessagesReader
from gateway.dialects.upstream_error_body import ErrorBody
from gateway.dialects.upstream_errors import classify

USAGE = {"input_tokens": 5, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 2}
START = {
    "type": "message_start",
    "message": {"id": "msg_1", "model": "claude", "content": [], "usage": USAGE},
}
STOP = {"type": "message_stop"}


def began(index: int, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, **members: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": members}


def closed(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def ended(reason: str | None, **more: Any) -> dict[str, Any]:
    usage = {"output_tokens": 7, "output_tokens_details": {"thinking_tokens": 4}}
    return {"type": "message_delta", "delta": {"stop_reason": reason, **more}, "usage": usage}


def read(*events: dict[str, Any] | str) -> tuple[EventStream, list[Any]]:
    """The reader after a stream, and the events of its chunks."""
    reader = EventStream(MessagesReader("main", None))
    chunks = []
    for event in events:
        data = event if isinstance(event, str) else json.dumps(event)
        kind = "x" if isinstance(event, str) else event["type"]
        chunks += reader.feed(f"event: {kind}\ndata: {data}\n\n".encode())
    if not reader.ended and reader.failure is None:
        chunks += reader.finish()
    return reader, [event for chunk in chunks for event in chunk.events()]


def read_whole(document: dict[str, Any]) -> EventAnswer:
    return EventStream(MessagesReader("main", None)).answer(json.dumps(document).encode())


def test_a_whole_stream() -> None:
    reader, events = read(
        START,
        {"type": "ping"},
        began(0, type="thinking", thinking="", signature=""),
        delta(0, type="thinking_delta", thinking="Hm"),
        delta(0, type="signature_delta", signature="abc"),
        closed(0),
        began(7, type="redacted_thinking", data="xyz"),
        closed(7),
        began(1, type="text", text=""),
        delta(1, type="text_delta", text="Hi"),
        delta(1, type="citations_delta", citation={}),
        closed(1),
        began(2, type="new_kind", text="?"),
        delta(2, type="new_delta", text="?"),
        closed(2),
        {"type": "new_event"},
        began(3, type="tool_use", id="a", name="look", input={}),
        delta(3, type="input_json_delta", partial_json='{"at":'),
        delta(3, type="input_json_delta", partial_json='"it"}'),
        closed(3),
        began(4, type="tool_use", id="b", name="see", input={}),
        closed(4),
        ended("tool_use"),
        STOP,
    )
    assert events == [
        Reasoning("Hm"),
        Signature("abc", "main"),
        Signature("xyz", "main", is_redacted=True),
        Text("Hi"),
        CallStarted(0, "a", "look"),
        CallArguments(0, '{"at":'),
        CallArguments(0, '"it"}'),
        CallStarted(1, "b", "see"),
        CallArguments(1, "{}"),
        Finished("tool_calls"),
    ]
    assert reader.usage == Usage(input=10, output=7, cached=3, reasoning=4, cache_write=2)
    assert reader.ended
    assert reader.complete
    assert reader.failure is None


def test_a_zero_at_the_end_takes_no_tokens_away() -> None:
    last = ended("end_turn")
    last["usage"] |= {"input_tokens": 0, "cache_read_input_tokens": 0}
    reader, _ = read(START, last, STOP)
    assert reader.usage == Usage(input=10, output=7, cached=3, reasoning=4, cache_write=2)
    last["usage"] |= {"input_tokens": 6}
    assert read(START, last, STOP)[0].usage == Usage(11, 7, 3, 4, 2)


def test_what_was_read_from_a_cache_was_not_written_there() -> None:
    """Another request may have written by the end of a stream what it was to write itself."""
    by_time = {"ephemeral_5m_input_tokens": 50, "ephemeral_1h_input_tokens": 0}
    counts = {"input_tokens": 2, "cache_creation_input_tokens": 50, "cache_creation": by_time}
    start = {"type": "message_start", "message": {"content": [], "usage": counts}}
    last = ended("end_turn")
    last["usage"] = {"cache_read_input_tokens": 50, "cache_creation_input_tokens": 0}
    last["usage"] |= {"input_tokens": 2, "output_tokens": 7}
    assert read(start, last, STOP)[0].usage == Usage(input=52, output=7, cached=50)


def test_a_block_that_comes_whole() -> None:
    _, events = read(
        START,
        began(0, type="text", text="Hi"),
        began(1, type="tool_use", id="a", name="look", input={"at": "it"}),
        closed(1),
        ended("tool_use"),
        STOP,
    )
    assert events[:3] == [Text("Hi"), CallStarted(0, "a", "look"), CallArguments(0, '{"at":"it"}')]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("end_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "content_filter"),
        ("something_new", "stop"),
    ],
)
def test_why_it_ended(given: str, reason: str) -> None:
    _, events = read(START, ended(given), STOP)
    assert events[0] == Finished(reason)  # type: ignore[arg-type]  # a parameter


def test_the_stop_sequence_that_matched() -> None:
    _, events = read(START, ended("stop_sequence", stop_sequence="END"), STOP)
    assert events[0] == Finished("stop", "END")


def test_the_last_event_may_be_missing_behind_a_reason() -> None:
    reader, events = read(START, began(0, type="text", text="Hi"), ended("end_turn"))
    assert events[:2] == [Text("Hi"), Finished("stop")]
    assert reader.complete


@pytest.mark.parametrize("last", [[], [ended(None)], [STOP], [ended(None), STOP]])
def test_an_end_that_is_none(last: list[dict[str, Any]]) -> None:
    reader, events = read(START, began(0, type="text", text="Hi"), *last)
    assert events == [Text("Hi")]
    assert reader.ended
    assert not reader.complete


@pytest.mark.parametrize("event", ["[]", "no json", '{"type": 5}', "{}"])
def test_what_is_no_event_breaks_the_stream_after_what_came_before(event: str) -> None:
    reader, events = read(START, began(0, type="text", text="Hi"), event)
    assert events == [Text("Hi")]
    assert isinstance(reader.failure, UpstreamBroken)


def test_an_error_event() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    assert isinstance(read(error)[0].failure, UpstreamOverloaded)
    assert isinstance(read(START, error)[0].failure, UpstreamBroken)


def test_a_whole_message() -> None:
    content = [
        {"type": "thinking", "thinking": "Hm", "signature": "abc"},
        {"type": "redacted_thinking", "data": "x"},
        {"type": "text", "text": "Hi"},
        {"type": "tool_use", "id": "a", "name": "look", "input": {"at": "it"}},
    ]
    message = {"id": "msg_1", "content": content, "stop_reason": "tool_use", "usage": USAGE}
    answer = read_whole(message)
    assert answer.usage == Usage(input=10, output=0, cached=3, cache_write=2)
    assert answer.events() == [
        Reasoning("Hm"),
        Signature("abc", "main"),
        Signature("x", "main", is_redacted=True),
        Text("Hi"),
        CallStarted(0, "a", "look"),
        CallArguments(0, '{"at":"it"}'),
        Finished("tool_calls"),
    ]


@pytest.mark.parametrize("signature", ["", None])
def test_thinking_that_nobody_signed(signature: str | None) -> None:
    thinking = {"type": "thinking", "thinking": "Hm", "signature": signature}
    message = {"id": "msg_1", "content": [thinking], "stop_reason": "end_turn", "usage": USAGE}
    assert read_whole(message).events()[:2] == [Reasoning("Hm"), Finished("stop")]
    _, events = read(
        START,
        began(0, **thinking),
        delta(0, type="signature_delta", signature=""),
        closed(0),
        ended("end_turn"),
        STOP,
    )
    assert events[:2] == [Reasoning("Hm"), Finished("stop")]


def test_an_empty_account_is_not_the_clients_fault() -> None:
    message = "Your credit balance is too low to access the Anthropic API."
    error = classify(400, ErrorBody("invalid_request_error", message), None)
    assert isinstance(error, UpstreamMisconfigured)


ODD_USAGES: list[Any] = [
    None,
    "many",
    [1],
    7,
    {"input_tokens": "five", "output_tokens": None},
    {"input_tokens": [], "cache_read_input_tokens": {}, "output_tokens_details": 3},
    {"output_tokens": 2.5, "output_tokens_details": [1]},
    {"input_tokens": -1, "output_tokens": True},
]


@pytest.mark.parametrize("usage", ODD_USAGES)
def test_usage_of_an_odd_shape_is_none_and_breaks_nothing(usage: Any) -> None:
    begun = {"type": "message_start", "message": {"id": "msg_1", "usage": usage}}
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage}
    text = [began(0, type="text", text=""), delta(0, type="text_delta", text="Hi"), closed(0)]
    reader, events = read(begun, *text, end, STOP)
    assert reader.complete, reader.failure
    assert Text("Hi") in events
    message = {
        "content": [{"type": "text", "text": "Hi"}],
        "stop_reason": "end_turn",
        "usage": usage,
    }
    answer = read_whole(message)
    assert answer.usage is not None
    assert answer.usage.input == 0


@pytest.mark.parametrize(
    ("counts", "written", "hour"),
    [
        ({"cache_creation_input_tokens": 5}, 5, 0),
        (
            {"cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 3}},
            5,
            3,
        ),
        (
            {
                "cache_creation_input_tokens": 5,
                "cache_creation": {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 4},
            },
            5,
            4,
        ),
        ({"cache_creation_input_tokens": 5, "cache_creation": [1]}, 5, 0),
        ({"cache_creation_input_tokens": None, "cache_creation": None}, 0, 0),
    ],
)
def test_what_was_written_to_a_cache_is_counted_by_how_long_it_is_kept(
    counts: dict[str, Any], written: int, hour: int
) -> None:
    usage = {"input_tokens": 1, "output_tokens": 1, **counts}
    answer = read_whole({"content": [], "stop_reason": "end_turn", "usage": usage})
    assert answer.usage == Usage(1 + written, 1, cache_write=written, cache_write_hour=hour)
