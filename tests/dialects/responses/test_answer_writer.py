"""The frames of an answer, judged by a strict reader."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.errors import (
    ContextOverflow,
    Draining,
    FaregateError,
    UpstreamBroken,
    UpstreamOverloaded,
)
from gateway.core.events import (
    CallArguments,
    CallStarted,
    Event,
    Finished,
    FinishReason,
    Reasoning,
    Refusal,
    Signature,
    Text,
    Usage,
)
from gateway.core.request import SignedReasoning
from tests.dialects.responses.judge import judge, judge_object
from tests.dialects.responses.support import (
    ALICE,
    BOB,
    SEALER,
    Given,
    MemoryState,
    broken,
    complete,
    kinds,
    parse_call,
    read_frames,
    renderer,
    stream,
)

STOP = Finished("stop")
CUSTOM = {"type": "custom", "name": "apply_patch", "description": "Edits files."}
NAMESPACE = {
    "type": "namespace",
    "name": "agents",
    "description": "Helpers.",
    "tools": [{"type": "function", "name": "spawn", "parameters": None}],
}


def test_a_text_answer_goes_through_every_step() -> None:
    frames = stream(renderer(), Text("Hel"), Text("lo"), STOP)
    response = judge(frames)
    assert kinds(frames) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert response["id"] == "resp_0123456789abcdef"
    assert response["output"][0]["content"][0]["text"] == "Hello"
    assert response["usage"]["input_tokens_details"]["cached_tokens"] == 3
    assert response["completed_at"] >= response["created_at"]


def test_reasoning_is_a_summary_with_the_text_sealed_beside_it() -> None:
    frames = stream(renderer(), Reasoning("first "), Reasoning("then"), Text("ok"), STOP)
    reasoning, message = judge(frames)["output"]
    assert kinds(frames)[2:9] == [
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
    ]
    assert reasoning["summary"] == [{"type": "summary_text", "text": "first then"}]
    assert SEALER.open(ALICE.account_id, reasoning["encrypted_content"]) == b"first then"
    assert SEALER.open(BOB.account_id, reasoning["encrypted_content"]) is None
    assert message["content"][0]["text"] == "ok"


def test_what_an_upstream_signed_is_an_item_of_its_own() -> None:
    redacted = Signature("xyz", "main", is_redacted=True)
    events = (
        Reasoning("one"),
        Signature("abc", "main"),
        Reasoning("two"),
        redacted,
        Text("ok"),
        STOP,
    )
    items = judge(stream(renderer(), *events))["output"]
    assert [item["type"] for item in items] == ["reasoning"] * 3 + ["message"]
    first, unsigned, last = (item["encrypted_content"] for item in items[:3])
    assert SEALER.open_reasoning(ALICE.account_id, first) == SignedReasoning("one", "abc", "main")
    assert SEALER.open_reasoning(BOB.account_id, first) is None
    assert SEALER.open(ALICE.account_id, unsigned) == b"two"
    signed_block = SignedReasoning("", "xyz", "main", is_redacted=True)
    assert SEALER.open_reasoning(ALICE.account_id, last) == signed_block


def test_parallel_calls_stay_open_together_and_close_in_order() -> None:
    frames = stream(
        renderer(),
        Text("Looking."),
        CallStarted(0, "get:0", "get"),
        CallArguments(0, '{"a"'),
        CallStarted(1, "get:1", "get"),
        CallArguments(1, "{}"),
        CallArguments(0, ":1}"),
        Finished("tool_calls"),
    )
    _, first, second = judge(frames)["output"]
    assert (first["call_id"], first["arguments"]) == ("get:0", '{"a":1}')
    assert (second["call_id"], second["arguments"]) == ("get:1", "{}")
    done = [
        event["item"]["id"]
        for event in read_frames(frames)
        if event["type"] == "response.output_item.done"
    ]
    assert done == ["msg_0123456789abcdef_0", "fc_0123456789abcdef_1", "fc_0123456789abcdef_2"]


def test_no_call_is_done_before_the_whole_answer_is_there() -> None:
    frames = broken(
        renderer(),
        UpstreamBroken("the upstream closed the stream"),
        CallStarted(0, "rm:0", "rm"),
        CallArguments(0, "{}"),
        Finished("tool_calls"),
    )
    assert "output_item.done" not in kinds(frames)


def test_text_after_a_call_is_a_message_of_its_own() -> None:
    frames = stream(
        renderer(), Text("a"), CallStarted(0, "x", "get"), Text("b"), CallArguments(0, "{}"), STOP
    )
    types = [item["type"] for item in judge(frames)["output"]]
    assert types == ["message", "function_call", "message"]


def test_a_refusal_is_a_part_of_its_own() -> None:
    frames = stream(renderer(), Text("I"), Refusal("can"), Refusal("not"), STOP)
    (message,) = judge(frames)["output"]
    assert [part["type"] for part in message["content"]] == ["output_text", "refusal"]
    assert message["content"][1]["refusal"] == "cannot"


def test_an_empty_answer_has_one_empty_message() -> None:
    (message,) = judge(stream(renderer(), STOP, usage=None))["output"]
    assert message["content"][0]["text"] == ""


@pytest.mark.parametrize(
    ("reason", "content"), [("length", "max_output_tokens"), ("content_filter", "content_filter")]
)
def test_a_cut_answer_is_incomplete(reason: FinishReason, content: str) -> None:
    frames = stream(renderer(), Reasoning("hm"), Text("The answer is"), Finished(reason))
    response = judge(frames)
    assert kinds(frames)[-1] == "incomplete"
    assert response["incomplete_details"] == {"reason": content}
    assert [item["status"] for item in response["output"]] == ["completed", "incomplete"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UpstreamBroken("the upstream closed the stream"), "server_error"),
        (UpstreamOverloaded("busy"), "rate_limit_exceeded"),
        (Draining("this replica is shutting down"), "server_error"),
        (ContextOverflow("too long"), "context_length_exceeded"),
    ],
)
def test_a_broken_stream_ends_with_failed_and_nothing_else(error: FaregateError, code: str) -> None:
    state = MemoryState()
    frames = broken(renderer(state=state), error, Reasoning("hm"), Text("The ans"))
    response = judge(frames)
    assert kinds(frames)[-2:] == ["error", "failed"]
    assert response["error"] == {"code": code, "message": error.message}
    assert [item["type"] for item in response["output"]] == ["reasoning"]
    assert response["store"] is False
    assert not state.responses


def test_a_custom_tool_comes_back_with_its_raw_input() -> None:
    call = parse_call({"input": "hi", "tools": [CUSTOM]})
    frames = stream(
        renderer(call),
        CallStarted(0, "c1", "apply_patch"),
        CallArguments(0, '{"input": "*** Begin'),
        CallArguments(0, ' Patch\\n"}'),
        Finished("tool_calls"),
    )
    (item,) = judge(frames)["output"]
    assert item["type"] == "custom_tool_call"
    assert (item["name"], item["input"]) == ("apply_patch", "*** Begin Patch\n")
    assert kinds(frames)[2:-1] == [
        "output_item.added",
        "custom_tool_call_input.delta",
        "custom_tool_call_input.done",
        "output_item.done",
    ]


def test_a_custom_tool_that_was_not_wrapped_keeps_what_the_model_wrote() -> None:
    call = parse_call({"input": "hi", "tools": [CUSTOM]})
    events = (CallStarted(0, "c1", "apply_patch"), CallArguments(0, "*** Begin Patch"))
    (item,) = judge(stream(renderer(call), *events, STOP))["output"]
    assert item["input"] == "*** Begin Patch"


def test_a_namespaces_tool_comes_back_with_namespace_and_bare_name() -> None:
    call = parse_call({"input": "hi", "tools": [NAMESPACE]})
    assert [tool.name for tool in call.request.tools] == ["agents__spawn"]
    events = (CallStarted(0, "c1", "agents__spawn"), CallArguments(0, "{}"))
    (item,) = judge(stream(renderer(call), *events, STOP))["output"]
    assert (item["namespace"], item["name"]) == ("agents", "spawn")


@pytest.mark.parametrize(
    ("tool", "arguments", "item"),
    [
        (
            {"type": "local_shell"},
            {"command": ["ls", "-l"], "timeout_ms": 5},
            {
                "type": "local_shell_call",
                "action": {"type": "exec", "command": ["ls", "-l"], "env": {}, "timeout_ms": 5},
            },
        ),
        (
            {"type": "shell", "environment": {"type": "local"}},
            {"commands": ["ls"]},
            {"type": "shell_call", "action": {"commands": ["ls"]}},
        ),
        (
            {"type": "apply_patch"},
            {"type": "create_file", "path": "a", "diff": "+b"},
            {
                "type": "apply_patch_call",
                "operation": {"type": "create_file", "path": "a", "diff": "+b"},
            },
        ),
        (
            {"type": "tool_search", "execution": "client"},
            {"query": "mail"},
            {"type": "tool_search_call", "execution": "client", "arguments": {"query": "mail"}},
        ),
    ],
)
@pytest.mark.parametrize("garbage", [False, True])
def test_typed_tools_come_back_as_typed_items(
    tool: dict[str, Any], arguments: dict[str, Any], item: dict[str, Any], garbage: bool
) -> None:
    call = parse_call({"input": "hi", "tools": [tool]})
    written = '{"command": 1' if garbage else json.dumps(arguments)
    (name,) = (tool.name for tool in call.request.tools)
    events = (CallStarted(0, "c1", name), CallArguments(0, written))
    (got,) = judge(stream(renderer(call), *events, STOP))["output"]
    assert got["type"] == item["type"]
    if not garbage:
        assert {name: got[name] for name in item} == item


def test_call_ids_are_the_upstreams_unless_they_are_long() -> None:
    frames = stream(
        renderer(),
        CallStarted(0, "x:0", "get"),
        CallStarted(1, "y" * 65, "get"),
        Finished("tool_calls"),
    )
    ids = [item["call_id"] for item in judge(frames)["output"]]
    assert ids[0] == "x:0"
    assert ids[1] != "x:0"
    assert len(ids[1]) <= 64


@pytest.mark.parametrize("reason", ["stop", "length", "content_filter"])
def test_a_whole_text_is_the_response_that_a_stream_of_it_ends_with(reason: FinishReason) -> None:
    events = (Text("Hi, \u2028 you"), Finished(reason))
    streamed = read_frames(stream(renderer(), *events))[-1]["response"]
    assert complete(renderer(), *events) | {"completed_at": 0} == streamed | {"completed_at": 0}


def test_logprobs_are_passed_on_where_they_were_asked_for() -> None:
    token = {"token": "Hi", "logprob": -0.1, "bytes": [72, 105], "top_logprobs": []}
    chunk = json.dumps({"choices": [{"logprobs": {"content": [token]}}]}).encode()
    include = ["message.output_text.logprobs"]
    call = parse_call({"input": "hi", "include": include, "top_logprobs": 2})
    assert call.request.sampling.logprobs is True
    assert call.request.sampling.top_logprobs == 2
    answer = renderer(call)
    frames = answer.open() + answer.feed(Given(Text("Hi"), data=chunk))
    frames += answer.feed(Given(Text("!"), data=b'{"choices":[]}'))
    frames += asyncio.run(answer.close(None))
    (message,) = judge(frames)["output"]
    assert message["content"][0]["logprobs"] == [token]
    body = asyncio.run(renderer(call).complete(Given(Text("Hi"), data=chunk)))
    assert json.loads(body)["output"][0]["content"][0]["logprobs"] == [token]


@pytest.mark.parametrize(
    "content", ["[]", "7", '{"content":5}', '{"content":{"a":1}}', "[" * 990 + "]" * 990]
)
def test_logprobs_of_an_odd_shape_are_none_and_break_nothing(content: str) -> None:
    call = parse_call({"input": "hi", "include": ["message.output_text.logprobs"]})
    chunk = f'{{"choices":[{{"logprobs":{content}}}]}}'.encode()
    answer = renderer(call)
    frames = answer.open() + answer.feed(Given(Text("Hi"), data=chunk))
    frames += asyncio.run(answer.close(None))
    (message,) = judge(frames)["output"]
    assert message["content"][0]["text"] == "Hi"


def test_an_unstreamed_answer_is_the_last_object_of_the_stream() -> None:
    events = (Reasoning("hm"), Text("ok"), CallStarted(0, "x", "get"), CallArguments(0, "{}"), STOP)
    streamed = judge(stream(renderer(), *events))
    body = complete(renderer(), *events)
    judge_object(body)
    for response in (streamed, body):
        response.pop("completed_at")
        response["output"][0].pop("encrypted_content")
    assert streamed == body


def test_keep_alives_are_comments_and_take_no_number() -> None:
    answer = renderer()
    frames = answer.open()
    assert answer.keep_alive() == b": keep-alive\n\n"
    judge(frames + answer.feed(Given(Text("a"))) + asyncio.run(answer.close(None)))


_EVENTS = st.lists(
    st.one_of(
        st.builds(Text, st.text(min_size=1, max_size=5)),
        st.builds(Reasoning, st.text(min_size=1, max_size=5)),
        st.builds(Refusal, st.text(min_size=1, max_size=5)),
        st.tuples(st.integers(0, 3), st.text(min_size=1, max_size=5)),
    ),
    max_size=20,
)
_NAMES = ("get", "apply_patch", "agents__spawn", "shell")


def _legal(drawn: list[Any]) -> list[Event]:
    """A fragment starts its call where the call has not begun."""
    events: list[Event] = []
    started: set[int] = set()
    for one in drawn:
        if not isinstance(one, tuple):
            events.append(one)
            continue
        index, fragment = one
        if index not in started:
            started.add(index)
            events.append(CallStarted(index, f"{_NAMES[index]}:{index}", _NAMES[index]))
        events.append(CallArguments(index, fragment))
    return events


@settings(max_examples=150)
@given(
    drawn=_EVENTS,
    reason=st.sampled_from(["stop", "length", "tool_calls", "content_filter"]),
    breaks=st.booleans(),
    usage=st.none() | st.builds(Usage, st.integers(0, 99), st.integers(0, 99)),
)
def test_any_answer_is_a_legal_stream(
    drawn: list[Any], reason: FinishReason, breaks: bool, usage: Usage | None
) -> None:
    tools = [CUSTOM, NAMESPACE, {"type": "shell"}, {"type": "function", "name": "get"}]
    answer = renderer(parse_call({"input": "hi", "tools": tools}))
    events = _legal(drawn)
    if breaks:
        judge(broken(answer, UpstreamBroken("cut"), *events))
        return
    response = judge(stream(answer, *events, Finished(reason), usage=usage))
    texts = [
        part.get("text", part.get("refusal"))
        for item in response["output"]
        for part in item.get("content", ())
    ]
    assert "".join(texts) == "".join(
        event.text for event in events if isinstance(event, Text | Refusal)
    )
