"""An answer in the Responses dialect becomes events."""

import json
from typing import Any

import pytest

from gateway.core.errors import ContextOverflow, FaregateError, UpstreamBroken, UpstreamOverloaded
from gateway.core.events import (
    CallArguments,
    CallStarted,
    Finished,
    MessageStarted,
    Reasoning,
    Refusal,
    Signature,
    Text,
    Usage,
)
from gateway.dialects.event_stream import EventAnswer, EventStream
from gateway.dialects.responses.answer_reader import ResponsesReader

USAGE = {
    "input_tokens": 10,
    "input_tokens_details": {"cached_tokens": 3},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 4},
}
CREATED = {"type": "response.created", "response": {"id": "resp_1", "model": "gpt-5.1"}}
MESSAGE = {"type": "message", "content": []}
TOLD = Usage(input=10, output=7, cached=3, reasoning=4)


def added(index: int, **item: Any) -> dict[str, Any]:
    return {"type": "response.output_item.added", "output_index": index, "item": item}


def done(index: int, **item: Any) -> dict[str, Any]:
    return {"type": "response.output_item.done", "output_index": index, "item": item}


def delta(index: int, kind: str, text: str, **more: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}.delta", "output_index": index, "delta": text, **more}


def part(index: int, summary_index: int) -> dict[str, Any]:
    place = {"output_index": index, "summary_index": summary_index}
    return {"type": "response.reasoning_summary_part.added", **place, "part": {}}


def summary(*texts: str) -> list[dict[str, Any]]:
    return [{"type": "summary_text", "text": text} for text in texts]


def ended(status: str = "completed", **more: Any) -> dict[str, Any]:
    return {"type": f"response.{status}", "response": {"usage": USAGE, **more}}


def read(*events: dict[str, Any] | str) -> tuple[EventStream, list[Any]]:
    """The reader after a stream, and the events of its chunks."""
    reader = EventStream(ResponsesReader("main", None))
    chunks = []
    for event in events:
        data = event if isinstance(event, str) else json.dumps(event)
        chunks += reader.feed(f"event: x\ndata: {data}\n\n".encode())
    if not reader.ended and reader.failure is None:
        chunks += reader.finish()
    return reader, [event for chunk in chunks for event in chunk.events()]


def read_whole(document: dict[str, Any]) -> EventAnswer:
    return EventStream(ResponsesReader("main", None)).answer(json.dumps(document).encode())


def test_a_whole_stream() -> None:
    call = {"type": "function_call", "id": "fc_1", "call_id": "a", "name": "look"}
    reader, events = read(
        CREATED,
        {"type": "response.in_progress", "response": {}},
        added(0, type="reasoning", summary=[], encrypted_content="half"),
        part(0, 0),
        delta(0, "reasoning_summary_text", "Hm", summary_index=0),
        part(0, 1),
        delta(0, "reasoning_summary_text", "So", summary_index=1),
        done(0, type="reasoning", summary=summary("Hm", "So"), encrypted_content="abc"),
        added(1, type="reasoning", summary=[]),
        done(1, type="reasoning", summary=[], encrypted_content="xyz"),
        added(2, **MESSAGE),
        delta(2, "output_text", "Hi"),
        delta(2, "refusal", "No"),
        done(2, type="message", content=[{"type": "output_text", "text": "Hi"}]),
        added(3, type="web_search_call"),
        {"type": "response.web_search_call.searching", "output_index": 3},
        done(3, type="web_search_call"),
        added(4, **call, arguments=""),
        delta(4, "function_call_arguments", '{"at":'),
        added(5, **{**call, "call_id": "b", "name": "see"}),
        delta(4, "function_call_arguments", '"it"}'),
        done(4, **call, arguments='{"at":"it"}'),
        done(5, **{**call, "call_id": "b", "name": "see"}, arguments=""),
        ended(),
    )
    assert events == [
        Reasoning("Hm"),
        Reasoning("\n\n"),
        Reasoning("So"),
        Signature("abc", "main"),
        Signature("xyz", "main", is_redacted=True),
        Text("Hi"),
        Refusal("No"),
        CallStarted(0, "a", "look"),
        CallArguments(0, '{"at":'),
        CallStarted(1, "b", "see"),
        CallArguments(0, '"it"}'),
        CallArguments(1, "{}"),
        Finished("tool_calls"),
    ]
    assert reader.ended
    assert reader.complete
    assert reader.usage == TOLD
    assert reader.failure is None


