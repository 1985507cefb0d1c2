"""Ends of Messages, Responses and Gemini answers, and errors where an answer should be."""

import json
from copy import deepcopy
from typing import Any

import pytest

from gateway.core.errors import (
    ContextOverflow,
    FaregateError,
    InvalidRequest,
    RequestTooLarge,
    UpstreamBroken,
    UpstreamMisconfigured,
    UpstreamOverloaded,
)
from gateway.dialects.chat.answer_stream import ChatStream
from gateway.dialects.event_stream import EventStream
from tests.dialects.answers import (
    AT,
    GEMINI_EVENTS,
    MESSAGE,
    MESSAGE_EVENTS,
    OUTPUT,
    PLAIN,
    READERS,
    RESPONSE,
    RESPONSE_EVENTS,
    streamed,
    whole,
    with_value,
)
from tests.dialects.clients import DIALECTS, REASONS, Object
from tests.dialects.support import chunk, stream


def ending(upstream: str, word: Any) -> tuple[Any, list[Object]]:
    """A whole answer and a stream that end for this reason."""
    text: Any
    if upstream == "messages":
        text = {**MESSAGE, "content": [{"type": "text", "text": "Hello"}], "stop_reason": word}
        return text, with_value(
            MESSAGE_EVENTS[:1] + MESSAGE_EVENTS[5:8] + MESSAGE_EVENTS[11:],
            (4, "delta", "stop_reason"),
            word,
        )
    if upstream == "gemini":
        candidate = {"content": {"parts": [{"text": "Hello"}]}, "finishReason": word}
        text = {"candidates": [candidate]}
        return text, [text]
    is_state = word in ("completed", "failed", "cancelled", "nobody_knows")
    state = word if is_state else "incomplete"
    text = {**RESPONSE, "output": OUTPUT[1:2], "status": state}
    text["incomplete_details"] = None if is_state else {"reason": word}
    return text, [
        *RESPONSE_EVENTS[:1],
        *RESPONSE_EVENTS[5:8],
        {"type": "response.completed", "response": text},
    ]


BEGUN = {
    "messages": MESSAGE_EVENTS[:3],
    "responses": RESPONSE_EVENTS[:3],
    "gemini": GEMINI_EVENTS[:1],
}
ENDS: list[tuple[str, Any, str]] = [
    *(("messages", word, "stop") for word in ("end_turn", "stop_sequence", "nobody_knows", 5)),
    *(("messages", word, "length") for word in ("max_tokens", "pause_turn", "length")),
    *(("messages", word, "length") for word in ("max-tokens", "maxTokens", "MaxTokens", "Length")),
    *(("messages", word, "length") for word in ("max_length", "token_limit", "TOKEN_LIMIT")),
    *(("messages", word, "length") for word in ("context_length_exceeded", "MODEL_LENGTH")),
    *(("messages", word, "content_filter") for word in ("content-filter", "contentFilter")),
    *(("messages", word, "content_filter") for word in ("moderation", "ERROR_TOXIC")),
    *(("messages", word, "stop") for word in ("endTurn", "Stop", "other", "Other")),
    ("messages", "model_context_window_exceeded", "length"),
    *(("messages", word, "content_filter") for word in ("refusal", "content_filter")),
    ("responses", "completed", "stop"),
    ("responses", "nobody_knows", "stop"),
    *(("responses", word, "length") for word in ("max_output_tokens", "max_tokens", "new", 5)),
    *(("responses", word, "content_filter") for word in ("content_filter", "safety")),
    *(("gemini", word, "stop") for word in ("STOP", "NOBODY_KNOWS")),
    *(("gemini", word, "length") for word in ("MAX_TOKENS", "max_tokens")),
    *(("gemini", word, "content_filter") for word in ("SAFETY", "MODEL_ARMOR", "IMAGE_SAFETY")),
]
FAILED_ENDS = [
    *(("messages", word) for word in ("error", "abort", "cancelled", "failed", "timeout")),
    *(("messages", word) for word in ("server_error", "internal_error", "Error", "USER_CANCEL")),
    *(("messages", word) for word in ("preempted", "overloaded", "networkError")),
    *(("responses", word) for word in ("failed", "cancelled", "error", "network_error")),
    *(("gemini", word) for word in ("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "OTHER")),
    *(("gemini", word) for word in ("TOO_MANY_TOOL_CALLS", "MALFORMED_RESPONSE", "ERROR")),
]


@pytest.mark.parametrize(("upstream", "word", "expected"), ENDS)
def test_why_an_answer_ended(upstream: str, word: Any, expected: str) -> None:
    answer, events = ending(upstream, word)
    for found in (whole(upstream, answer), streamed(upstream, events)):
        for dialect, got in found.items():
            assert got.content == ("Hello", "", [])
            assert got.reason == REASONS[dialect][expected]


def test_a_reason_that_is_none_ends_a_whole_answer_only() -> None:
    answer, events = ending("gemini", "FINISH_REASON_UNSPECIFIED")
    for dialect, got in whole("gemini", answer).items():
        assert got.reason == REASONS[dialect]["stop"]
    with pytest.raises(UpstreamBroken, match="incomplete"):
        streamed("gemini", events)


@pytest.mark.parametrize("end", [[], [{"candidates": [], "usageMetadata": {"x": 0}}]])
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("STOP", "STOP", "STOP"), "stop"),
        (("STOP", "STOP", "MAX_TOKENS"), "length"),
        (("STOP", "MAX_TOKENS", "STOP"), "length"),
        (("FINISH_REASON_UNSPECIFIED", "FINISH_REASON_UNSPECIFIED", "STOP"), "stop"),
    ],
)
def test_text_after_a_reason_to_end(words: tuple[str, ...], expected: str, end: Any) -> None:
    events = [ending("gemini", word)[0] for word in words]
    events[1]["usageMetadata"] = {"promptTokenCount": 4, "candidatesTokenCount": 3}
    for dialect, got in streamed("gemini", [*events, *end]).items():
        assert got.content == ("Hello" * 3, "", [])
        assert got.reason == REASONS[dialect][expected]


