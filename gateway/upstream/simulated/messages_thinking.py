"""Thinking as Anthropic signs it, and what it refuses of thinking that comes back.

A signature fits one text only. In manual mode the turn that began a tool loop has to begin with
thinking; in adaptive mode it need not. Sources: Anthropic, "Extended thinking" and "Adaptive
thinking", "Validation changes"; the wording is the API's own.
"""

from base64 import b64encode
from hashlib import sha256
from typing import Any

from gateway.upstream.simulated.errors import Refused

Turn = dict[str, Any]

_KINDS = ("thinking", "redacted_thinking")


def sign(text: str) -> str:
    """The signature of a thinking block with this text."""
    return b64encode(sha256(b"simulated" + text.encode()).digest()).decode()


def check_thinking(turns: list[Turn], *, manual: bool) -> None:
    """Refuse thinking that was changed or lost. The turns are known to be well-formed."""
    for index, turn in enumerate(turns):
        for position, block in enumerate(blocks_of(turn["content"])):
            if block["type"] == "thinking" and block.get("signature") != sign(block["thinking"]):
                raise Refused(
                    f"messages.{index}.content.{position}: Invalid `signature` in `thinking` block"
                )
    beginning = _loop_began(turns)
    if manual and beginning is not None:
        first = blocks_of(turns[beginning]["content"])[0]["type"]
        if first not in _KINDS:
            raise Refused(
                f"messages.{beginning}.content.0.type: Expected `thinking` or `redacted_thinking`, "
                f"but found `{first}`. When `thinking` is enabled, a final `assistant` message "
                "must start with a thinking block (preceeding the lastmost set of `tool_use` and "
                "`tool_result` blocks)."
            )


def _loop_began(turns: list[Turn]) -> int | None:
    """The index of the turn that began the tool loop under way."""
    index = len(turns) - 1
    while index > 0 and any(
        block["type"] == "tool_result" for block in blocks_of(turns[index]["content"])
    ):
        index -= 2
    return None if index == len(turns) - 1 else index + 1


def blocks_of(content: Any) -> list[Turn]:
    """The blocks of a turn's content; a text is one of them."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else content
