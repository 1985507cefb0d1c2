"""The content of a stored response, and the accounts that can read it."""

import asyncio
import json
from typing import Any

import pytest

from gateway.core.errors import InvalidRequest, NotFound, UnknownReference
from gateway.core.events import CallArguments, CallStarted, Finished, Reasoning, Text
from gateway.core.request import AssistantMessage, Message, SystemMessage, ToolMessage, UserMessage
from gateway.core.request import TextPart as Piece
from gateway.dialects.base import Caller
from gateway.dialects.responses.stored_responses import ResponseState, input_items, remove, retrieve
from tests.dialects.responses.judge import judge
from tests.dialects.responses.support import (
    ALICE,
    BOB,
    MemoryState,
    complete,
    parse,
    parse_call,
    renderer,
    stream,
)

STOP = Finished("stop")
CALL = (
    Reasoning("I need the weather."),
    Text("Let me look."),
    CallStarted(0, "get:0", "get"),
    CallArguments(0, '{"city":"Paris"}'),
    Finished("tool_calls"),
)


def answer(
    body: dict[str, Any],
    state: ResponseState | None,
    *events: Any,
    request_id: str = "req_one",
    caller: Caller = ALICE,
) -> dict[str, Any]:
    call = parse_call(body, state, caller)
    return complete(renderer(call, state, request_id=request_id, caller=caller), *events)


def follow(state: ResponseState | None, previous: str, input: Any) -> tuple[Message, ...]:
    return parse(input, state, previous_response_id=previous).messages


def test_a_chain_carries_inputs_and_outputs_but_no_instructions() -> None:
    state = MemoryState()
    first = answer({"input": "weather?", "instructions": "be short"}, state, *CALL)
    output = {"type": "function_call_output", "call_id": "get:0", "output": "sunny"}
    body = {"input": [output], "previous_response_id": first["id"], "instructions": "be long"}
    second = answer(body, state, Text("Sunny."), STOP, request_id="req_two")
    assert second["previous_response_id"] == first["id"]
    system, user, assistant, result, last, more = parse(
        "thanks", state, previous_response_id=second["id"], instructions="be kind"
    ).messages
    assert system == SystemMessage("be kind")
    assert user == UserMessage((Piece("weather?"),))
    assert isinstance(assistant, AssistantMessage)
    assert assistant.reasoning == "I need the weather."
    assert assistant.text == "Let me look."
    assert assistant.calls[0].arguments == '{"city":"Paris"}'
    assert result == ToolMessage("get:0", (Piece("sunny"),))
    assert last == AssistantMessage("Sunny.")
    assert more == UserMessage((Piece("thanks"),))


def test_references_stand_for_stored_items() -> None:
    state = MemoryState()
    reasoning, message, _ = answer({"input": "weather?"}, state, *CALL)["output"]
    items = [
        {"role": "user", "content": "weather?"},
        {"type": "item_reference", "id": reasoning["id"]},
        {"id": message["id"]},
        {"type": "function_call", "call_id": "get:0", "name": "get", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "get:0", "output": "sunny"},
    ]
    assistant = parse(items, state).messages[1]
    assert isinstance(assistant, AssistantMessage)
    assert (assistant.reasoning, assistant.text) == ("I need the weather.", "Let me look.")


def test_unknown_references_are_refused_with_a_way_out() -> None:
    items = [{"role": "user", "content": "x"}, {"type": "item_reference", "id": "rs_none"}]
    for state in (MemoryState(), None):
        with pytest.raises(InvalidRequest) as caught:
            parse(items, state)
        assert "Item with id 'rs_none' not found." in caught.value.message
        assert "`store: false`" in caught.value.message
        assert caught.value.param == "input.1.id"
        with pytest.raises(UnknownReference) as missing:
            follow(state, "resp_none", "hi")
        assert missing.value.code == "previous_response_not_found"
        assert missing.value.param == "previous_response_id"


def test_another_account_finds_nothing() -> None:
    state = MemoryState()
    stored = answer({"input": "hi"}, state, Text("ok"), STOP)
    with pytest.raises(UnknownReference):
        parse("hi", state, BOB, previous_response_id=stored["id"])
    with pytest.raises(InvalidRequest):
        parse([{"type": "item_reference", "id": stored["output"][0]["id"]}], state, BOB)
    for read in (retrieve, remove, input_items):
        with pytest.raises(NotFound) as caught:
            asyncio.run(read(state, BOB, stored["id"]))
        assert caught.value.message == f"Response with id '{stored['id']}' not found."
    assert asyncio.run(retrieve(state, ALICE, stored["id"]))


@pytest.mark.parametrize(
    ("state", "body"),
    [
        (None, {}),
        (MemoryState(is_full=True), {}),
        (MemoryState(), {"store": False}),
        (MemoryState(bytes_max=20), {}),
    ],
)
def test_what_is_not_kept_reports_it(state: MemoryState | None, body: dict[str, Any]) -> None:
    call = parse_call({"input": "hi", **body}, state)
    response = judge(stream(renderer(call, state), Text("ok"), STOP))
    assert response["store"] is False
    assert state is None or not state.responses


def test_a_response_is_kept_before_it_is_reported_complete() -> None:
    state = MemoryState()
    response = judge(stream(renderer(state=state), Text("ok"), STOP))
    assert response["store"] is True
    assert json.loads(asyncio.run(retrieve(state, ALICE, response["id"]))) == response


def test_an_incomplete_response_can_be_continued() -> None:
    state = MemoryState()
    stored = answer({"input": "hi"}, state, Text("The ans"), Finished("length"))
    assert follow(state, stored["id"], "go on")[1] == AssistantMessage("The ans")


def test_input_items_come_in_pages() -> None:
    state = MemoryState()
    items: list[Any] = [{"role": "user", "content": str(n), "id": f"msg_{n}"} for n in range(3)]
    items.append({"role": "user", "content": [{"type": "input_text", "text": "3"}]})
    stored = answer({"input": items}, state, Text("ok"), STOP)

    def page(**members: Any) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(
            asyncio.run(input_items(state, ALICE, stored["id"], **members))
        )
        assert body["object"] == "list"
        assert body["first_id"] == (body["data"][0]["id"] if body["data"] else None)
        assert body["last_id"] == (body["data"][-1]["id"] if body["data"] else None)
        return body

    everything = page(order="asc")
    texts = [item["content"][0]["text"] for item in everything["data"]]
    assert texts == ["0", "1", "2", "3"]
    assert all(item["type"] == "message" for item in everything["data"])
    assert everything["has_more"] is False
    newest = page(limit=2)
    assert newest["last_id"] == "msg_2"
    assert newest["has_more"] is True
    rest = page(limit=2, after="msg_2")
    assert [item["id"] for item in rest["data"]] == ["msg_1", "msg_0"]
    assert rest["has_more"] is False
    assert page(after="msg_0")["data"] == []
    for members in ({"limit": 0}, {"limit": 101}, {"order": "up"}, {"after": "msg_9"}):
        with pytest.raises(InvalidRequest) as caught:
            page(**members)
        assert caught.value.param == next(iter(members))


def test_a_removed_response_is_gone() -> None:
    state = MemoryState()
    stored = answer({"input": "hi"}, state, Text("ok"), STOP)
    body = asyncio.run(remove(state, ALICE, stored["id"]))
    assert json.loads(body) == {"id": stored["id"], "object": "response", "deleted": True}
    with pytest.raises(NotFound):
        asyncio.run(remove(state, ALICE, stored["id"]))