@pytest.mark.parametrize(
    ("texts", "is_proof"), [(("Hello", ""), True), (("Hello", "!"), False), (("", "Hello"), False)]
)
def test_a_reason_beside_content_proves_no_end(texts: tuple[str, str], is_proof: bool) -> None:
    """A connection that broke behind it may have taken something."""
    words = (None, "STOP") if texts[0] else ("STOP", None)
    candidates = [
        {"content": {"parts": [{"text": text}]}, "finishReason": word}
        for text, word in zip(texts, words, strict=True)
    ]
    reader = EventStream(READERS["gemini"]("main", None))
    reader.feed(stream(*({"candidates": [candidate]} for candidate in candidates)))
    assert (reader.complete, reader.needs_no_more) == (True, is_proof)


@pytest.mark.parametrize(("upstream", "word"), FAILED_ENDS)
def test_an_end_that_reports_a_failure_is_an_error(upstream: str, word: str) -> None:
    answer, events = ending(upstream, word)
    with pytest.raises(UpstreamBroken, match=word):
        whole(upstream, answer)
    with pytest.raises(UpstreamBroken, match=word):
        streamed(upstream, events)


#: an error where an answer, or its first event, should be; and what it means
ERRORS: list[tuple[Any, type[FaregateError]]] = [
    *(({"error": {"message": "no", "code": code}}, InvalidRequest) for code in (400, "400", 422)),
    *(
        ({"error": {"message": "no", "type": kind}}, InvalidRequest)
        for kind in ("invalid_request_error", "validation_error", "BadRequestError")
    ),
    *(
        ({"error": {"message": "no", "status": status}}, InvalidRequest)
        for status in (400, "400", "INVALID_ARGUMENT", "FAILED_PRECONDITION")
    ),
    *(
        ({"error": {"message": "no", "code": code}}, UpstreamOverloaded)
        for code in (429, "429", 503, 529, "slow_down", "rate_limit_exceeded")
    ),
    ({"error": {"message": "no", "status": "UNAVAILABLE"}}, UpstreamOverloaded),
    ({"error": {"message": "no", "status": "NOT_FOUND"}}, UpstreamMisconfigured),
    ({"error": {"message": "no", "type": "permission_error"}}, UpstreamMisconfigured),
    ({"error": {"message": "no", "type": "request_too_large"}}, RequestTooLarge),
    ({"error": {"message": "no", "code": "context_length_exceeded"}}, ContextOverflow),
    ({"error": "prompt is too long: 3 tokens > 2 maximum"}, ContextOverflow),
    ({"object": "error", "message": "no", "type": "BadRequestError", "code": 400}, InvalidRequest),
    ({"type": "BadRequestError", "message": "no"}, InvalidRequest),
    ({"message": "no", "code": 429}, UpstreamOverloaded),
    ({"detail": [{"loc": ["body"], "msg": "no"}], "status_code": 422}, InvalidRequest),
    ([{"error": {"message": "no", "code": 400, "status": "INVALID_ARGUMENT"}}], InvalidRequest),
    *(
        ({"error": error}, UpstreamBroken)
        for error in ("no", 5, True, ["no"], {}, [], {"a": 1}, {"message": 5}, {"code": 1.5})
    ),
    ({"error": 429}, UpstreamOverloaded),
]


