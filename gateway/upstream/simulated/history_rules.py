"""The refusals of a strict family in `messages`: roles, contents, and tool calls without results.

The wording is the real API's where it is known (reported by its users).
"""

import re
from collections.abc import Collection
from typing import Any

import msgspec

from gateway.upstream.simulated.errors import Refused
from gateway.upstream.simulated.families import Family

Message = dict[str, Any]

_ROLES = ("system", "user", "assistant", "tool")
_MEDIA = {"image_url": "image", "video_url": "video"}
_MEDIA_URL = re.compile(r"(data:(image|video)/[\w.+-]+;base64,.|ms://.)", re.DOTALL)


def check_messages(messages: list[Message], family: Family, *, thinking: bool) -> None:
    """Refuse what Moonshot refuses. Raises `Refused`."""
    for index, message in enumerate(messages):
        if message["role"] not in _ROLES:
            raise Refused("unsupported role ROLE_UNSPECIFIED")
        _check_content(index, message, family)
        calls = message.get("tool_calls")
        if message["role"] == "assistant" and calls:
            _check_calls(calls)
            if thinking and family.wants_reasoning_back and not message.get("reasoning_content"):
                raise Refused(
                    "thinking is enabled but reasoning_content is missing in assistant tool call "
                    f"message at index {index}"
                )
    _check_results(messages)


def _check_content(index: int, message: Message, family: Family) -> None:
    content, role = message.get("content"), message["role"]
    if not content:
        if not _may_be_empty(message, family):
            raise Refused(
                f"Invalid request: the message at position {index} with role '{role}' "
                "must not be empty"
            )
    elif isinstance(content, list):
        for part in content:
            _check_part(part, index, role, family)
    elif not isinstance(content, str):
        raise Refused(f"Invalid request: the message at position {index} has an invalid content")


def _may_be_empty(message: Message, family: Family) -> bool:
    if message["role"] == "assistant":
        return bool(message.get("tool_calls")) or message.get("partial") is True
    return message["role"] == "system" and family.takes_message_tools and bool(message.get("tools"))


def _check_part(part: Any, index: int, role: str, family: Family) -> None:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text":
        if not isinstance(part.get("text"), str) or not part["text"]:
            raise Refused("Invalid request: text content is empty")
    elif kind in _MEDIA and role == "user" and family.sees_images:
        _check_media(part.get(kind), _MEDIA[kind])
    else:
        raise Refused(
            f"the message at position {index} with role '{role}' contains an invalid part type: "
            f"{kind}"
        )


def _check_media(source: Any, medium: str) -> None:
    url = source.get("url") if isinstance(source, dict) else source
    if not isinstance(url, str) or not _MEDIA_URL.match(url):
        raise Refused(f"Invalid request: unsupported {medium} url: {str(url)[:64]}")


def _check_calls(calls: Any) -> None:
    for call in calls if isinstance(calls, list) else [calls]:
        function = call.get("function") if isinstance(call, dict) else None
        call_id = call.get("id") if isinstance(call, dict) else None
        has_id = isinstance(call_id, str) and bool(call_id)
        if not isinstance(function, dict) or not function.get("name") or not has_id:
            raise Refused("Invalid request: a tool call must have an id and a function name")
        try:
            arguments = msgspec.json.decode(function.get("arguments", ""))
        except (ValueError, TypeError):
            arguments = None
        if not isinstance(arguments, dict):
            raise Refused(
                f"Invalid request: the arguments of tool call {call['id']} are not a valid JSON "
                "object"
            )


def _check_results(messages: list[Message]) -> None:
    """Every call has a result right after its message, and every result a call right before."""
    asked: dict[str, None] = {}
    missing: dict[str, None] = {}
    for message in messages:
        if message["role"] == "tool":
            call_id = message.get("tool_call_id")
            if not isinstance(call_id, str) or call_id not in asked:
                raise Refused(f"Invalid request: tool_call_id {call_id} is not found")
            missing.pop(call_id, None)
            continue
        _check_none_missing(missing)
        calls = message.get("tool_calls") if message["role"] == "assistant" else None
        asked = dict.fromkeys(call["id"] for call in calls or ())
        missing = asked.copy()
    _check_none_missing(missing)


def _check_none_missing(call_ids: Collection[str]) -> None:
    if call_ids:
        raise Refused(
            "Invalid request: an assistant message with 'tool_calls' must be followed by tool "
            "messages responding to each 'tool_call_id'. The following tool_call_ids did not have "
            f"response messages: {', '.join(call_ids)}"
        )
