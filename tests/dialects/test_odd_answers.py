"""Every JSON type in every member of a Messages, Responses or Gemini answer, and the content that
each client gets of it. Chat answers have a table of their own."""

import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import (
    FaregateError,
    UpstreamBroken,
)
from gateway.dialects.odd_values import decode_odd
from tests.dialects.answers import (
    ABSENT,
    AT,
    GEMINI,
    GEMINI_EVENTS,
    MESSAGE,
    MESSAGE_EVENTS,
    PLAIN,
    READERS,
    RESPONSE,
    RESPONSE_EVENTS,
    Path,
    streamed,
    whole,
    with_value,
)
from tests.dialects.clients import TEXTS, VALUES, Got, Object

#: of a value and its text: the content that clients get, or BROKEN
Expect = Callable[[Any, str], Any]

BROKEN = "an error, and nothing is charged"
EVERY = [(value, text) for value, text in zip(VALUES, TEXTS, strict=True)] + [(ABSENT, "")]


# The meaning of a member.


def nothing(value: Any, text: str) -> Any:
    """Nothing depends on it."""
    return PLAIN


def content(value: Any, text: str) -> Any:
    return (text, "Hm.", [AT])


def thought(value: Any, text: str) -> Any:
    return ("Hello", text, [AT])


def name(value: Any, text: str) -> Any:
    called = '["x"]' if value == ["x"] else text
    return ("Hello", "Hm.", [(called, {"at": 1})]) if called else BROKEN


def arguments(value: Any, text: str) -> Any:
    return ("Hello", "Hm.", [("look", value if isinstance(value, dict) else {})])


def failure(value: Any, text: str) -> Any:
    return BROKEN if value is not ABSENT and value else PLAIN


def reason(value: Any, text: str) -> Any:
    """A word that nobody knows is an end; none is not."""
    return PLAIN if text else BROKEN


def kind(without: Any) -> Expect:
    """A type: one that is none is seen by the members, an unknown one is left out."""
    return lambda value, text: without if value == "x" else PLAIN


def event_kind(without: Any) -> Expect:
    """An event of an unknown type is left out; one that has none could be anything."""
    return lambda value, text: without if value == "x" else BROKEN


# The answers.

NO_TEXT: Any = ("", "Hm.", [AT])
NO_THOUGHT: Any = ("Hello", "", [AT])
NO_CALL: Any = ("Hello", "Hm.", [])

Table = tuple[Any, list[tuple[Path, Expect]]]


def each(expect: Expect, *paths: Path) -> list[tuple[Path, Expect]]:
    return [(path, expect) for path in paths]


def places(events: list[Object], *names: str) -> Iterable[Path]:
    """The places of these members in all events that have them."""
    return ((index, one) for index, event in enumerate(events) for one in names if one in event)


def alone(value: Any, text: str) -> Any:
    """Content that stands alone instead of blocks; an object without a type is JSON."""
    return (text, "", [])


def text_alone(value: Any, text: str) -> Any:
    """Only text may stand where a list of items should."""
    return ("" if isinstance(value, dict) else text, "", [])


def parts(value: Any, text: str) -> Any:
    """Of a Gemini answer; an object that is no part has no text."""
    return ("" if isinstance(value, dict) else text, "", [])


def more(value: Any, text: str) -> Any:
    """The same behind all other text."""
    return ("Hello" + ("" if isinstance(value, dict) else text), "Hm.", [AT])


def flag(value: Any, text: str) -> Any:
    """The mark of a thought."""
    return PLAIN if value is not ABSENT and value else ("Hm.Hello", "", [AT])


def call(value: Any, text: str) -> Any:
    """A call that has no name could not be made, nor be left out."""
    is_call = isinstance(value, dict) or (value is not ABSENT and value)
    return BROKEN if is_call else NO_CALL


def broken(value: Any, text: str) -> Any:
    """It holds all there is."""
    return BROKEN


def index(value: Any, text: str) -> Any:
    """A place; another one would be another's."""
    return None if type(value) is int else PLAIN


