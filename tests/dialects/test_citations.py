"""Citations in an answer, from upstreams of both dialects that have them, for each client."""

import asyncio
import json
from typing import Any

import pytest
from openai.types.chat.chat_completion_message import Annotation
from openai.types.responses import ResponseOutputTextAnnotationAddedEvent

from gateway.core.events import Citation
from gateway.dialects.chat.answer_stream import ChatStream
from gateway.dialects.citations import read_citations
from gateway.dialects.event_stream import EventStream
from gateway.dialects.responses.answer_reader import ResponsesReader
from tests.dialects.chat import support as chat
from tests.dialects.clients import DIALECTS, Object
from tests.dialects.responses.judge import Judge, judge_object
from tests.dialects.responses.support import read_frames
from tests.dialects.support import chunk, event


def flat(name: str, start: int, end: int) -> Object:
    place = {"start_index": start, "end_index": end}
    return {"type": "url_citation", **place, "url": f"https://{name}.example", "title": name}


def nested(name: str, start: int, end: int) -> Object:
    cited = flat(name, start, end)
    return {"type": cited.pop("type"), "url_citation": cited}


def annotations_of(response: Object) -> list[list[Object]]:
    return [item["content"][0]["annotations"] for item in response["output"]]


def frames_for(client: str, chunks: list[Any]) -> list[bytes]:
    renderer = DIALECTS[client][0]()
    frames: list[bytes] = [*renderer.open()]
    for each in chunks:
        frames += renderer.feed(each)
    return frames + asyncio.run(renderer.close(None))


def whole_for(client: str, answer: Any) -> Any:
    return json.loads(asyncio.run(DIALECTS[client][0]().complete(answer)))


@pytest.mark.parametrize("place", [0, 1, 2])
def test_citations_of_a_chat_upstream(place: int) -> None:
    """They come before the text, with it or behind it; two chunks hold one each."""
    cited = [[nested("a", 0, 3)], [nested("b", 4, 6), {"type": "of_the_future"}]]
    deltas: list[Object] = [{"content": "The"}, {"content": " sky"}]
    alone: list[Object] = [{"content": "", "annotations": each} for each in cited]
    if place == 1:
        deltas = [{**delta, "annotations": each} for delta, each in zip(deltas, cited, strict=True)]
    deltas = {0: alone + deltas, 1: deltas, 2: deltas + alone}[place]
    data = b"".join(event(chunk(delta)) for delta in deltas) + event(chunk({}, "stop"))
    frames = frames_for("responses", ChatStream(1, None).feed(data))
    assert annotations_of(Judge(frames).judge()) == [[flat("a", 0, 3), flat("b", 4, 6)]]
    for each in read_frames(frames):
        if "annotation" in each:
            ResponseOutputTextAnnotationAddedEvent.model_validate(each, strict=True)
    assert frames_for("messages", ChatStream(1, None).feed(data))


def test_citations_of_a_whole_chat_answer() -> None:
    message = {"role": "assistant", "content": "The sky", "annotations": [nested("a", 0, 3)]}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    answer = ChatStream(1, None).answer(json.dumps({"id": "1", "choices": [choice]}).encode())
    response = whole_for("responses", answer)
    judge_object(response)
    assert annotations_of(response) == [[flat("a", 0, 3)]]
    assert whole_for("messages", answer)["content"] == [{"type": "text", "text": "The sky"}]


#: two messages, the second one of two parts
OUTPUT: list[Object] = [
    {
        "type": "message",
        "role": "assistant",
        "content": [
            {"type": "output_text", "text": text, "annotations": cited} for text, cited in parts
        ],
    }
    for parts in (
        [("The", [flat("a", 0, 3)])],
        [("sky", [flat("b", 0, 3)]), ("is", [flat("c", 0, 2), {"type": "file_citation"}])],
    )
]
ONE_TEXT = [nested("a", 0, 3), nested("b", 5, 8), nested("c", 8, 10)]
EACH_TEXT = [[flat("a", 0, 3)], [flat("b", 0, 3), flat("c", 3, 5)]]


def test_citations_of_a_responses_upstream() -> None:
    response = {"status": "completed", "output": OUTPUT}
    answer = EventStream(ResponsesReader("main", None)).answer(json.dumps(response).encode())
    [choice] = whole_for("chat", answer)["choices"]
    assert choice["message"]["content"] == "The\n\nskyis"
    assert choice["message"]["annotations"] == ONE_TEXT
    for annotation in choice["message"]["annotations"]:
        Annotation.model_validate(annotation, strict=True)
    assert annotations_of(whole_for("responses", answer)) == EACH_TEXT


@pytest.mark.parametrize("deltas", [False, True])
def test_citations_of_a_responses_stream(deltas: bool) -> None:
    events: list[Object] = [{"type": "response.created", "response": {}}]
    for index, item in enumerate(OUTPUT):
        place = {"output_index": index}
        begun = {**item, "content": []}
        events.append({"type": "response.output_item.added", **place, "item": begun})
        for part in item["content"] if deltas else ():
            events.append({"type": "response.output_text.delta", **place, "delta": part["text"]})
        events.append({"type": "response.output_item.done", **place, "item": item})
    events.append({"type": "response.completed", "response": {"status": "completed"}})
    reader = EventStream(ResponsesReader("main", None))
    chunks = [each for one in events for each in reader.feed(event(one))]
    got = [each["choices"][0]["delta"] for each in chat.read(frames_for("chat", chunks))[:-1]]
    assert [one for delta in got for one in delta.get("annotations", ())] == ONE_TEXT
    assert annotations_of(Judge(frames_for("responses", chunks)).judge()) == EACH_TEXT


def test_odd_annotations_are_read_for_what_they_hold() -> None:
    bare = {"type": "url_citation", "url": "u"}
    odd = [None, 5, {}, {"type": "url_citation"}, {**bare, "url": 5}, {**bare, "start_index": "x"}]
    assert read_citations(odd) == [Citation("u", "", 0, 0)]
    assert read_citations({"a": 1}) == []
