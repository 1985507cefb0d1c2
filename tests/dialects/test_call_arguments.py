"""Arguments of calls of Messages, Responses and Gemini upstreams, as each client gets them."""

from typing import Any

import pytest

from gateway.core.errors import UpstreamBroken
from tests.dialects.answers import (
    GEMINI,
    GEMINI_EVENTS,
    MESSAGE,
    MESSAGE_EVENTS,
    OUTPUT,
    PLAIN,
    RESPONSE,
    RESPONSE_EVENTS,
    Path,
    streamed,
    whole,
    with_value,
)
from tests.dialects.clients import SPELLINGS, Object

ARGS = ("content", "parts", 2, "functionCall", "args")
WHOLE: dict[str, tuple[Object, Path]] = {
    "messages": (MESSAGE, ("content", 2, "input")),
    "responses": (RESPONSE, ("output", 2, "arguments")),
    "gemini": (GEMINI, ("candidates", 0, *ARGS)),
}
#: the events, and the places of the arguments
STREAMED: dict[str, tuple[list[Object], list[Path]]] = {
    "messages": (MESSAGE_EVENTS, [(9, "delta", "partial_json")]),
    "responses": (RESPONSE_EVENTS, [(9, "delta"), (10, "item", "arguments")]),
    "gemini": (
        GEMINI_EVENTS,
        [(2, "candidates", 0, "content", "parts", 0, "functionCall", "args")],
    ),
}


@pytest.mark.parametrize("text", SPELLINGS)
@pytest.mark.parametrize("upstream", WHOLE)
def test_text_is_read_for_the_object_that_it_means(upstream: str, text: str) -> None:
    answer, path = WHOLE[upstream]
    events, paths = STREAMED[upstream]
    for each in paths:
        events = with_value(events, each, text)
    expected = (*PLAIN[:2], [("look", SPELLINGS[text])])
    answers = (whole(upstream, with_value(answer, path, text)), streamed(upstream, events))
    for dialect, got in [item for each in answers for item in each.items()]:
        assert got.content == expected, dialect


@pytest.mark.parametrize("value", [True, 5, 1.5, ["x"], [{"at": 1}]], ids=str)
@pytest.mark.parametrize("upstream", WHOLE)
def test_what_is_no_object_is_not_lost(upstream: str, value: Any) -> None:
    """It reaches a stream as it came; whole Messages answers have only objects."""
    answer, path = WHOLE[upstream]
    events, paths = STREAMED[upstream]
    for each in paths:
        events = with_value(events, each, value)
    for dialect, got in streamed(upstream, events).items():
        assert got.content == (*PLAIN[:2], [("look", value)]), dialect
    with pytest.raises(UpstreamBroken, match="not a JSON object"):
        whole(upstream, with_value(answer, path, value))


def without(events: list[Object], *positions: int) -> list[Object]:
    return [event for position, event in enumerate(events) if position not in positions]


DONE = {
    "type": "response.function_call_arguments.done",
    "output_index": 2,
    "arguments": OUTPUT[2]["arguments"],
}
STARTED = with_value(MESSAGE_EVENTS, (8, "content_block", "input"), {"at": 1})
CUT = with_value(without(STARTED, 9, 10), (9, "delta", "stop_reason"), "max_tokens")


@pytest.mark.parametrize(
    ("upstream", "events"),
    [
        pytest.param("messages", STARTED, id="start-and-deltas"),
        pytest.param("messages", without(STARTED, 9), id="start-alone"),
        pytest.param("messages", without(STARTED, 9, 10), id="start-without-an-end"),
        pytest.param("messages", CUT, id="start-before-a-cut"),
        pytest.param(
            "responses",
            [*RESPONSE_EVENTS[:9], DONE, RESPONSE_EVENTS[11]],
            id="done-alone",
        ),
        pytest.param(
            "responses",
            [*RESPONSE_EVENTS[:10], DONE, *RESPONSE_EVENTS[10:]],
            id="deltas-done-and-item",
        ),
        pytest.param(
            "responses",
            [*RESPONSE_EVENTS[:9], DONE, *RESPONSE_EVENTS[10:]],
            id="done-and-item",
        ),
        pytest.param("responses", without(RESPONSE_EVENTS, 9, 10), id="the-end-alone"),
    ],
)
def test_arguments_count_once_wherever_they_stand(upstream: str, events: list[Any]) -> None:
    for dialect, got in streamed(upstream, events).items():
        assert got.content == PLAIN, dialect
