"""Strict, bounded JSON for every dialect: every body of a client becomes a value or a 400.

Owns the one place where a decoder's complaint becomes a sentence with the field's path. Must never
raise anything but `InvalidRequest` for a client's bytes: no JSON, no UTF-8, NaN, lone surrogates,
numbers out of range, endless nesting. Of a member that is repeated the last value counts, as RFC
8259 allows. A body that would make too many values is refused before any is made.
"""

import re
from collections.abc import Iterable
from functools import cache
from typing import Any, TypeVar

import msgspec
from msgspec import Raw

from gateway.core.errors import InvalidRequest
from gateway.dialects.values import check_values

T = TypeVar("T")

_ENCODER = msgspec.json.Encoder()
_read_members = msgspec.json.Decoder(dict[str, Raw]).decode

#: levels of nesting that a part leaves to the JSON it is put into, and to a deeper stack
_SPARE_LEVELS = 200

#: "Expected `int`, got `str` - at `$.messages[0].content`"
_PATH = re.compile(r" - at (?:`key` in )?`\$([^`]*)`$")
_EXPECTED = re.compile(
    r"^Expected `([^`]+)`( [<>=].*| matching .*| of length .*)?(?:, got `(\w+)`)?$"
)
#: the characters that show where an object ends; an escape takes the character behind it along
_STRUCTURE = re.compile(r'\\.?|["{}\[\]]', re.DOTALL)
#: a body that ends some bytes behind half of a pair, which the decoder takes for cut off
_HALF_PAIR_AT_END = re.compile(rb"(?<!\\)(?:\\\\)*\\u[dD][89abAB][0-9a-fA-F]{2}.{0,5}\Z", re.DOTALL)
_MISSING = re.compile(r"^Object missing required field `([^`]+)`$")

_NAMES = {
    "object": "an object",
    "array": "an array",
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "a boolean",
    "null": "null",
}