def _name(value: Any) -> str:
    return value.__name__ if isinstance(value, type) else json.dumps(value)


@pytest.mark.parametrize("upstream", READERS)
@pytest.mark.parametrize(
    ("error", "expected"),
    ERRORS,
    ids=_name,
)
def test_an_error_in_a_good_answer(
    upstream: str, error: Any, expected: type[FaregateError]
) -> None:
    with pytest.raises(FaregateError) as caught:
        whole(upstream, error)
    assert type(caught.value) is expected
    with pytest.raises(FaregateError) as caught:
        streamed(upstream, [error])
    assert type(caught.value) is expected
    with pytest.raises(UpstreamBroken):
        streamed(upstream, [*BEGUN[upstream], error])


@pytest.mark.parametrize(("error", "expected"), ERRORS, ids=_name)
def test_an_error_in_a_good_chat_answer(error: Any, expected: type[FaregateError]) -> None:
    with pytest.raises(FaregateError) as caught:
        ChatStream(1, None).answer(json.dumps(error).encode())
    assert type(caught.value) is expected
    if isinstance(error, dict):
        first, later = ChatStream(1, None), ChatStream(1, None)
        assert not first.feed(stream(error))
        assert type(first.failure) is expected
        assert later.feed(stream(chunk({"content": "a"}), error))
        assert type(later.failure) is UpstreamBroken


@pytest.mark.parametrize("name", ["chat", *READERS])
@pytest.mark.parametrize("indent", [None, 2])
def test_an_error_that_is_only_called_a_stream(name: str, indent: int | None) -> None:
    reader = ChatStream(1, None) if name == "chat" else EventStream(READERS[name]("main", None))
    body = json.dumps({"error": {"message": "no", "code": 429}}, indent=indent).encode()
    assert not reader.feed(body)
    assert not reader.finish()
    assert type(reader.failure) is UpstreamOverloaded


def test_what_no_event_brought_is_in_the_end() -> None:
    for end in ("completed", "incomplete"):
        got = streamed("responses", [{"type": f"response.{end}", "response": RESPONSE}])
        assert [one.content for one in got.values()] == [PLAIN] * len(DIALECTS)


def test_calls_that_share_an_index_are_as_many_as_were_made() -> None:
    events = with_value(MESSAGE_EVENTS, (10, "index"), 0)
    for event in events:
        if "index" in event:
            event["index"] = 0
    again = [deepcopy(event) for event in events[8:11]]
    again[1]["delta"]["partial_json"] = ""
    got = streamed("messages", [*events[:11], *again, *events[11:]])
    for one in got.values():
        assert one.content == ("Hello", "Hm.", [AT, ("look", {})])


@pytest.mark.parametrize(("reason", "expected"), [("tool_use", {}), ("max_tokens", None)])
def test_a_call_that_was_not_ended(reason: str, expected: Any) -> None:
    """Its arguments are those of an empty object, unless the end cut them off."""
    events = [*MESSAGE_EVENTS[:1], MESSAGE_EVENTS[8], MESSAGE_EVENTS[11], MESSAGE_EVENTS[12]]
    events = with_value(events, (2, "delta", "stop_reason"), reason)
    for one in streamed("messages", events).values():
        assert one.calls == [["look", "{}" if expected == {} else ""]]
