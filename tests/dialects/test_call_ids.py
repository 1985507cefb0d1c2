"""Two calls of Messages, Responses and Gemini upstreams under one id: each gets its own, for a
client brings results back by them."""

import json
from copy import deepcopy
from typing import Any

import pytest

from gateway.core.events import CallStarted, Signature
from gateway.dialects.gemini.answer_reader import GeminiReader
from gateway.dialects.gemini.tables import CALL_PLACE
from tests.dialects.answers import (
    GEMINI,
    GEMINI_EVENTS,
    MESSAGE,
    MESSAGE_EVENTS,
    READERS,
    RESPONSE,
    RESPONSE_EVENTS,
)
from tests.dialects.clients import Object

ITEMS: dict[str, Any] = {
    "messages": (MESSAGE, lambda answer: answer["content"]),
    "responses": (RESPONSE, lambda answer: answer["output"]),
    "gemini": (GEMINI, lambda answer: answer["candidates"][0]["content"]["parts"]),
}
#: the events, those of the call among them, and the member with its place
STREAMS: dict[str, tuple[list[Object], slice, str]] = {
    "messages": (MESSAGE_EVENTS, slice(8, 11), "index"),
    "responses": (RESPONSE_EVENTS, slice(8, 11), "output_index"),
    "gemini": (GEMINI_EVENTS, slice(2, 3), ""),
}


def ids(events: list[Any]) -> list[str]:
    return [event.id for event in events if isinstance(event, CallStarted)]


@pytest.mark.parametrize("upstream", ITEMS)
def test_a_whole_answer_has_each_id_once(upstream: str) -> None:
    answer, items = ITEMS[upstream]
    answer = deepcopy(answer)
    items(answer)[2].get("functionCall", {})["id"] = "a"
    items(answer).append(items(answer)[2])
    first, second = ids(READERS[upstream]("main", None).read_whole(answer))
    assert first == "a"
    assert second not in ("", "a")


@pytest.mark.parametrize("upstream", STREAMS)
def test_a_stream_has_each_id_once(upstream: str) -> None:
    given, called, place = STREAMS[upstream]
    again = [{**event, **({place: 3} if place else {})} for event in given[called]]
    reader = READERS[upstream]("main", None)
    events = [*given[: called.stop], *again, *given[called.stop :]]
    found = ids([one for event in events for one in reader.read(json.dumps(event).encode())])
    assert len(set(found)) == 2


def test_a_signature_belongs_to_the_id_that_its_call_has() -> None:
    call = {"functionCall": {"name": "look", "id": "a"}, "thoughtSignature": "s"}
    candidate = {"content": {"parts": [call, call]}, "finishReason": "STOP"}
    events = GeminiReader("main", None).read_whole({"candidates": [candidate]})
    signed = [event.signature for event in events if isinstance(event, Signature)]
    assert signed == [f"{CALL_PLACE}{call_id} s" for call_id in ids(events)]