BLOCKS, ITEMS, PARTS = ("content",), ("output",), ("candidates", 0, "content", "parts")
WHOLE: dict[str, Table] = {
    "messages": (
        MESSAGE,
        [
            *each(nothing, ("id",), ("type",), ("role",), ("model",), ("stop_sequence",)),
            *each(nothing, ("usage",), ("usage", "input_tokens"), ("container",), ("new",)),
            *each(
                nothing, (*BLOCKS, 0, "signature"), (*BLOCKS, 1, "citations"), (*BLOCKS, 2, "id")
            ),
            *each(failure, ("error",)),
            *each(reason, ("stop_reason",)),
            *each(alone, BLOCKS),
            *each(kind(NO_THOUGHT), (*BLOCKS, 0, "type")),
            *each(kind(NO_TEXT), (*BLOCKS, 1, "type")),
            *each(kind(NO_CALL), (*BLOCKS, 2, "type")),
            *each(thought, (*BLOCKS, 0, "thinking")),
            *each(content, (*BLOCKS, 1, "text")),
            *each(content, (*BLOCKS, 1)),
            *each(name, (*BLOCKS, 2, "name")),
            *each(arguments, (*BLOCKS, 2, "input")),
        ],
    ),
    "responses": (
        RESPONSE,
        [
            *each(nothing, ("id",), ("object",), ("created_at",), ("model",), ("usage",)),
            *each(nothing, ("usage", "input_tokens"), ("incomplete_details",), ("new",)),
            *each(
                nothing, (*ITEMS, 0, "id"), (*ITEMS, 0, "content"), (*ITEMS, 0, "encrypted_content")
            ),
            *each(
                nothing,
                (*ITEMS, 1, "id"),
                (*ITEMS, 1, "role"),
                (*ITEMS, 1, "status"),
                (*ITEMS, 1, "phase"),
            ),
            *each(
                nothing,
                (*ITEMS, 1, "content", 0, "annotations"),
                (*ITEMS, 1, "content", 0, "logprobs"),
            ),
            *each(nothing, (*ITEMS, 2, "id"), (*ITEMS, 2, "call_id"), (*ITEMS, 2, "status")),
            *each(failure, ("error",)),
            *each(reason, ("status",)),
            *each(text_alone, ITEMS),
            *each(kind(NO_THOUGHT), (*ITEMS, 0, "type"), (*ITEMS, 0, "summary", 0, "type")),
            *each(kind(NO_TEXT), (*ITEMS, 1, "type"), (*ITEMS, 1, "content", 0, "type")),
            *each(kind(NO_CALL), (*ITEMS, 2, "type")),
            *each(
                thought,
                (*ITEMS, 0, "summary"),
                (*ITEMS, 0, "summary", 0),
                (*ITEMS, 0, "summary", 0, "text"),
            ),
            *each(
                content,
                (*ITEMS, 1, "content"),
                (*ITEMS, 1, "content", 0),
                (*ITEMS, 1, "content", 0, "text"),
            ),
            *each(name, (*ITEMS, 2, "name")),
            *each(arguments, (*ITEMS, 2, "arguments")),
        ],
    ),
    "gemini": (
        GEMINI,
        [
            *each(nothing, ("usageMetadata",), ("usageMetadata", "promptTokenCount"), ("new",)),
            *each(nothing, ("modelVersion",), ("responseId",), ("promptFeedback",)),
            *each(
                nothing, ("candidates", 0, "finishMessage"), ("candidates", 0, "content", "role")
            ),
            *each(nothing, (*PARTS, 1, "thoughtSignature"), (*PARTS, 2, "thoughtSignature")),
            *each(nothing, (*PARTS, 2, "functionCall", "id")),
            *each(failure, ("error",)),
            *each(reason, ("candidates", 0, "finishReason")),
            *each(broken, ("candidates",)),
            *each(index, ("candidates", 0, "index")),
            *each(parts, ("candidates", 0, "content"), PARTS),
            *each(flag, (*PARTS, 0, "thought")),
            *each(call, (*PARTS, 2, "functionCall")),
            *each(thought, (*PARTS, 0, "text")),
            *each(content, (*PARTS, 1, "text")),
            *each(name, (*PARTS, 2, "functionCall", "name")),
            *each(arguments, (*PARTS, 2, "functionCall", "args")),
        ],
    ),
}
STREAMED: dict[str, Table] = {
    "messages": (
        MESSAGE_EVENTS,
        [
            *each(nothing, *places(MESSAGE_EVENTS, "message", "usage")),
            *each(nothing, *((0, "message", one) for one in MESSAGE if one != "content")),
            *each(nothing, (3, "delta", "signature"), (8, "content_block", "id")),
            *each(nothing, (11, "delta", "stop_sequence")),
            *each(failure, (0, "error"), (6, "error"), (11, "error")),
            *each(event_kind(NO_TEXT), (6, "type")),
            *each(index, *places(MESSAGE_EVENTS, "index")),
            *each(reason, (11, "delta", "stop_reason")),
            *each(kind(NO_THOUGHT), (2, "delta", "type")),
            *each(kind(NO_TEXT), (6, "delta", "type")),
            *each(kind(NO_CALL), (8, "content_block", "type")),
            *each(thought, (2, "delta", "thinking")),
            *each(content, (6, "delta", "text")),
            *each(name, (8, "content_block", "name")),
            *each(arguments, (9, "delta", "partial_json")),
        ],
    ),
    "responses": (
        RESPONSE_EVENTS,
        [
            *each(nothing, *places(RESPONSE_EVENTS, "sequence_number", "summary_index", "part")),
            *each(nothing, *places(RESPONSE_EVENTS, "item_id", "content_index")),
            *each(index, *places(RESPONSE_EVENTS, "output_index")),
            *each(event_kind(PLAIN), (6, "type")),
            *each(nothing, (0, "response"), (1, "item"), (5, "item"), (7, "item")),
            *each(nothing, *((11, "response", one) for one in RESPONSE if one != "error")),
            *each(nothing, (1, "item", "type"), (5, "item", "type"), (7, "item", "content")),
            *each(nothing, (8, "item", "id"), (8, "item", "call_id"), (10, "item", "name")),
            *each(nothing, (10, "item", "arguments")),
            *each(failure, (0, "error"), (6, "error"), (11, "error"), (11, "response", "error")),
            *each(name, (8, "item", "name")),
        ],
    ),
    "gemini": (
        GEMINI_EVENTS,
        [
            *each(nothing, *places(GEMINI_EVENTS, "usageMetadata", "modelVersion", "responseId")),
            *each(nothing, (3, "candidates", 0, "finishMessage")),
            *each(more, (3, "candidates", 0, "content"), (3, "candidates", 0, "content", "parts")),
            *each(failure, (0, "error"), (2, "error"), (3, "error")),
            *each(reason, (3, "candidates", 0, "finishReason")),
            *each(thought, (0, "candidates", 0, "content", "parts", 0, "text")),
            *each(content, (1, "candidates", 0, "content", "parts", 0, "text")),
            *each(name, (2, "candidates", 0, "content", "parts", 0, "functionCall", "name")),
            *each(arguments, (2, "candidates", 0, "content", "parts", 0, "functionCall", "args")),
        ],
    ),
}


