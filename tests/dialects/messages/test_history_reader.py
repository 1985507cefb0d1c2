"""A conversation's messages become turns, calls and results, reasoning, images."""

from typing import Any

import pytest

from gateway.core.errors import UnsupportedParameter
from gateway.core.request import (
    AssistantMessage,
    DocumentPart,
    ImagePart,
    SystemMessage,
    TextPart,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from gateway.dialects.inline import NOT_FETCHED, UNKNOWN_TYPE
from tests.dialects.messages.support import (
    ALICE,
    BOB,
    SEALER,
    assistant,
    call_block,
    parse,
    result_block,
    user,
)

PNG = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aWk="}}
PDF = {
    "type": "document",
    "title": "report.pdf",
    "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
}


def hello(text: str) -> UserMessage:
    return UserMessage((TextPart(text),))


def test_a_system_message_keeps_its_place_but_never_between_calls_and_results() -> None:
    request = parse(
        user("Read it"),
        {"role": "system", "content": [{"type": "text", "text": "Environment"}]},
        assistant(call_block("Read", "toolu_9", path="/a")),
        {"role": "system", "content": "The time is up"},
        user(result_block("toolu_9", "content"), {"type": "text", "text": "Go on"}),
    )

    assert request.messages == (
        hello("Read it"),
        SystemMessage("Environment"),
        AssistantMessage(calls=(ToolCall("toolu_9", "Read", '{"path": "/a"}'),)),
        ToolMessage("toolu_9", (TextPart("content"),)),
        SystemMessage("The time is up"),
        hello("Go on"),
    )


def test_results_follow_the_order_of_their_calls() -> None:
    request = parse(
        user("Go"),
        assistant(
            {"type": "text", "text": "Two at once"}, call_block("A", "a"), call_block("B", "b")
        ),
        user({"type": "text", "text": "First"}, result_block("b", "of b")),
        user(result_block("a", "of a"), {"type": "text", "text": "Second"}),
    )

    assert request.messages[2:] == (
        ToolMessage("a", (TextPart("of a"),)),
        ToolMessage("b", (TextPart("of b"),)),
        hello("First"),
        hello("Second"),
    )


def test_ids_that_repeat_in_a_later_turn_are_paired_within_their_own() -> None:
    request = parse(
        user("Go"),
        assistant(call_block("A", "x0")),
        user(result_block("x0", "one")),
        assistant(call_block("A", "x0")),
        user(result_block("x0", "two")),
    )

    results = [each for each in request.messages if isinstance(each, ToolMessage)]
    assert [each.parts for each in results] == [(TextPart("one"),), (TextPart("two"),)]
    assert request.degraded == []


def test_a_missing_result_is_reported_to_the_model() -> None:
    request = parse(user("Go"), assistant(call_block("A", "a")), user("Never mind"))

    assert request.messages[2] == ToolMessage(
        "a", (TextPart("(no result: the call was interrupted)"),), is_error=True
    )
    assert request.messages[3] == hello("Never mind")
    assert request.degraded == ["tool_use without tool_result"]


def test_a_result_of_no_call_becomes_a_text_of_the_user() -> None:
    request = parse(user("Go"), user(result_block("gone", "42")))

    assert request.messages[1] == UserMessage(
        (TextPart("Result of an unknown tool call:"), TextPart("42"))
    )
    assert request.degraded == ["tool_result without tool_use"]


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("text", (TextPart("text"),)),
        ("", ()),
        (None, ()),
        ([], ()),
        (
            [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            (TextPart("a"), TextPart("b")),
        ),
        ([PNG], (ImagePart("data:image/png;base64,aWk="),)),
        (
            [{"type": "tool_reference", "tool_name": "WebFetch"}],
            (TextPart("Tool WebFetch is now available"),),
        ),
        ([{"type": "browser_state", "url": "x"}], ()),
    ],
)
def test_a_tool_result_may_hold_anything(content: Any, parts: tuple[Any, ...]) -> None:
    request = parse(user("Go"), assistant(call_block("A", "a")), user(result_block("a", content)))

    assert request.messages[2] == ToolMessage("a", parts)


def test_a_failed_call_stays_failed() -> None:
    failed = result_block("a", "no such file") | {"is_error": True}
    request = parse(user("Go"), assistant(call_block("A", "a")), user(failed))

    assert request.messages[2] == ToolMessage("a", (TextPart("no such file"),), is_error=True)


def test_consecutive_assistant_messages_are_one_and_empty_ones_none() -> None:
    request = parse(
        user("Go"),
        assistant({"type": "thinking", "thinking": "Hm.", "signature": ""}),
        assistant("Look. "),
        assistant(call_block("A", "a")),
        user(result_block("a")),
        assistant(""),
        user(""),
        user("Done?"),
    )

    assert request.messages == (
        hello("Go"),
        AssistantMessage("Look. ", "Hm.", (ToolCall("a", "A", "{}"),)),
        ToolMessage("a", (TextPart("done"),)),
        hello("Done?"),
    )


