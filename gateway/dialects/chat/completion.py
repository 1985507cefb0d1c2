"""A whole answer for a chat client: the upstream's bytes, except the model, the usage and repairs.

    members ── choices that need no repair ──▶ as they came
       └────── other choices ──▶ decoded, repaired

Must never decode more than the choices, and those only where something in them is to be changed.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from gateway.core.errors import UpstreamBroken
from gateway.core.events import Usage
from gateway.dialects.chat.repair import repair_finish, repair_message
from gateway.dialects.chat.tables import write_usage
from gateway.dialects.odd_values import objects_in


class _KeptFunction(Struct, gc=False):
    name: Annotated[str, Meta(min_length=1)]
    #: an object, and no empty one that another may follow
    arguments: Annotated[str, Meta(pattern=r"^\{(?!\s*\}\s*\S)")]


class _KeptCall(Struct, gc=False):
    id: Annotated[str, Meta(min_length=1)]
    type: Literal["function"]
    function: _KeptFunction


class _KeptMessage(Struct, gc=False):
    role: Literal["assistant"]
    content: str | None
    tool_calls: Annotated[list[_KeptCall], Meta(min_length=1)] | UnsetType = UNSET
    function_call: None = None
    reasoning: Raw | UnsetType = UNSET
    reasoning_details: Raw | UnsetType = UNSET


class _KeptChoice(Struct, gc=False):
    message: _KeptMessage
    finish_reason: Literal["stop", "length", "tool_calls", "content_filter"]
    usage: Raw | UnsetType = UNSET


_decode_members = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_choices = msgspec.json.Decoder(list[_KeptChoice]).decode
_decode_any = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def write_completion(data: bytes, usage: Usage | None, model: str, *, legacy: bool) -> bytes:
    """The completion `data` for a client that asked for `model`."""
    try:
        if not data.isascii():
            data.decode()  # what stays raw was never looked into
        members: dict[str, Any] = _decode_members(data)
        members["model"] = model
        if usage is not None:
            members["usage"] = write_usage(usage)
        else:
            members.pop("usage", None)
        choices = members.get("choices", b"[]")
        if legacy or not _is_in_order(choices):
            members["choices"] = _repair(_decode_any(choices), legacy)
        return _encode(members)
    except (ValueError, RecursionError):
        raise UpstreamBroken("The upstream sent something that is no answer.") from None


def _is_in_order(choices: bytes) -> bool:
    """Return True where nothing in them is to be changed."""
    try:
        read = _decode_choices(choices)
    except (ValueError, RecursionError):
        return False
    for choice in read:
        message = choice.message
        if not (choice.usage is message.reasoning is message.reasoning_details is UNSET):
            return False
        if message.tool_calls is UNSET:
            continue
        ids = {call.id for call in message.tool_calls}
        if choice.finish_reason == "stop" or len(ids) < len(message.tool_calls):
            return False
    return True


def _repair(choices: Any, legacy: bool) -> Any:
    for choice in objects_in(choices):
        choice.pop("usage", None)
        message = choice.get("message")
        reason = choice.get("finish_reason")
        called = isinstance(message, dict) and repair_message(message, legacy, reason)
        choice["finish_reason"] = repair_finish(reason, called, legacy)
    return choices
