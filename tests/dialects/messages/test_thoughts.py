"""Thinking that an upstream signed, on its way through a Messages client and back."""

from typing import Any

import pytest

from gateway.core.events import CallStarted, Event, Finished, Reasoning, Signed, Text
from gateway.core.request import AssistantMessage, Thought
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

SIGNED = Signed("abc", "main")
REDACTED = Signed("xyz", "main", is_redacted=True)
EVENTS: list[Event] = [
    Reasoning("Look "),
    Reasoning("first."),
    SIGNED,
    REDACTED,
    Reasoning("Then"),
    Signed("def", "main"),
    Reasoning("act."),
    Text("I look."),
    Signed("ghi", "main"),
    CallStarted(0, "a", "look"),
    Finished("tool_calls"),
]
THOUGHTS = (
    Thought("Look first.", "abc", "main"),
    Thought("", "xyz", "main", is_redacted=True),
    Thought("Then", "def", "main"),
    Thought("", "ghi", "main"),
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
    assert mine.thoughts == THOUGHTS
    assert mine.reasoning == "Look first.\n\nThen\n\nact."
    theirs = parse(user("Go"), turn, user("So?"), caller=BOB).messages[1]
    assert isinstance(theirs, AssistantMessage)
    assert theirs.thoughts == ()


def test_messages_in_a_row_keep_all_their_thoughts() -> None:
    def block(thought: Thought) -> dict[str, str]:
        signature = SEALER.seal_thought(ALICE.account_id, thought)
        return {"type": "thinking", "thinking": thought.text, "signature": signature}

    first, second = THOUGHTS[0], THOUGHTS[2]
    turns = [assistant(block(each), {"type": "text", "text": "Yes."}) for each in (first, second)]
    assert parse(user("Go"), *turns, user("So?")).messages[1] == AssistantMessage(
        "Yes.Yes.", "Look first.\n\nThen", thoughts=(first, second)
    )