# Reasoning


@pytest.mark.parametrize("signature", ["c2NyaXB0ZWQ=", "", None])
def test_clear_thinking_is_kept_whoever_signed_it(signature: str | None) -> None:
    block = {"type": "thinking", "thinking": "Look first.", "signature": signature}
    request = parse(user("Go"), assistant(block, call_block("A", "a")), user(result_block("a")))

    assert request.messages[1] == AssistantMessage(None, "Look first.", (ToolCall("a", "A", "{}"),))


def test_hidden_thinking_comes_back_for_its_own_account_only() -> None:
    hidden = {
        "type": "thinking",
        "thinking": "",
        "signature": SEALER.seal(ALICE.account_id, b"Look first."),
    }
    conversation = (user("Go"), assistant(hidden, {"type": "text", "text": "I look."}), user("So?"))

    assert parse(*conversation).messages[1] == AssistantMessage("I look.", "Look first.")
    assert parse(*conversation, caller=BOB).messages[1] == AssistantMessage("I look.", None)


def test_redacted_thinking_is_opened_or_dropped() -> None:
    ours = {"type": "redacted_thinking", "data": SEALER.seal(ALICE.account_id, b"Secret.")}
    theirs = {"type": "redacted_thinking", "data": "EmwKAhgBEgy3va3pzix/LafPsn4aDFIT2Xlxh0L5"}
    request = parse(
        user("Go"), assistant(theirs, ours, {"type": "text", "text": "Yes."}), user("So?")
    )

    assert request.messages[1] == AssistantMessage("Yes.", "Secret.")


# Images and documents


def test_images_come_inline() -> None:
    request = parse(user(PNG, {"type": "text", "text": "What is it?"}))

    assert request.messages == (
        UserMessage((ImagePart("data:image/png;base64,aWk="), TextPart("What is it?"))),
    )


@pytest.mark.parametrize(
    "source",
    [
        {"type": "url", "url": "http://169.254.169.254/latest"},
        {"type": "file", "file_id": "file_1"},
        {"type": "base64", "media_type": "image/png"},
    ],
)
def test_images_from_elsewhere_are_refused_by_name(source: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        parse(user({"type": "text", "text": "?"}, {"type": "image", "source": source}))

    assert caught.value.param == "messages.0.content.1.source"


def test_text_documents_are_read_with_their_title() -> None:
    plain = {
        "type": "document",
        "title": "notes.txt",
        "context": "Of Tuesday.",
        "source": {"type": "text", "media_type": "text/plain", "data": "Buy milk."},
        "citations": {"enabled": True},
    }
    custom = {
        "type": "document",
        "source": {"type": "content", "content": [{"type": "text", "text": "Buy bread."}, PNG]},
    }
    request = parse(user(plain, custom))

    assert request.messages == (
        UserMessage(
            (
                TextPart("[document notes.txt]\nOf Tuesday."),
                TextPart("Buy milk."),
                TextPart("[document untitled]"),
                TextPart("Buy bread."),
                ImagePart("data:image/png;base64,aWk="),
            )
        ),
    )
    assert request.degraded == ["citations"]


def test_a_pdf_stays_a_document_until_its_text_is_read() -> None:
    path = "messages.0.content.1.source"

    assert parse(user({"type": "text", "text": "Read"}, PDF)).messages[0] == UserMessage(
        (
            TextPart("Read"),
            TextPart("[document report.pdf]"),
            DocumentPart("", path=path, data="JVBERi0="),
        )
    )


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ({"type": "url", "url": "https://example.test/a.pdf"}, NOT_FETCHED),
        ({"type": "file", "file_id": "file_1"}, NOT_FETCHED),
        ({"type": "base64", "media_type": "application/msword", "data": "aGk="}, UNKNOWN_TYPE),
        ({"type": "base64", "media_type": "application/pdf"}, UNKNOWN_TYPE),
        ({"type": "hologram"}, UNKNOWN_TYPE),
    ],
)
def test_a_document_that_nobody_reads_states_why(source: dict[str, str], problem: str) -> None:
    document = DocumentPart("", path="messages.0.content.0.source", problem=problem)

    assert parse(user({"type": "document", "source": source})).messages[0] == UserMessage(
        (TextPart("[document untitled]"), document)
    )


def test_text_in_base64_is_text() -> None:
    source = {"type": "base64", "media_type": "text/markdown", "data": "IyBo"}

    assert parse(user({"type": "document", "source": source})).messages[0] == UserMessage(
        (TextPart("[document untitled]"), TextPart("# h"))
    )


def test_search_results_become_text() -> None:
    found = {
        "type": "search_result",
        "source": "https://example.test/a",
        "title": "A page",
        "content": [{"type": "text", "text": "Line one"}, {"type": "text", "text": "Line two"}],
    }

    assert parse(user(found)).messages == (
        hello("[search result A page]\nSource: https://example.test/a\n\nLine one\n\nLine two"),
    )
