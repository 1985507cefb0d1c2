"""Repaired messages as the chat dialect writes them. Owns spelling only: the roles and their order
were decided by `adapt.history`."""

from collections.abc import Iterable
from typing import Any

from gateway.core.catalog import Resolution
from gateway.core.profile import Profile
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
from gateway.dialects.adapt.calls import fit_id, repair_arguments
from gateway.dialects.chat.signatures import write_signatures

Object = dict[str, Any]


def write_messages(messages: Iterable[Message], resolution: Resolution) -> list[Object]:
    """One object a message; reasoning of earlier turns only where this one reasons too."""
    return [_write(message, resolution) for message in messages]


def _write(message: Message, resolution: Resolution) -> Object:
    profile = resolution.model.profile
    match message:
        case SystemMessage():
            return {"role": "system", "content": message.text}
        case UserMessage():
            written: Object = {"role": "user", "content": _write_parts(message.parts, profile)}
            return _with_name(written, message.name, profile)
        case ToolMessage():
            return {
                "role": "tool",
                "tool_call_id": fit_id(message.call_id, profile),
                "content": _write_parts(message.parts, profile),
            }
        case AssistantMessage():
            return _write_assistant(message, resolution)


def _write_assistant(message: AssistantMessage, resolution: Resolution) -> Object:
    model, profile = resolution.model, resolution.model.profile
    written: Object = {"role": "assistant", "content": message.text or None}
    if resolution.reasoning and message.reasoning:
        written[profile.reasoning_member] = message.reasoning
    if message.calls:
        written["tool_calls"] = [_write_call(call, profile) for call in message.calls]
    if message.signed_blocks:
        takes_clients = not profile.signatures_refused
        write_signatures(written, message, model.upstream, takes_clients=takes_clients)
    return _with_name(written, message.name, profile)


def _with_name(written: Object, name: str | None, profile: Profile) -> Object:
    if name and profile.message_names:
        written["name"] = name
    return written


def _write_call(call: ToolCall, profile: Profile) -> Object:
    return {
        "id": fit_id(call.id, profile),
        "type": "function",
        "function": {"name": call.name, "arguments": repair_arguments(call.arguments)},
    }


def _write_parts(parts: tuple[Part, ...], profile: Profile) -> str | list[Object]:
    """A single text is a plain string, which every server takes."""
    if len(parts) == 1 and isinstance(parts[0], TextPart):
        return parts[0].text
    return [_write_part(part, profile) for part in parts]


def _write_part(part: Part, profile: Profile) -> Object:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    return {"type": "image_url", "image_url": _write_image(part, profile)}


def _write_image(image: ImagePart, profile: Profile) -> Object:
    if image.detail is None or not profile.takes_image_detail:
        return {"url": image.url}
    return {"url": image.url, "detail": image.detail}
