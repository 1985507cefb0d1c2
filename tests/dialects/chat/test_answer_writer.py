"""Answers for clients of the chat dialect, from an upstream that is not quite OpenAI."""

import json
from typing import Any

import pytest

from gateway.core.errors import UpstreamBroken
from gateway.core.events import Usage
from tests.dialects.chat.support import (
    PUBLIC,
    TOOL,
    UPSTREAM,
    Piece,
    close,
    complete,
    feed,
    piece,
    read,
    renderer,
)

USAGE = Usage(input=12, output=5, cached=8, reasoning=2)
TOLD = {
    "prompt_tokens": 12,
    "completion_tokens": 5,
    "total_tokens": 17,
    "prompt_tokens_details": {"cached_tokens": 8},
    "completion_tokens_details": {"reasoning_tokens": 2},
    "cached_tokens": 8,
}
UPSTREAM_USAGE = {"prompt_tokens": 12, "completion_tokens": 5, "cached_tokens": 8}
ROLE = piece({"role": "assistant", "content": ""})
ASKED = {"stream": True, "stream_options": {"include_usage": True}}


def call(index: int, **more: Any) -> dict[str, Any]:
    return {"tool_calls": [{"index": index, **more}]}


def first(
    index: int, call_id: str = "x:0", name: str = "look", arguments: str = ""
) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return call(index, id=call_id, type="function", function=function)


def arguments(index: int, fragment: str) -> dict[str, Any]:
    return call(index, function={"arguments": fragment})


def deltas(given: list[Any]) -> list[Any]:
    return [
        event["choices"][0]["delta"] for event in given if event != "[DONE]" and event["choices"]
    ]


def test_a_plain_stream_is_passed_on_under_the_public_name() -> None:
    render = renderer(stream=True)
    pieces = [
        ROLE,
        *(piece({"content": text}) for text in ("He", "llo", ' "you" \\n', "\n")),
        piece({}, "stop"),
    ]
    events = read(render.open() + feed(render, *pieces) + close(render, USAGE))

    assert events[-1] == "[DONE]"
    assert {event["model"] for event in events[:-1]} == {PUBLIC}
    assert [delta.get("content") for delta in deltas(events)] == [
        "",
        "He",
        "llo",
        ' "you" \\n',
        "\n",
        None,
    ]
    assert {event["id"] for event in events[:-1]} == {"chatcmpl-1"}
    assert events[-2]["choices"][0]["finish_reason"] == "stop"
    assert b"usage" not in b"".join(feed(renderer(stream=True), *pieces))


@pytest.mark.parametrize("spaces", [False, True])
@pytest.mark.parametrize(
    "text",
    [
        '"model":"evil"',
        '\\"model\\":\\"evil\\"',
        "model",
        f'{{"model":"{UPSTREAM}"}}',
        '"usage":{"prompt_tokens":1}',
        '"finish_reason":"stop"',
        "usage",
        "reasoning",
        "tool_calls",
        "\\",
        '\\"',
    ],
)
def test_what_the_model_writes_is_never_taken_for_a_member(text: str, spaces: bool) -> None:
    render = renderer(stream=True)
    pieces = [
        ROLE,
        piece({"content": "a"}, spaces=spaces),
        piece({"content": text}, spaces=spaces),
        piece({"content": text}, spaces=spaces, system_fingerprint=None),
        piece({"content": "b"}, spaces=spaces),
    ]
    events = read(feed(render, *pieces))
    assert [delta["content"] for delta in deltas(events)] == ["", "a", text, text, "b"]
    assert {event["model"] for event in events} == {PUBLIC}


def test_a_model_that_changes_or_is_missing_is_named_all_the_same() -> None:
    render = renderer(stream=True)
    event = json.loads(piece({"content": "b"}).data)
    del event["model"]
    missing = Piece(json.dumps(event).encode(), True)
    other = piece({"content": "c"}, model="another")
    nothing = piece({"content": "d"}, model=None)
    events = read(
        feed(render, ROLE, piece({"content": "a"}), missing, other, nothing, Piece(b"{}", True))
    )
    assert {event["model"] for event in events} == {PUBLIC}
    assert [delta["content"] for delta in deltas(events[:-1])] == ["", "a", "b", "c", "d"]


def test_the_first_delta_carries_a_role() -> None:
    events = read(feed(renderer(stream=True), piece({"content": "Hi"}), piece({"content": "!"})))
    assert deltas(events) == [{"role": "assistant", "content": "Hi"}, {"content": "!"}]
    empty = piece({"role": None, "content": "Hi"})
    assert deltas(read(feed(renderer(stream=True), empty))) == [
        {"role": "assistant", "content": "Hi"}
    ]


