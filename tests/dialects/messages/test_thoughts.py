"""Thinking that an upstream signed, on its way through a Messages client and back."""

from typing import Any

import pytest

from gateway.core.events import CallStarted, Event, Finished, Reasoning, Signature, Text
from gateway.core.request import AssistantMessage, SignedReasoning
from tests.dialects.messages.support import (
    ALICE,
    BOB,
    SEALER,
    answer,
    assistant,
    parse,
    read_message,
    stream,
    user,
)

SIGNED = Signature("abc", "main")
REDACTED = Signature("xyz", "main", is_redacted=True)
EVENTS: list[Event] = [
    Reasoning("Look "),
    Reasoning("first."),
    SIGNED,
    REDACTED,
    Reasoning("Then"),
    Signature("def", "main"),
    Reasoning("act."),
    Text("I look."),
    Signature("ghi", "main"),
    CallStarted(0, "a", "look"),
    Finished("tool_calls"),
]
THOUGHTS = (
    SignedReasoning("Look first.", "abc", "main"),
    SignedReasoning("", "xyz", "main", is_redacted=True),
    SignedReasoning("Then", "def", "main"),
    SignedReasoning("", "ghi", "main"),
)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("thinking", [{}, {"thinking": {"type": "adaptive", "display": "omitted"}}])
def test_every_signature_has_its_block_and_comes_back(
    streamed: bool, thinking: dict[str, Any]
) -> None:
    chunks: list[list[Event]] = [[event] for event in EVENTS]
    message = read_message(stream(*chunks, **thinking)) if streamed else answer(*EVENTS, **thinking)
    content = message["content"]
    assert [block["type"] for block in content] == [
        "thinking",
        "redacted_thinking",
        "thinking",
        "thinking",
        "text",
        "thinking",
        "tool_use",
    ]
    assert content[0]["thinking"] == ("" if thinking else "Look first.")
    assert content[3]["signature"].startswith("tg1_"), "nobody signed it"
    turn = assistant(*({k: v for k, v in b.items() if k != "_json"} for b in content[:6]))
    mine = parse(user("Go"), turn, user("So?")).messages[1]
    assert isinstance(mine, AssistantMessage)
    assert mine.signed_blocks == THOUGHTS
    assert mine.reasoning == "Look first.\n\nThen\n\nact."
    theirs = parse(user("Go"), turn, user("So?"), caller=BOB).messages[1]
    assert isinstance(theirs, AssistantMessage)
    assert theirs.signed_blocks == ()


def test_messages_in_a_row_keep_all_their_signed_blocks() -> None:
    def block(signed_block: SignedReasoning) -> dict[str, str]:
        signature = SEALER.seal_reasoning(ALICE.account_id, signed_block)
        return {"type": "thinking", "thinking": signed_block.text, "signature": signature}

    first, second = THOUGHTS[0], THOUGHTS[2]
    turns = [assistant(block(each), {"type": "text", "text": "Yes."}) for each in (first, second)]
    assert parse(user("Go"), *turns, user("So?")).messages[1] == AssistantMessage(
        "Yes.Yes.", "Look first.\n\nThen", signed_blocks=(first, second)
    )


@pytest.mark.parametrize(
    ("events", "whole", "streamed"),
    [
        ([Text("Hi."), REDACTED], ["redacted_thinking", "text"], ["text"]),
        (
            [Text("Hi."), REDACTED, CallStarted(0, "a", "look")],
            ["text", "redacted_thinking", "tool_use"],
            ["text", "redacted_thinking", "tool_use"],
        ),
        (
            [Text("Hi."), REDACTED, Text("Ho."), REDACTED],
            ["redacted_thinking", "redacted_thinking", "text"],
            ["text"],
        ),
    ],
    ids=["end", "call", "texts"],
)
def test_an_answer_ends_in_its_text_and_not_in_the_signature_of_it(
    events: list[Event], whole: list[str], streamed: list[str]
) -> None:
    """Claude Code shows the last block as the answer."""
    events = [*events, Finished("stop")]
    assert [block["type"] for block in answer(*events)["content"]] == whole
    read = read_message(stream(*([event] for event in events)))
    assert [block["type"] for block in read["content"]] == streamed
