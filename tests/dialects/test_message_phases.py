"""An answer of several messages, as Responses upstreams give it, for clients of each dialect.

And such an answer in the history of a further request.
"""

import asyncio
import json
from typing import Any

import pytest

from gateway.core.events import (
    CallArguments,
    CallStarted,
    Event,
    Finished,
    MessageStarted,
    Refusal,
    Text,
)
from gateway.core.request import AssistantMessage
from gateway.dialects.event_stream import EventStream
from gateway.dialects.responses.answer_reader import ResponsesReader
from gateway.dialects.responses.request_writer import write_request
from tests.dialects.chat import support as chat
from tests.dialects.clients import DIALECTS, Object
from tests.dialects.messages import support as messages
from tests.dialects.responses import support as responses
from tests.dialects.responses.judge import Judge, judge_object
from tests.dialects.support import event, render, resolve

CREATED: Object = {"type": "response.created", "response": {}}


def message(text: str, phase: str | None = None, kind: str = "output_text") -> Object:
    part = {"type": kind, "refusal" if kind == "refusal" else "text": text}
    item: Object = {"type": "message", "role": "assistant", "content": [part]}
    return item if phase is None else {**item, "phase": phase}


#: the last of the first message's text looks like the beginning of reasoning, and is none
OUTPUT = [message("Look <th", "commentary"), message("Done", "final_answer"), message("Bye")]


def response(output: list[Object]) -> Object:
    return {"status": "completed", "output": output, "usage": {"input_tokens": 1}}


def whole(output: list[Object]) -> Any:
    reader = EventStream(ResponsesReader("main", None))
    return reader.answer(json.dumps(response(output)).encode())


def streamed(output: list[Object], *, deltas: bool) -> list[Any]:
    """The chunks of a stream whose text comes in deltas, or with the end of its item."""
    events: list[Object] = [CREATED]
    for index, item in enumerate(output):
        place = {"output_index": index}
        begun = {**item, "content": []}
        events.append({"type": "response.output_item.added", **place, "item": begun})
        for piece in item["content"][0]["text"] if deltas else ():
            events.append({"type": "response.output_text.delta", **place, "delta": piece})
        events.append({"type": "response.output_item.done", **place, "item": item})
    events.append({"type": "response.completed", "response": response([])})
    reader = EventStream(ResponsesReader("main", None))
    return [chunk for each in events for chunk in reader.feed(event(each))]


def events_of(output: list[Object]) -> list[Event]:
    return [each for each in whole(output).events() if isinstance(each, MessageStarted | Text)]


def test_a_message_begins_with_a_phase_or_behind_another() -> None:
    assert events_of([message("a")]) == [Text("a")]
    assert events_of([message("a"), message(""), message("b")]) == [
        Text("a"),
        MessageStarted(),
        Text("b"),
    ]
    odd: Any = 5
    assert events_of([message("a", odd), message("b", "later")]) == [
        Text("a"),
        MessageStarted("later"),
        Text("b"),
    ]


@pytest.mark.parametrize("deltas", [False, True])
def test_each_client_gets_the_messages_apart(deltas: bool) -> None:
    texts = ["Look <th", "Done", "Bye"]
    frames: dict[str, list[bytes]] = {}
    for name, (make, *_) in DIALECTS.items():
        renderer = make()
        frames[name] = renderer.open()
        for chunk in streamed(OUTPUT, deltas=deltas):
            frames[name] += renderer.feed(chunk)
        frames[name] += asyncio.run(renderer.close(None))

    final = Judge(frames["responses"]).judge()
    assert phases_of(final) == [*zip(texts, ["commentary", "final_answer", None], strict=True)]
    shown = messages.read_message(messages.read_frames(frames["messages"]))
    assert [block["text"] for block in shown["content"]] == texts
    deltas_of = [each["choices"][0]["delta"] for each in chat.read(frames["chat"])[:-1]]
    assert "".join(delta.get("content", "") for delta in deltas_of) == "\n\n".join(texts)


def test_each_client_gets_the_messages_of_a_whole_answer_apart() -> None:
    bodies = {
        name: json.loads(asyncio.run(make().complete(whole(OUTPUT))))
        for name, (make, *_) in DIALECTS.items()
    }
    judge_object(bodies["responses"])
    assert [phase for _, phase in phases_of(bodies["responses"])] == [
        "commentary",
        "final_answer",
        None,
    ]
    assert [block["text"] for block in bodies["messages"]["content"]] == [
        "Look <th",
        "Done",
        "Bye",
    ]
    [choice] = bodies["chat"]["choices"]
    assert choice["message"]["content"] == "Look <th\n\nDone\n\nBye"


def test_a_refusal_is_a_message_of_its_own() -> None:
    output = [message("Look", "commentary"), message("No.", "final_answer", "refusal")]
    events = whole(output).events()
    assert events[2:4] == [MessageStarted("final_answer"), Refusal("No.")]
    body = responses.complete(responses.renderer(), *events)
    assert [item["content"][0]["type"] for item in body["output"]] == ["output_text", "refusal"]


def test_phases_go_back_to_responses_upstreams_only() -> None:
    state = responses.MemoryState()
    call = responses.parse_call({"input": "hi"}, state)
    given = (*events_of(OUTPUT), CallStarted(0, "a", "look"), CallArguments(0, "{}"))
    first = responses.complete(responses.renderer(call, state), *given, Finished("tool_calls"))
    history = responses.parse([responses.returned("a")], state, previous_response_id=first["id"])
    written = json.loads(write_request(history, resolve("gpt-5.1")).body)["input"]
    assert phases_of({"output": written}) == phases_of(first)
    assert [phase for _, phase in phases_of(first)] == ["commentary", "final_answer", None]
    assert not any("phase" in each for each in render(history)["messages"])


def test_a_phase_that_is_no_word_is_refused() -> None:
    odd: Any = 5
    responses.refused({"input": [message("a", odd), responses.user("hi")]}, "input.0.phase")
    plain = responses.parse([{**message("a"), "phase": None}, responses.user("hi")])
    assert plain.messages[0] == AssistantMessage("a")


def phases_of(body: Object) -> list[tuple[str, str | None]]:
    """Text and phase of each of the model's messages among the output."""
    found = [item for item in body["output"] if item.get("role") == "assistant"]
    return [(item["content"][0]["text"], item.get("phase")) for item in found]