def test_parts_of_a_summary_that_only_deltas_number() -> None:
    pieces = [(0, "A"), (0, "b"), (1, "C"), (1, "d"), (2, "E")]
    _, events = read(
        CREATED,
        added(0, type="reasoning"),
        *(delta(0, "reasoning_summary_text", text, summary_index=at) for at, text in pieces),
        ended(),
    )
    assert "".join(e.text for e in events if isinstance(e, Reasoning)) == "Ab\n\nCd\n\nE"


@pytest.mark.parametrize(
    ("begun", "whole", "rest"),
    [("Hel", "Hello", ["lo"]), ("Hello", "Hello", []), ("Hi", "Hello", []), ("Hello", "Hel", [])],
)
@pytest.mark.parametrize("kind", ["output_text", "refusal", "reasoning_text"])
def test_the_rest_of_a_part_that_deltas_only_began(
    kind: str, begun: str, whole: str, rest: list[str]
) -> None:
    end = {"type": f"response.{kind}.done", "output_index": 0}
    member = "refusal" if kind == "refusal" else "text"
    twice = [delta(0, kind, begun[:1]), delta(0, kind, begun[1:]), {**end, member: whole}] * 2
    _, events = read(CREATED, added(0, **MESSAGE), *twice, ended())
    texts = [event.text for event in events if isinstance(event, Text | Refusal | Reasoning)]
    assert texts == [begun[:1], begun[1:], *rest] * 2


def test_items_that_come_whole() -> None:
    raw = [{"type": "reasoning_text", "text": "Hm"}]
    _, events = read(
        CREATED,
        done(0, type="reasoning", summary=[], content=raw),
        done(1, type="message", content=[{"type": "output_text", "text": "Hi"}]),
        done(2, type="function_call", call_id="a", name="look", arguments='{"at": "it"}'),
        ended(),
    )
    assert events[:4] == [
        Reasoning("Hm"),
        Text("Hi"),
        CallStarted(0, "a", "look"),
        CallArguments(0, '{"at": "it"}'),
    ]


def test_reasoning_that_comes_twice_is_reported_once() -> None:
    _, events = read(
        CREATED,
        added(0, type="reasoning"),
        delta(0, "reasoning_summary_text", ""),
        delta(0, "reasoning_text", "raw"),
        part(0, 0),
        delta(0, "reasoning_summary_text", "short"),
        done(0, type="reasoning", summary=summary("short")),
        ended(),
    )
    assert events[:2] == [Reasoning("raw"), Finished("stop")]


@pytest.mark.parametrize(
    ("status", "given", "reason"),
    [
        ("completed", None, "stop"),
        ("incomplete", "max_output_tokens", "length"),
        ("incomplete", "content_filter", "content_filter"),
        ("incomplete", "something_new", "length"),
    ],
)
def test_why_it_ended(status: str, given: str | None, reason: str) -> None:
    details = {"reason": given} if given else None
    reader, events = read(CREATED, ended(status, incomplete_details=details))
    assert events == [Finished(reason)]  # type: ignore[arg-type]  # a parameter
    assert reader.usage == TOLD
    response: dict[str, Any] = {"status": status, "output": [], "incomplete_details": details}
    assert read_whole(response).events() == [Finished(reason)]  # type: ignore[arg-type]


@pytest.mark.parametrize("last", [[], [done(0, **MESSAGE)], ["[DONE]"]])
def test_an_end_that_is_none(last: list[Any]) -> None:
    reader, events = read(CREATED, added(0, **MESSAGE), delta(0, "output_text", "Hi"), *last)
    assert events == [Text("Hi")]
    assert not reader.complete


