"""Repaired messages as the items of a Responses input.

Owns spelling only. Instructions at the beginning become `instructions`; a later one stays where it
is. Nothing is stored, so an item's id means nothing. Source: OpenAI API reference, "Create a model
response", `input`, and "Reasoning models", "Encrypted reasoning items".
"""

from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Any

from gateway.core.request import (
    AssistantMessage,
    ImagePart,
    Message,
    Part,
    SignedReasoning,
    SystemMessage,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from gateway.dialects.adapt.calls import repair_arguments, shorten_id
from gateway.dialects.responses.tables import CALL_ID_LENGTH_MAX

Object = dict[str, Any]


#: the reasoning items of a message
Think = Callable[[AssistantMessage], list[Object]]


def write_conversation(messages: Iterable[Message], think: Think) -> tuple[list[str], list[Object]]:
    """The texts of `instructions`, and the items; nothing but instructions are items."""
    instructions: list[str] = []
    items: list[Object] = []
    for message in messages:
        if isinstance(message, SystemMessage) and not items:
            instructions.append(message.text)
        else:
            items += _items(message, think)
    if not items:
        return [], [_message("system", [_text(text)]) for text in instructions]
    return instructions, items


def write_reasoning(message: AssistantMessage, upstream: str, takes_open: bool) -> list[Object]:
    """The reasoning that `upstream` sealed, as it came; where there is none, the bare reasoning if
    it may be."""
    sealed = [write_sealed(each) for each in message.signed_blocks if each.upstream == upstream]
    if sealed or not takes_open or not message.reasoning:
        return sealed
    # Engines insist on an id.
    item = {"type": "reasoning", "id": _digest("rs", message.reasoning)}
    return [{**item, "summary": _summary(message.reasoning)}]


def write_sealed(signed_block: SignedReasoning) -> Object:
    """One reasoning item as it came."""
    summary = _summary(signed_block.text)
    return {"type": "reasoning", "summary": summary, "encrypted_content": signed_block.signature}


def _summary(text: str) -> list[Object]:
    return [{"type": "summary_text", "text": text}] if text else []


def _items(message: Message, think: Think) -> list[Object]:
    match message:
        case SystemMessage():
            return [_message("system", [_text(message.text)])]
        case UserMessage():
            return [_message("user", [_part(part) for part in message.parts])]
        case ToolMessage():
            output = "\n".join(
                part.text for part in message.parts if not isinstance(part, ImagePart)
            )
            result = {"type": "function_call_output", "call_id": _call_id(message.call_id)}
            return [{**result, "output": output}]
        case AssistantMessage():
            return [*think(message), *_answer_item(message), *map(_call, message.calls)]


def _answer_item(message: AssistantMessage) -> list[Object]:
    if not message.text:
        return []
    written = _message("assistant", [{"type": "output_text", "text": message.text}])
    return [written | {"phase": message.phase} if message.phase else written]


def _message(role: str, content: list[Object]) -> Object:
    return {"type": "message", "role": role, "content": content}


def _call(call: ToolCall) -> Object:
    return {
        "type": "function_call",
        "call_id": _call_id(call.id),
        "name": call.name,
        "arguments": repair_arguments(call.arguments),
    }


def _call_id(call_id: str) -> str:
    return shorten_id(call_id, CALL_ID_LENGTH_MAX)


def _digest(prefix: str, text: str) -> str:
    return f"{prefix}_{sha256(text.encode()).hexdigest()[:24]}"


def _part(part: Part) -> Object:
    if isinstance(part, ImagePart):
        return {"type": "input_image", "image_url": part.url, "detail": part.detail or "auto"}
    return _text(part.text)


def _text(text: str) -> Object:
    return {"type": "input_text", "text": text}