@cache
def _decoder(type: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(type)


def decode(body: bytes, type: type[T]) -> T:
    """Decode a request body into `type`, a `msgspec.Struct` that ignores unknown members.

    Raises `InvalidRequest`; its `param` is the path of the field (`messages.0.content`), None
    where the body is not JSON at all. Raises `RequestTooLarge` for too many values.
    """
    check_values(body)
    try:
        decoder = _decoder(type)  # type: ignore[arg-type]  # a type is hashable; mypy: not `type[T]`
        value: T = decoder.decode(body)
    except (ValueError, RecursionError) as error:
        if "truncated" in str(error) and _HALF_PAIR_AT_END.search(body[-32:]):
            error = ValueError("JSON is malformed: unexpected end of escaped utf-16 surrogate pair")
        raise _complaint(error) from None
    return value


def decode_if_fit(body: bytes, type: type[T]) -> T | None:
    """Decode a request body into a narrower type than clients may send; None where it does not fit.

    Raises `RequestTooLarge` as `decode` does.
    """
    check_values(body)
    try:
        value: T = _decoder(type).decode(body)  # type: ignore[arg-type]  # as in `decode`
    except (ValueError, RecursionError):
        return None
    return value


def convert(value: Any, type: type[T], path: str) -> T:
    """Turn decoded JSON found at `path` into `type`; raises `InvalidRequest` as `decode` does."""
    try:
        converted: T = msgspec.convert(value, type)
    except (ValueError, RecursionError) as error:
        raise _complaint(error, path) from None
    return converted


def encode(value: Any) -> bytes:
    """Encode what came from a client; raises `InvalidRequest` where it nests too deeply."""
    try:
        return _ENCODER.encode(value)
    except RecursionError:
        raise InvalidRequest("The request body is nested too deeply.") from None
    except (ValueError, OverflowError):
        raise InvalidRequest("The request body holds a value that JSON cannot carry.") from None


def pick_members(data: bytes, names: Iterable[str]) -> bytes:
    """The object that holds those of the members alone, as they were written."""
    members = _read_members(data)
    return _ENCODER.encode({name: members[name] for name in names if name in members})


def encode_part(value: Any) -> Raw:
    """Encode what came from a client and is put into other JSON later, where nothing may fail.

    How deep JSON can nest depends on the depth of the stack, so this leaves some room. Raises
    `InvalidRequest` as `encode` does.
    """
    encoded = encode(value)
    if encoded.count(b"[") + encoded.count(b"{") < _SPARE_LEVELS:
        return Raw(encoded)
    for _ in range(_SPARE_LEVELS):
        value = [value]
    return Raw(encode(value)[_SPARE_LEVELS:-_SPARE_LEVELS])


#: raises `ValueError` or `RecursionError` for what is not the JSON of an object; its members are
#: read too, as servers refuse a number that is out of range wherever it stands
read_object = msgspec.json.Decoder(dict[str, Any]).decode


def encode_object(text: str) -> bytes:
    """Text that is the JSON of an object, ready to be put into other JSON; nothing of it is kept.

    Raises as `read_object` does, and `RequestTooLarge` for too many values.
    """
    data = text.encode()
    check_values(data)
    if data.count(b"[") + data.count(b"{") < _SPARE_LEVELS:
        read_object(data)
    elif is_part(data):
        _read_members(data)
    else:
        raise ValueError("no part of JSON")
    return data


def is_part(data: bytes) -> bool:
    """True if this is JSON that can be put into other JSON, wherever the stack is."""
    try:
        msgspec.json.decode(b"[" * _SPARE_LEVELS + data + b"]" * _SPARE_LEVELS)
    except (ValueError, RecursionError):
        return False
    return True


def _complaint(error: Exception, path: str = "") -> InvalidRequest:
    if isinstance(error, RecursionError):
        return InvalidRequest("The request body is nested too deeply.", param=path or None)
    if isinstance(error, UnicodeDecodeError):
        return InvalidRequest("The request body is not valid UTF-8.")
    if not isinstance(error, msgspec.ValidationError):
        return InvalidRequest(f"The request body is not valid JSON: {error}.")
    return _mismatch(str(error), path)


def _mismatch(complaint: str, path: str) -> InvalidRequest:
    """A sentence and a path from msgspec's validation message."""
    found = _PATH.search(complaint)
    if found is not None:
        complaint = complaint[: found.start()]
        path = _join(path, found.group(1))
    missing = _MISSING.match(complaint)
    if missing is not None:
        path = _join(path, missing.group(1))
        return InvalidRequest(f"Missing required parameter: '{path}'.", param=path)
    expected = _EXPECTED.match(complaint)
    if expected is not None:
        complaint = _expectation(*expected.groups())
    if not path:
        return InvalidRequest(f"The request body is invalid: {complaint}.")
    return InvalidRequest(f"Invalid value for '{path}': {complaint}.", param=path)


def _join(path: str, tail: str) -> str:
    """`messages` and `[0].content[...]` become `messages.0.content`."""
    tail = tail.replace("[...]", "").replace("[", ".").replace("]", "").strip(".")
    return f"{path}.{tail}" if path and tail else path or tail


def _expectation(kinds: str, bound: str | None, got: str | None) -> str:
    wanted = [_NAMES.get(kind, kind) for kind in kinds.split(" | ") if kind != "null"]
    sentence = "expected " + (" or ".join(wanted) or "null")
    if bound:
        sentence += bound.replace("`", "'")
    if got:
        sentence += f", got {_NAMES.get(got, got)}"
    return sentence


class GrowingObject:
    """Finds out when a JSON object that comes in pieces is whole; each piece is looked at once."""

    __slots__ = ("_depth", "_in_string", "_is_closed", "_is_escaped", "_pieces")

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = self._is_escaped = self._is_closed = False
        self._pieces: list[str] = []

    def is_whole_with(self, piece: str) -> bool:
        """True if the object is whole with the next piece. Text that closes and is no object never
        becomes one."""
        if self._is_closed:
            return False
        self._pieces.append(piece)
        self._look_at(piece)
        if not self._is_closed:
            return False
        try:
            msgspec.json.decode("".join(self._pieces), type=dict)
        except (ValueError, RecursionError):
            return False
        return True

    def _look_at(self, piece: str) -> None:
        if self._is_escaped and piece:
            piece, self._is_escaped = piece[1:], False
        for found in _STRUCTURE.finditer(piece):
            mark = found[0]
            if mark[0] == "\\":
                self._is_escaped = len(mark) == 1
            elif mark == '"':
                self._in_string = not self._in_string
            elif not self._in_string:
                self._depth += 1 if mark in "{[" else -1
                self._is_closed = self._is_closed or self._depth <= 0