@pytest.mark.parametrize(
    "end",
    [
        [piece({}, "stop"), piece(usage=UPSTREAM_USAGE, choices=[])],
        [piece({}, "stop", choice={"usage": UPSTREAM_USAGE})],
        [piece({}, "stop", usage=UPSTREAM_USAGE)],
        [
            piece({}, "stop", choice={"usage": UPSTREAM_USAGE}),
            piece(usage=UPSTREAM_USAGE, choices=[]),
        ],
    ],
    ids=["last-chunk", "in-choice", "on-finish-chunk", "twice"],
)
@pytest.mark.parametrize("asked", [True, False])
def test_usage_comes_once_for_who_asked_and_never_for_who_did_not(
    end: list[Piece], asked: bool
) -> None:
    render = renderer(**(ASKED if asked else {"stream": True}))
    nulls = [piece({"content": "x"}, usage=None), piece({"content": "y"}, spaces=True, usage=None)]
    events = read(feed(render, ROLE, *nulls, *end) + close(render, USAGE))

    assert events.pop() == "[DONE]"
    if asked:
        last = events.pop()
        assert last["choices"] == []
        assert last["usage"] == TOLD
        assert (last["id"], last["model"]) == ("chatcmpl-1", PUBLIC)
        assert last["object"] == "chat.completion.chunk"
        assert not any(event.get("usage") for event in events)
    else:
        assert not any("usage" in event for event in events)
    assert not any("usage" in event["choices"][0] for event in events)
    assert events[-1]["choices"][0]["finish_reason"] == "stop"


def test_unknown_usage_is_not_invented() -> None:
    render = renderer(**ASKED)
    assert read(feed(render, ROLE, piece({}, "stop")) + close(render))[-1] == "[DONE]"
    assert not any("usage" in event for event in read(feed(render, piece({}, "stop"))))


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("content_filter", "content_filter"),
        ("unexpected_state", "stop"),
        ("eos", "stop"),
        ("function_call", "tool_calls"),
    ],
)
def test_finish_reasons_are_those_the_sdks_know(reason: str, expected: str) -> None:
    events = read(feed(renderer(stream=True), ROLE, piece({}, reason)))
    assert events[-1]["choices"][0]["finish_reason"] == expected
    answer = {"choices": [{"index": 0, "message": {"content": "x"}, "finish_reason": reason}]}
    assert complete(renderer(), answer)["choices"][0]["finish_reason"] == expected


@pytest.mark.parametrize("reason", ["stop", "tool_calls", "eos"])
def test_after_a_call_the_finish_reason_is_tool_calls(reason: str) -> None:
    events = read(feed(renderer(stream=True), ROLE, piece(first(0)), piece({}, reason)))
    assert events[-1]["choices"][0]["finish_reason"] == "tool_calls"
    answer = {
        "choices": [
            {"message": {"content": None, **first(0)}, "finish_reason": reason},
        ]
    }
    assert complete(renderer(), answer)["choices"][0]["finish_reason"] == "tool_calls"
    short = read(feed(renderer(stream=True), ROLE, piece(first(0)), piece({}, "length")))
    assert short[-1]["choices"][0]["finish_reason"] == "length"


def test_calls_stream_as_they_come() -> None:
    pieces = [
        ROLE,
        piece(first(0, "x:0", "look")),
        piece(arguments(0, '{"a":')),
        piece(arguments(0, ' "b"}')),
        piece(first(1, "x:1", "see", '{"c":1}')),
        piece({}, "tool_calls"),
    ]
    events = deltas(read(feed(renderer(stream=True), *pieces)))
    assert events[1:-1] == [
        first(0, "x:0", "look"),
        arguments(0, '{"a":'),
        arguments(0, ' "b"}'),
        first(1, "x:1", "see", '{"c":1}'),
    ]


