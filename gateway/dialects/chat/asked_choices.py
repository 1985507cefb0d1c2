"""Keeps the choices of a chat answer that its client asked for, and gives them their indexes.

Copilot gives text and calls of one answer of Claude as two choices of a completion. So where the
only choice asked for holds no calls, and the answer ends with some, the others' are its calls. Of a
stream the end is not known when they come: it goes on without them.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw

_decode_members = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_choices = msgspec.json.Decoder(list[dict[str, Raw]]).decode
_decode_calls = msgspec.json.Decoder(list[Raw] | None).decode
_encode = msgspec.json.Encoder().encode


def keep_choices(data: bytes, indexes: Sequence[int | None]) -> bytes:
    """The chunk or completion `data` with those of its choices that have an index here."""
    members: dict[str, Any] = _decode_members(data)
    choices = zip(_decode_choices(members["choices"]), indexes, strict=True)
    kept = [{**choice, "index": index} for choice, index in choices if index is not None]
    return _encode({**members, "choices": kept})


def join_calls(completion: bytes) -> bytes:
    """The `completion` with the calls of all its choices in the first one."""
    members: dict[str, Any] = _decode_members(completion)
    choices: list[dict[str, Any]] = list(_decode_choices(members["choices"]))
    messages = [_decode_members(choice["message"]) for choice in choices]
    given = [_decode_calls(message.get("tool_calls", b"null")) or () for message in messages]
    calls = [call for each in given for call in each]
    choices[0] = {
        **choices[0],
        "finish_reason": "tool_calls",
        "message": {**messages[0], "tool_calls": calls},
    }
    return _encode({**members, "choices": choices})
