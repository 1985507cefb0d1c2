"""Thinking that an upstream signed: who can read it, and when a tool loop can think on."""

from typing import Any

import pytest

from gateway.core.catalog import Catalog
from gateway.core.request import (
    AssistantMessage,
    Message,
    ReasoningChoice,
    Request,
    SignedReasoning,
    SystemMessage,
    TextPart,
    ToolCall,
    ToolMessage,
    UserMessage,
    can_think_on,
)
from gateway.core.seal import Sealer
from gateway.core.spec import GatewayFleetSpec, ModelSpec, Pricing, UpstreamSpec

SEALER = Sealer(b"k" * 32)
THOUGHT = SignedReasoning("Hm.", "abc", "main")
ASK = UserMessage((TextPart("Look"),))
CALL = AssistantMessage(calls=(ToolCall("a", "look", "{}"),))
THOUGHTFUL = AssistantMessage(calls=CALL.calls, signed_blocks=(THOUGHT,))
RESULT = ToolMessage("a", (TextPart("it"),))
ANSWER = AssistantMessage("Yes.")


@pytest.mark.parametrize(
    "signed_block", [THOUGHT, SignedReasoning("", "xyz", "main", is_redacted=True)]
)
def test_a_sealed_signed_block_opens_for_its_account_only(signed_block: SignedReasoning) -> None:
    sealed = SEALER.seal_reasoning(1, signed_block)
    assert "abc" not in sealed
    assert SEALER.open_reasoning(1, sealed) == signed_block
    assert SEALER.open_reasoning(2, sealed) is None
    assert Sealer(b"x" * 32).open_reasoning(1, sealed) is None
    assert SEALER.open_reasoning(1, sealed[:-2]) is None


def test_sealed_text_is_no_signed_block_and_a_signed_block_no_text() -> None:
    signed_block, text = SEALER.seal_reasoning(1, THOUGHT), SEALER.seal(1, b"Hm.")
    assert SEALER.open(1, signed_block) is None
    assert SEALER.open_reasoning(1, text) is None
    assert SEALER.open_reasoning(1, text.replace("tg1_", "tgt1_")) is None
    assert SEALER.open(1, signed_block.replace("tgt1_", "tg1_")) is None


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ((ASK,), True),
        ((ASK, ANSWER), True),
        ((ASK, CALL, RESULT), False),
        ((ASK, THOUGHTFUL, RESULT), True),
        ((ASK, THOUGHTFUL, RESULT, CALL, RESULT), True),
        ((ASK, THOUGHTFUL, RESULT, ASK, CALL, RESULT, RESULT, SystemMessage("Hurry.")), True),
        ((ASK, THOUGHTFUL, RESULT, ANSWER, ASK), True),
        ((ASK, THOUGHTFUL, RESULT, ANSWER, ASK, CALL, RESULT), False),
        ((ASK, CALL, RESULT, ANSWER, ASK), True),
        ((RESULT,), False),
    ],
)
def test_when_a_loop_can_think_on(messages: tuple[Message, ...], expected: bool) -> None:
    assert can_think_on(messages, "main") is expected


def test_the_thinking_of_another_upstream_is_none() -> None:
    assert not can_think_on((ASK, THOUGHTFUL, RESULT), "other")


@pytest.mark.parametrize(
    ("dialect", "upstream_model", "is_manual", "messages", "reasons"),
    [
        ("messages", "claude-new", True, (ASK, CALL, RESULT), False),
        ("messages", "claude-new", True, (ASK, THOUGHTFUL, RESULT), True),
        ("messages", "claude-new", False, (ASK, CALL, RESULT), True),
        ("messages", "kimi-k2.6", True, (ASK, CALL, RESULT), True),
        ("chat", "claude-new", True, (ASK, CALL, RESULT), True),
        ("responses", "gpt-5.1", True, (ASK, CALL, RESULT), True),
    ],
)
def test_a_loop_that_lost_its_thinking_goes_on_without_and_pays_without(
    dialect: Any, upstream_model: str, is_manual: bool, messages: Any, reasons: bool
) -> None:
    fleet = GatewayFleetSpec(
        pricing=Pricing(chat_credits_per_message=2, chat_credits_reasoning_surcharge=3),
        models=[ModelSpec(id="model", upstream="main", upstream_model=upstream_model)],
        upstreams=[UpstreamSpec(name="main", url="https://example.com/v1", dialect=dialect)],
    )
    wish = ReasoningChoice(True, is_manual=is_manual)
    resolution = Catalog(fleet).resolve(Request("model", messages, reasoning=wish))
    assert resolution.reasoning is reasons
    assert resolution.price == (5 if reasons else 2)