@pytest.mark.parametrize("event", ["[]", "no json", '{"type": 5}', "{}"])
def test_what_is_no_event_breaks_the_stream_after_what_came_before(event: str) -> None:
    reader, events = read(CREATED, added(0, **MESSAGE), delta(0, "output_text", "Hi"), event)
    assert events == [Text("Hi")]
    assert isinstance(reader.failure, UpstreamBroken)


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        ("rate_limit_exceeded", UpstreamOverloaded),
        ("server_is_overloaded", UpstreamOverloaded),
        ("context_length_exceeded", ContextOverflow),
        ("server_error", UpstreamBroken),
    ],
)
def test_a_failure(code: str, failure: type[FaregateError]) -> None:
    error = {"code": code, "message": "Sorry"}
    for event in (
        {"type": "response.failed", "response": {"status": "failed", "error": error}},
        {"type": "error", "param": None, **error},
        {"type": "error", "error": {"type": "x", **error}},
    ):
        assert isinstance(read(event)[0].failure, failure)
        assert isinstance(read(CREATED, event)[0].failure, failure)
        begun = read(CREATED, added(0, **MESSAGE), event)[0]
        assert isinstance(begun.failure, UpstreamBroken)
    whole = {"status": "failed", "error": error, "output": []}
    with pytest.raises(failure) as caught:
        read_whole(whole)
    assert ("Sorry" in caught.value.message) == (failure is not UpstreamOverloaded)


def test_a_whole_response() -> None:
    output = [
        {"type": "reasoning", "summary": summary("Hm", "So"), "encrypted_content": "abc"},
        {"type": "reasoning", "summary": [], "encrypted_content": "x"},
        {"type": "web_search_call"},
        {"type": "message", "content": [{"type": "output_text", "text": "Hi"}]},
        {"type": "function_call", "call_id": "a", "name": "look", "arguments": '{"at":"it"}'},
        {"type": "function_call", "call_id": "b", "name": "see", "arguments": ""},
    ]
    response = {"id": "resp_1", "status": "completed", "output": output, "usage": USAGE}
    answer = read_whole(response)
    assert answer.usage == TOLD
    assert answer.events() == [
        Reasoning("Hm"),
        Reasoning("\n\n"),
        Reasoning("So"),
        Signature("abc", "main"),
        Signature("x", "main", is_redacted=True),
        Text("Hi"),
        CallStarted(0, "a", "look"),
        CallArguments(0, '{"at":"it"}'),
        CallStarted(1, "b", "see"),
        CallArguments(1, "{}"),
        Finished("tool_calls"),
    ]


UNREAD = [
    {"type": "compaction", "encrypted_content": "sealed", "content": "sealed", "summary": "x"},
    {"type": "configuration_update", "content": {"odd": 1}},
    {"type": "of_the_future", "content": [{"type": "output_text", "text": "not the answer"}, 5]},
    {"content": 5},
]
SAID = {
    "type": "message",
    "phase": "final_answer",
    "content": [{"type": "output_text", "text": "Hi"}],
}


@pytest.mark.parametrize("item", UNREAD, ids=lambda item: item.get("type", "none"))
def test_an_item_that_is_unknown_breaks_no_turn(item: dict[str, Any]) -> None:
    expected = [MessageStarted("final_answer"), Text("Hi"), Finished("stop")]
    stream, events = read(CREATED, added(0, **item), done(0, **item), done(1, **SAID), ended())
    assert events == expected
    assert stream.complete
    whole = {"status": "completed", "output": [item, SAID], "usage": USAGE}
    assert read_whole(whole).events() == expected


def test_a_whole_response_that_refuses() -> None:
    output = [{"type": "message", "content": [{"type": "refusal", "refusal": "No."}]}]
    assert read_whole({"status": "completed", "output": output}).events() == [
        Refusal("No."),
        Finished("stop"),
    ]


def test_reasoning_that_nobody_sealed() -> None:
    item = {"type": "reasoning", "summary": summary("Hm"), "encrypted_content": None}
    whole = {"status": "completed", "output": [item]}
    assert read_whole(whole).events()[:2] == [Reasoning("Hm"), Finished("stop")]
    _, events = read(CREATED, added(0, type="reasoning"), done(0, **item), ended())
    assert events[:2] == [Reasoning("Hm"), Finished("stop")]


@pytest.mark.parametrize(
    "usage",
    [
        None,
        "many",
        [1],
        {"input_tokens": "5", "output_tokens": None},
        {"input_tokens_details": 3, "output_tokens_details": [1]},
        {"input_tokens": [], "output_tokens": 2.5},
    ],
)
def test_usage_of_an_odd_shape_is_none_and_breaks_nothing(usage: Any) -> None:
    text = delta(0, "output_text", "Hi")
    reader, events = read(added(0, type="message"), text, ended(usage=usage))
    assert reader.complete, reader.failure
    assert Text("Hi") in events
    response = {"id": "resp_1", "status": "completed", "output": [], "usage": usage}
    assert read_whole(response).events()[0] == Finished("stop")
