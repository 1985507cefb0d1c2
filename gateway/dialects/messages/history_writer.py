"""Repaired messages as the Messages dialect writes them: turns of a user and an assistant.

Owns spelling only. Instructions at the beginning become `system`; a later one stays where it is, in
the user's turn, since the dialect has no other place for it. Source: Anthropic API reference,
"Messages", `messages` and `system`.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

from gateway.core.request import (
    AssistantMessage,
    ImagePart,
    Message,
    Part,
    SystemMessage,
    TextPart,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from gateway.dialects.adapt.calls import encode_arguments
from gateway.dialects.adapt.history import NO_OUTPUT
from gateway.dialects.messages.call_ids import WIRE_ID, encode_call_id

Object = dict[str, Any]

_DATA_URL = re.compile(r"data:([^;,]+);base64,", re.IGNORECASE)
_BEGINNING = "(the conversation goes on)"


#: the thinking blocks of a message
Think = Callable[[AssistantMessage], list[Object]]


def write_conversation(messages: Iterable[Message], think: Think) -> tuple[list[str], list[Object]]:
    """The texts of `system`, and the turns, which alternate and begin with the user's.

    Instructions alone are the user's turn, for there has to be one.
    """
    system: list[str] = []
    turns: list[Object] = []
    for message in messages:
        if isinstance(message, SystemMessage) and not turns:
            system.append(message.text)
            continue
        role = "assistant" if isinstance(message, AssistantMessage) else "user"
        blocks = _blocks(message, think)
        if not turns and role == "assistant":
            turns.append({"role": "user", "content": [_text(_BEGINNING)]})
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
    if not turns and (asked := [_text(text) for text in system if not text.isspace()]):
        return [], [{"role": "user", "content": asked}]
    if turns and turns[-1]["role"] == "assistant":
        last = turns[-1]["content"][-1]
        if last["type"] == "text":  # a last text must not end in white space
            last["text"] = last["text"].rstrip() or "…"
    return system, turns


def _blocks(message: Message, think: Think) -> list[Object]:
    match message:
        case SystemMessage():
            return [_text(f"<system>\n{message.text}\n</system>")]
        case UserMessage():
            return [_part(part) for part in message.parts if not _is_blank(part)]
        case ToolMessage():
            result = {"type": "tool_result", "tool_use_id": _call_id(message.call_id)}
            shown = [_part(part) for part in message.parts if not _is_blank(part)]
            return [{**result, "content": shown or [_text(NO_OUTPUT)]}]
        case AssistantMessage():
            return _assistant_blocks(message, think)


def _assistant_blocks(message: AssistantMessage, think: Think) -> list[Object]:
    blocks = think(message)
    if message.text and not message.text.isspace():
        blocks.append(_text(message.text))
    return blocks + [_call(call) for call in message.calls]


def _call(call: ToolCall) -> Object:
    arguments = encode_arguments(call.arguments)
    return {"type": "tool_use", "id": _call_id(call.id), "name": call.name, "input": arguments}


def _call_id(call_id: str) -> str:
    """An id in the dialect's alphabet; one from elsewhere is written in it."""
    return call_id if WIRE_ID.fullmatch(call_id) else encode_call_id(call_id)


def _part(part: Part) -> Object:
    if isinstance(part, ImagePart):
        found = _DATA_URL.match(part.url)
        media_type = found.group(1) if found else "image/png"
        data = part.url[found.end() :] if found else part.url
        source = {"type": "base64", "media_type": media_type, "data": data}
        return {"type": "image", "source": source}
    return _text(part.text)


def _is_blank(part: Part) -> bool:
    return isinstance(part, TextPart) and not part.text.strip()


def _text(text: str) -> Object:
    return {"type": "text", "text": text}
