"""A Gemini answer read into events."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import (
    ContentFiltered,
    ContextOverflow,
    FaregateError,
    InvalidRequest,
    UpstreamBroken,
    UpstreamMisconfigured,
    UpstreamOverloaded,
)
from gateway.core.events import (
    CallArguments,
    CallStarted,
    Event,
    Finished,
    Reasoning,
    Signature,
    Text,
    Usage,
)
from gateway.dialects.event_stream import EventAnswer, EventStream
from gateway.dialects.gemini.answer_reader import GeminiReader

USAGE = {
    "promptTokenCount": 10,
    "cachedContentTokenCount": 3,
    "toolUsePromptTokenCount": 1,
    "candidatesTokenCount": 3,
    "thoughtsTokenCount": 4,
    "totalTokenCount": 18,
}
READ = Usage(input=11, output=7, cached=3, reasoning=4)


def answer(*parts: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}, "index": 0}
    if finish is not None:
        candidate |= {"finishReason": finish}
    return {"candidates": [candidate], "modelVersion": "gemini-3-pro", **more}


def call(name: str, call_id: str | None = None, **args: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"name": name}
    made |= {"args": args} if args else {}
    made |= {"id": call_id} if call_id else {}
    return {"functionCall": made}


def read(*events: Any) -> tuple[EventStream, list[Any]]:
    """The reader after a stream, and the events of its chunks."""
    reader = EventStream(GeminiReader("main", None))
    chunks = []
    for event in events:
        data = event if isinstance(event, str) else json.dumps(event)
        chunks += reader.feed(f"data: {data}\r\n\r\n".encode())
    if not reader.ended and reader.failure is None:
        chunks += reader.finish()
    return reader, [event for chunk in chunks for event in chunk.events()]


def read_whole(document: dict[str, Any]) -> EventAnswer:
    return EventStream(GeminiReader("main", None)).answer(json.dumps(document).encode())


def test_a_whole_stream() -> None:
    reader, events = read(
        answer({"text": "Hm", "thought": True}, usageMetadata={"promptTokenCount": 10}),
        answer({"text": " so", "thought": True}),
        answer({"text": "I "}),
        answer({"text": "look"}, {"executableCode": {"code": "1"}}),
        answer({**call("look", "a", at="it"), "thoughtSignature": "abc"}, call("see", "b")),
        answer({"text": ""}, finish="STOP", usageMetadata=USAGE),
    )
    assert events == [
        Reasoning("Hm"),
        Reasoning(" so"),
        Text("I "),
        Text("look"),
        Signature("call:a abc", "main", is_redacted=True),
        CallStarted(0, "a", "look"),
        CallArguments(0, '{"at":"it"}'),
        CallStarted(1, "b", "see"),
        CallArguments(1, "{}"),
        Finished("tool_calls"),
    ]
    assert reader.complete
    assert reader.ended
    assert reader.usage == READ


def test_thoughts_that_a_server_counts_within_its_output_count_once() -> None:
    usage = {**USAGE, "candidatesTokenCount": 7}
    assert read(answer({"text": "Hi"}, finish="STOP", usageMetadata=usage))[0].usage == READ


def test_what_was_reported_before_the_end_is_known() -> None:
    reader, _ = read(answer({"text": "Hi"}, usageMetadata={**USAGE, "candidatesTokenCount": 1}))
    assert not reader.complete
    assert reader.usage == Usage(input=11, output=5, cached=3, reasoning=4)


@pytest.mark.parametrize("last", [(), ("[DONE]",)])
def test_an_end_in_every_event_is_one_end(last: tuple[str, ...]) -> None:
    reader, events = read(
        answer(finish="STOP", usageMetadata=USAGE),
        answer({"text": "Hi"}, finish="STOP", usageMetadata={"promptTokenCount": 0}),
        answer(call("look", "a"), finish="STOP", usageMetadata={"trafficType": "ON_DEMAND"}),
        *last,
    )
    assert events == [
        Text("Hi"),
        CallStarted(0, "a", "look"),
        CallArguments(0, "{}"),
        Finished("tool_calls"),
    ]
    assert reader.complete
    assert reader.ended
    assert reader.usage == READ


def test_a_signature_ends_the_reasoning_right_before_it() -> None:
    _, events = read(
        answer({"text": "Hm", "thought": True}),
        answer({**call("look", "a"), "thoughtSignature": "abc"}),
        answer(finish="STOP"),
    )
    assert events[:3] == [
        Reasoning("Hm"),
        Signature("call:a abc", "main"),
        CallStarted(0, "a", "look"),
    ]


def test_signatures_of_a_thought_and_of_the_text() -> None:
    _, events = read(
        answer({"text": "Hm", "thought": True, "thoughtSignature": "one"}),
        answer({"text": "Hi"}),
        answer({"text": "", "thoughtSignature": "two"}, finish="STOP"),
    )
    assert events == [
        Reasoning("Hm"),
        Signature("thought one", "main"),
        Text("Hi"),
        Signature("text two", "main", is_redacted=True),
        Finished("stop"),
    ]


def test_calls_without_ids_get_ones_that_nobody_has() -> None:
    _, events = read(answer(call("look"), call("look"), finish="STOP"))
    _, others = read(answer(call("look"), finish="STOP"))
    ids = [event.id for event in (*events, *others) if isinstance(event, CallStarted)]
    assert len(set(ids)) == 3
    assert all(ids)


def test_a_tag_is_what_the_model_quotes() -> None:
    assert read(answer({"text": "<think>Hm"}, finish="STOP"))[1][0] == Text("<think>Hm")


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("LANGUAGE", "content_filter"),
        ("BLOCKLIST", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("SPII", "content_filter"),
        ("IMAGE_SAFETY", "content_filter"),
        ("NEVER_HEARD_OF", "stop"),
    ],
)
def test_why_it_ended(finish: str, reason: Any) -> None:
    reader, events = read(answer({"text": "Hi"}), answer(finish=finish))
    assert reader.complete
    assert events[:2] == [Text("Hi"), Finished(reason)]
    assert read_whole(answer({"text": "Hi"}, finish=finish)).events() == events


@pytest.mark.parametrize(
    "finish",
    ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "OTHER"],
)
def test_an_end_that_is_a_failure(finish: str) -> None:
    end = answer(finish=finish)
    end["candidates"][0]["finishMessage"] = "Malformed call"
    for events in ((end,), (answer({"text": "Hi"}), end)):
        reader, _ = read(*events)
        assert type(reader.failure) is UpstreamBroken
        assert "Malformed call" in reader.failure.message
        assert not reader.complete
    with pytest.raises(UpstreamBroken):
        read_whole(end)


def test_a_prompt_that_is_blocked() -> None:
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": USAGE}
    reader, events = read(blocked)
    assert type(reader.failure) is ContentFiltered
    assert "SAFETY" in reader.failure.message
    assert not events
    with pytest.raises(ContentFiltered):
        read_whole(blocked)
    assert type(read(answer({"text": "Hi"}), blocked)[0].failure) is UpstreamBroken


def test_feedback_beside_an_answer_is_none_of_the_clients() -> None:
    feedback = {"promptFeedback": {"safetyRatings": [{"probability": "LOW"}]}}
    assert read(answer({"text": "Hi"}, finish="STOP", **feedback))[0].complete


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "Quota"}, UpstreamOverloaded),
        ({"code": 503, "status": "UNAVAILABLE", "message": "Overloaded"}, UpstreamOverloaded),
        ({"code": 500, "status": "INTERNAL", "message": "Oops"}, UpstreamBroken),
        ({"code": 400, "status": "INVALID_ARGUMENT", "message": "Bad"}, InvalidRequest),
        (
            {
                "code": 400,
                "status": "INVALID_ARGUMENT",
                "message": "API key not valid. Please pass a valid API key.",
                "details": [{"reason": "API_KEY_INVALID"}],
            },
            UpstreamMisconfigured,
        ),
        (
            {
                "code": 400,
                "message": "The input token count (1200000) exceeds the maximum number of tokens "
                "allowed (1048576).",
            },
            ContextOverflow,
        ),
        ("odd", UpstreamBroken),
        ([], UpstreamBroken),
    ],
)
def test_an_error_in_a_good_answer(error: Any, kind: type[FaregateError]) -> None:
    assert type(read({"error": error})[0].failure) is kind
    begun, events = read(answer({"text": "Hi"}), {"error": error})
    assert type(begun.failure) is UpstreamBroken
    assert events == [Text("Hi")]
    with pytest.raises(FaregateError) as caught:
        read_whole({"error": error})
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    "event",
    [
        "[]",
        "no json",
        '{"candidates": [{"content": {"parts": [{"functionCall": {}}]}}]}',
        '{"candidates": [{"content": {"parts": [{"functionCall": "look"}]}}]}',
    ],
)
def test_what_is_no_event_breaks_the_stream_after_what_came_before(event: str) -> None:
    reader, events = read(answer({"text": "Hi"}), event)
    assert events == [Text("Hi")]
    assert type(reader.failure) is UpstreamBroken


@pytest.mark.parametrize("last", [(), ("[DONE]",), ({},), ({"candidates": []},)])
def test_an_answer_without_a_reason_is_not_complete(last: tuple[Any, ...]) -> None:
    reader, _ = read(answer({"text": "Hi"}), *last)
    assert reader.ended
    assert not reader.complete


def test_further_candidates_are_nobodys() -> None:
    event = answer({"text": "Hi"})
    event["candidates"].append({"content": {"parts": [{"text": "Other"}]}, "index": 1})
    assert read(event, answer(finish="STOP"))[1] == [Text("Hi"), Finished("stop")]


@pytest.mark.parametrize("usage", [None, "many", [1], 7, {"promptTokenCount": [5]}])
def test_usage_of_an_odd_shape_is_none_and_breaks_nothing(usage: Any) -> None:
    reader, events = read(answer({"text": "Hi"}, finish="STOP", usageMetadata=usage))
    assert reader.complete
    assert events[0] == Text("Hi")
    assert reader.usage in (None, Usage())


signatures = st.sampled_from([{}, {"thoughtSignature": "sig"}])
names = st.sampled_from(["look", "see"])
parts = st.lists(
    st.one_of(
        st.builds(lambda text, more: {"text": text, **more}, st.text(), signatures),
        st.builds(lambda text: {"text": text, "thought": True}, st.text()),
        st.builds(
            lambda name, number, more: {**call(name, f"id{number}", n=number), **more},
            names,
            st.integers(0, 9),
            signatures,
        ),
        st.just({"codeExecutionResult": {"outcome": "OK"}}),
    ),
    max_size=12,
    # One id of two calls is that of the first only, and the other's is made.
    unique_by=lambda part: part["functionCall"]["id"] if "functionCall" in part else id(part),
)


@given(parts, st.lists(st.integers(0, 12), max_size=5))
def test_however_a_stream_is_cut_it_holds_what_the_whole_holds(
    given_parts: list[dict[str, Any]], cuts: list[int]
) -> None:
    edges = sorted({0, len(given_parts), *(min(cut, len(given_parts)) for cut in cuts)})
    slices = [given_parts[a:b] for a, b in pairwise(edges)]
    reader, events = read(*(answer(*one) for one in slices), answer(finish="STOP"))
    assert reader.complete
    assert events == read_whole(answer(*given_parts, finish="STOP")).events()
    assert_in_order(events)


def assert_in_order(events: list[Event]) -> None:
    """The grammar of events: arguments follow their call, and nothing follows the end."""
    started: set[int] = set()
    for event in events:
        if isinstance(event, CallStarted):
            assert event.index == len(started)
            started.add(event.index)
        elif isinstance(event, CallArguments):
            assert event.index in started
    assert [type(event) for event in events].count(Finished) == 1
    assert isinstance(events[-1], Finished)


@given(parts, st.integers(0, 4000))
def test_a_stream_that_is_cut_anywhere_is_complete_only_with_its_end(
    given_parts: list[dict[str, Any]], at: int
) -> None:
    data = "".join(
        f"data: {json.dumps(one)}\n\n"
        for one in (*(answer(part) for part in given_parts), answer(finish="STOP"))
    ).encode()
    reader = EventStream(GeminiReader("main", None))
    reader.feed(data[:at])
    if not reader.ended and reader.failure is None:
        reader.finish()
    assert reader.complete is (at >= len(data) - 2)
    assert reader.failure is None


MEMBERS = (
    *("candidates", "content", "parts", "text", "functionCall", "name", "args", "error"),
    *("finishReason", "promptFeedback", "blockReason", "usageMetadata", "thought"),
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(values)
def test_whatever_comes_breaks_the_answer_at_most(value: Any) -> None:
    reader, _ = read(value)
    assert reader.failure is None or isinstance(reader.failure, FaregateError)
    if isinstance(value, dict):
        try:
            read_whole(value)
        except FaregateError:
            return
