"""Thinking on its way back to the upstream that thought it.

Owns the rule: what an upstream signed goes back to that upstream only, as it came. Source:
Anthropic API reference, "Extended thinking", "Preserving thinking blocks".
"""

from typing import Any

from gateway.core.request import AssistantMessage, SignedReasoning

Object = dict[str, Any]


def write_signed_reasoning(
    message: AssistantMessage, upstream: str, takes_unsigned: bool
) -> list[Object]:
    """The blocks that `upstream` signed; where there are none, the bare reasoning if it may be."""
    signed = [
        write_signed_block(each) for each in message.signed_blocks if each.upstream == upstream
    ]
    if signed or not takes_unsigned or not message.reasoning:
        return signed
    return [{"type": "thinking", "thinking": message.reasoning, "signature": ""}]


def write_signed_block(signed_block: SignedReasoning) -> Object:
    """One block as it came."""
    if signed_block.is_redacted:
        return {"type": "redacted_thinking", "data": signed_block.signature}
    return {"type": "thinking", "thinking": signed_block.text, "signature": signed_block.signature}
