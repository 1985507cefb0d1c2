"""Values of an upstream's answer, read for what they hold in any JSON type.

    a list of parts, an object, a number ─▶ text, and reasoning apart
    `"5"`, `5.0` ─▶ a number          any value ─▶ the JSON of arguments

One odd member is not to break an answer, and no text in it is to be lost. Sources: Mistral,
"Reasoning" (parts of `thinking`).
"""

import json
import re
from math import isfinite
from typing import Any

import msgspec

Object = dict[str, Any]

#: of choices, calls, blocks and items
INDEX_MAX = 2**31 - 1
_THOUGHTS = (
    "thinking",
    "think",
    "reasoning",
    "reasoning_text",
    "reasoning.text",
    "reasoning.summary",
)
_THOUGHT_MEMBERS = ("thinking", "think", "text", "reasoning", "content", "summary")
#: spellings of no arguments: PHP knows no empty object, others write null or "" as JSON
_NO_ARGUMENTS = ("", "null", "[]", '""', "None")
#: an empty object before another one
_EMPTY_BEFORE = re.compile(r"\{\s*\}\s*(?=\{)")
#: in place of minus infinity, as vLLM has it
_LOGPROB_MIN = -9999.0
_encode = msgspec.json.Encoder().encode
_decode_any = msgspec.json.Decoder().decode
_decode_text = msgspec.json.Decoder(str).decode
_decode_object = msgspec.json.Decoder(Object).decode


def decode_odd(data: bytes) -> Any:
    """JSON, also where its server checks less than the standard (RFC 8259) wants.

    Half a character becomes U+FFFD, a number that is none null; a byte order mark is left out.
    Raises `ValueError` and `RecursionError` for what is no JSON by that either.
    """
    try:
        return _decode_any(data)
    except ValueError:
        text = data.decode("utf-8-sig", "replace")
        value = json.loads(text, parse_constant=_read_constant, parse_float=_read_float)
        whole = json.dumps(value, ensure_ascii=False).encode("utf-16-le", "surrogatepass")
        return _decode_any(whole.decode("utf-16-le", "replace"))


def _read_constant(name: str) -> float | None:
    return _LOGPROB_MIN if name == "-Infinity" else None


def _read_float(text: str) -> float | None:
    number = float(text)
    return number if isfinite(number) else None


def read_parts(value: Any) -> tuple[str, str]:
    """Text and reasoning of content in any shape."""
    if isinstance(value, list):
        read = [read_parts(part) for part in value]
        return "".join(text for text, _ in read), "".join(thought for _, thought in read)
    if not isinstance(value, dict):
        return text_of(value), ""
    kind = value.get("type")
    if kind in _THOUGHTS:
        inner = next((value[name] for name in _THOUGHT_MEMBERS if value.get(name)), "")
        return "", "".join(read_parts(inner))
    for name in ("text", "refusal", "content"):
        if name in value:
            inner = value[name]
            # The Assistants API has the text of a part as an object.
            is_held = isinstance(inner, dict) and "value" in inner
            return read_parts(inner["value"] if is_held else inner)
    # One without a type is an answer in JSON that was decoded; an unknown part has no text.
    return ("", "") if isinstance(kind, str) or not value else (_encode(value).decode(), "")


def text_of(value: Any) -> str:
    """A string, or the text of what else holds something; nothing for null, false, [] and {}."""
    if isinstance(value, str):
        return value
    return _encode(value).decode() if value or type(value) in (int, float) else ""


def arguments_of(value: Any) -> str:
    """The arguments of a call: text as it is, nothing for null, false and [], else their JSON."""
    return "{}" if value == {} else text_of(value)


def first_arguments(value: Any) -> str:
    """The arguments of a whole call, or the first piece of them.

    Nothing for the spellings of none, the object that was written as JSON twice, and the object
    behind an empty one: some servers begin with that and mean none yet.
    """
    text = arguments_of(value)
    if text[:1] == "{":
        empty = _EMPTY_BEFORE.match(text)
        return text[empty.end() :] if empty else text
    written = text.strip()
    if written in _NO_ARGUMENTS:
        return ""
    if written[0] == '"':
        try:
            inner = _decode_text(written)
            _decode_object(inner)
        except (ValueError, RecursionError):
            return text
        return inner
    return text


def number_of(value: Any, most: int = INDEX_MAX) -> int | None:
    """A number that may be written as text or as `1.0`; None for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:12])
    elif isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value <= most else None


def object_of(value: Any) -> Object:
    """The object, or an empty one."""
    return value if isinstance(value, dict) else {}


def listed(value: Any, *members: str) -> Any:
    """The value as a list, where it is an object: one with a member of `members` is the only item,
    any other one holds the items by their places."""
    if not isinstance(value, dict):
        return value
    return [value] if any(name in value for name in members) else list(value.values())


def objects_in(value: Any) -> list[Object]:
    """The objects in a value that should be a list of objects."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