def test_a_call_whose_name_comes_late_is_held_until_it_is_there() -> None:
    pieces = [
        ROLE,
        piece(arguments(0, '{"a"')),
        piece(first(0, "x:0", "look", ":1")),
        piece(arguments(0, "}")),
        piece({}, "stop"),
    ]
    events = read(feed(renderer(stream=True), *pieces))
    assert deltas(events)[1:] == [first(0, "x:0", "look", '{"a":1'), arguments(0, "}"), {}]
    assert events[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_ids_and_names_come_once_although_the_upstream_repeats_them() -> None:
    pieces = [ROLE, piece(first(0, arguments="{")), piece(first(0, arguments="}"))]
    assert deltas(read(feed(renderer(stream=True), *pieces)))[1:] == [
        first(0, arguments="{"),
        arguments(0, "}"),
    ]


def test_a_call_without_an_id_gets_one_and_keeps_it() -> None:
    pieces = [ROLE, piece(call(0, function={"name": "look"})), piece(arguments(0, '{"a":1}'))]
    events = deltas(read(feed(renderer(stream=True), *pieces)))
    [begun] = events[1]["tool_calls"]
    assert begun["id"].startswith("call_0_")
    assert begun["type"] == "function"
    assert events[2] == arguments(0, '{"a":1}')


def test_calls_that_share_an_index_are_distinguished_by_their_ids() -> None:
    pieces = [ROLE, piece(first(0, "a", "f", "{}")), piece(first(0, "b", "g", '{"a":1}'))]
    events = deltas(read(feed(renderer(stream=True), *pieces)))
    calls = [one["tool_calls"] for one in events[1:]]
    [[begun], [closed, following]] = calls
    assert {"tool_calls": [begun]} == first(0, "a", "f")
    assert {"tool_calls": [closed]} == arguments(0, "{}")
    assert {"tool_calls": [following]} == first(1, "b", "g", '{"a":1}')


def test_a_call_that_never_gets_a_name_is_sent_neither_whole_nor_cut() -> None:
    pieces = [ROLE, piece(arguments(0, "{}"))]
    with pytest.raises(UpstreamBroken, match="without a name"):
        feed(renderer(stream=True), *pieces, piece({}, "stop"))
    events = read(feed(renderer(stream=True), *pieces, piece({}, "length")))
    assert deltas(events) == [{"role": "assistant", "content": ""}, {}]
    assert events[-1]["choices"][0]["finish_reason"] == "length"


@pytest.mark.parametrize("spaces", [False, True])
@pytest.mark.parametrize(
    "delta",
    [
        {"reasoning": "hm"},
        {"reasoning_details": [{"type": "reasoning.text", "text": "hm"}]},
        {"reasoning": "hm", "reasoning_details": [{"text": "hm"}]},
        {"reasoning": "hm", "reasoning_content": "hm"},
        {"reasoning_content": "hm"},
    ],
)
def test_reasoning_is_reported_once_under_the_name_clients_read(
    delta: dict[str, Any], spaces: bool
) -> None:
    chunk = piece({"content": None, **delta}, spaces=spaces)
    events = deltas(read(feed(renderer(stream=True), ROLE, chunk, chunk)))
    details = {name: value for name, value in delta.items() if name == "reasoning_details"}
    assert events[1:] == [{"content": None, "reasoning_content": "hm", **details}] * 2
    answer = {"choices": [{"message": {"content": "x", **delta}, "finish_reason": "stop"}]}
    message = complete(renderer(), answer)["choices"][0]["message"]
    assert message == {"content": "x", "reasoning_content": "hm", "role": "assistant", **details}


def test_a_client_of_functions_gets_a_function_call() -> None:
    legacy = {"functions": [TOOL["function"]]}
    pieces = [ROLE, piece(first(0)), piece(arguments(0, '{"a":1}')), piece({}, "tool_calls")]
    events = read(feed(renderer(stream=True, **legacy), *pieces))
    assert deltas(events)[1:] == [
        {"function_call": {"name": "look", "arguments": ""}},
        {"function_call": {"arguments": '{"a":1}'}},
        {},
    ]
    assert events[-1]["choices"][0]["finish_reason"] == "function_call"
    answer = {
        "choices": [{"message": {"content": None, **first(0)}, "finish_reason": "tool_calls"}]
    }
    [choice] = complete(renderer(**legacy), answer)["choices"]
    assert choice["message"]["function_call"] == {"name": "look", "arguments": "{}"}
    assert "tool_calls" not in choice["message"]
    assert choice["finish_reason"] == "function_call"


def test_several_choices_keep_their_own_calls() -> None:
    second = {"index": 1}
    pieces = [
        piece({"content": "a"}),
        piece({"content": "b"}, choice=second),
        piece(first(0), choice=second),
        piece({}, "stop"),
        piece({}, "stop", choice=second),
    ]
    events = read(feed(renderer(stream=True, n=2), *pieces))
    reasons = {
        choice["index"]: choice["finish_reason"]
        for event in events
        for choice in event["choices"]
        if choice["finish_reason"]
    }
    assert reasons == {0: "stop", 1: "tool_calls"}


def test_a_failure_is_an_error_object_and_no_done() -> None:
    [given] = read(renderer(stream=True).fail(UpstreamBroken("it broke")))
    assert given == {
        "error": {
            "message": "it broke",
            "type": "server_error",
            "param": None,
            "code": "upstream_broken",
        }
    }


def test_silence_is_filled_with_comments() -> None:
    frame = renderer(stream=True).keep_alive()
    assert frame.startswith(b":")
    assert read([frame]) == []


def test_a_whole_answer_is_put_right() -> None:
    answer = {
        "id": "chatcmpl-1",
        "model": UPSTREAM,
        "choices": [
            {
                "index": 0,
                "message": {"tool_calls": [{"function": {"name": "look"}}]},
                "finish_reason": "stop",
                "usage": UPSTREAM_USAGE,
            }
        ],
        "usage": UPSTREAM_USAGE,
    }
    usage = complete(renderer(), answer, USAGE)
    assert (usage["id"], usage["model"], usage["usage"]) == ("chatcmpl-1", PUBLIC, TOLD)
    [choice] = usage["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert "usage" not in choice
    assert (choice["message"]["role"], choice["message"]["content"]) == ("assistant", None)
    [reported_call] = choice["message"]["tool_calls"]
    assert reported_call["id"]
    assert reported_call["type"] == "function"
    assert reported_call["function"] == {"name": "look", "arguments": "{}"}


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"null", b"[" * 100_000])
def test_a_chunk_that_is_no_object_is_broken(data: bytes) -> None:
    with pytest.raises(UpstreamBroken):
        renderer(stream=True).feed(Piece(data, True))