def rows(tables: dict[str, Table]) -> list[Any]:
    return [
        pytest.param(
            upstream,
            with_value(given, path, value),
            expect(value, text),
            id=f"{upstream}-{'.'.join(map(str, path))}="
            + ("absent" if value is ABSENT else json.dumps(value)),
        )
        for upstream, (given, fields) in tables.items()
        for path, expect in fields
        for value, text in EVERY
        # Arguments that are no object have a test of their own.
        if not (expect is arguments and text and not isinstance(value, dict))
        and expect(value, text) is not None
    ]


def check(
    read: Callable[[str, Any], dict[str, Got]], upstream: str, answer: Any, expected: Any
) -> None:
    if expected is BROKEN:
        with pytest.raises(UpstreamBroken):
            read(upstream, answer)
    else:
        for dialect, got in read(upstream, answer).items():
            assert got.content == expected, dialect


@pytest.mark.parametrize(("upstream", "answer", "expected"), rows(WHOLE))
def test_any_value_in_a_whole_answer(upstream: str, answer: Any, expected: Any) -> None:
    check(whole, upstream, answer, expected)


@pytest.mark.parametrize(("upstream", "events", "expected"), rows(STREAMED))
def test_any_value_in_a_stream(upstream: str, events: Any, expected: Any) -> None:
    check(streamed, upstream, events, expected)


@pytest.mark.parametrize("upstream", READERS)
@pytest.mark.parametrize("words", [b"Too many", b'"Too many"', b'[{"error": "Too many"}]'], ids=str)
def test_words_where_an_event_should_be_reach_the_client(upstream: str, words: bytes) -> None:
    with pytest.raises(UpstreamBroken, match="Too many"):
        READERS[upstream]("name", None).read(words)


#: text of JSON that is stricter than what some servers write, and what is read
LAX: list[tuple[bytes, Any]] = [
    (b'"a\\ud83d"', "a\ufffd"),
    (b'"\\ude00b\\ud83d\\ude00\\\\ud83d"', "\ufffdb\U0001f600\\ud83d"),
    (b'"a\xf0\x9f"', "a\ufffd"),
    (b"[-Infinity, NaN, Infinity, 1e400, -1e400, 1.5]", [-9999.0, None, None, None, None, 1.5]),
    (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
]


@pytest.mark.parametrize(("text", "value"), LAX)
def test_json_is_read_where_servers_check_less_than_its_standard(text: bytes, value: Any) -> None:
    assert decode_odd(text) == value


@pytest.mark.parametrize("upstream", READERS)
def test_an_event_that_no_json_can_carry_is_read(upstream: str) -> None:
    for odd in (b'"\\ud83d"', b"-Infinity"):
        event = b'{"type": "ping", "candidates": [], "odd": %b}' % odd
        assert READERS[upstream]("name", None).read(event) == []


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "text", "thinking", "name", "input", "args", "index", "error"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
_FIELDS = [(upstream, path) for upstream in READERS for path, _ in STREAMED[upstream][1]]


@given(st.sampled_from(_FIELDS), _JSON)
def test_nothing_an_upstream_sends_raises_anything_but_an_error(
    field: tuple[str, Path], value: Any
) -> None:
    upstream, path = field
    with suppress(FaregateError):
        streamed(upstream, with_value(STREAMED[upstream][0], path, value))
    with suppress(FaregateError):
        whole(upstream, value)
