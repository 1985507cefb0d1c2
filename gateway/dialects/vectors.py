"""Vectors of an upstream: as they came, where they are as the client wants them.

Vectors are looked at, not made: their number, their lengths, and that each is a list of numbers or
a text in base64. Only where an upstream sends the other form are they rewritten.
"""

import binascii
import re
import sys
from abc import ABC, abstractmethod
from array import array
from collections.abc import Sequence
from math import isfinite
from typing import Any, NoReturn

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, field

from gateway.core.errors import FaregateError, UpstreamBroken
from gateway.core.events import Event, Usage
from gateway.dialects.endpoint import EmbeddingWanted, PassOn, UpstreamChunk
from gateway.dialects.upstream_errors import broken_by

#: numbers of an answer whose vectors are rewritten, one by one; a thousand texts have so many
NUMBERS_MAX = 4096 * 1024
_FLOAT_BYTES = 4
#: numbers of a vector where the request has no `dimensions`
_USUAL_LENGTH = 1536
#: about the bytes of a number in an answer
_LIST_BYTES = 16
_BASE64_BYTES = 6
#: an answer as it came, its vectors, and what goes to the client
_COPIES = 3
_OBJECTS_MAX = 4
_SMALL_BYTES_MAX = 64 * 1024
_LIST = re.compile(rb"\[[-+0-9.eE, \t\r\n]+\]")
_BASE64 = re.compile(rb'"[A-Za-z0-9+/]+={0,2}"')


class EmbeddingAnswer(Struct, frozen=True):
    """Vectors as a JSON list of OpenAI's; see `gateway.dialects.base.Completion`."""

    vectors: bytes
    usage: Usage | None
    size: int
    data: None = None

    def events(self) -> Sequence[Event]:
        return ()


class AnswerMembers(Struct, gc=False):
    """The members of an answer, in either dialect; nothing in them was read."""

    data: Raw | UnsetType = UNSET
    embeddings: Raw | UnsetType = UNSET
    usage: Raw | UnsetType = UNSET
    usage_metadata: Raw | UnsetType = field(default=UNSET, name="usageMetadata")
    error: Raw | UnsetType = UNSET


_read_members = msgspec.json.Decoder(AnswerMembers).decode
_read_numbers = msgspec.json.Decoder(list[float]).decode
_read_any = msgspec.json.Decoder().decode


class EmbeddingReader(ABC):
    """Reads one answer; see `gateway.dialects.endpoint.AnswerStream`. None of it is a stream."""

    unknown_reason = None
    needs_no_more = False
    #: numbers are not made, so there may be as many as an answer has room for
    values_max = sys.maxsize

    def __init__(self, wanted: EmbeddingWanted, credential: str | None) -> None:
        self._wanted = wanted
        self._credential = credential
        self.ended = False
        self.complete = False
        self.failure: FaregateError | None = None
        self.usage: Usage | None = None

    def feed(self, data: bytes) -> list[UpstreamChunk]:
        return []

    def hand_over(self, pass_on: PassOn, data: bytes) -> bool:
        return False

    def finish(self) -> list[UpstreamChunk]:
        return []

    def answer(self, body: bytes) -> EmbeddingAnswer:
        """The whole answer. Raises `UpstreamBroken` and the upstream's own errors."""
        try:
            if not body.isascii():
                body.decode()  # what stays raw was never looked into
            members = _read_members(body)
            if members.error is not UNSET and (error := read_small(members.error)):
                raise broken_by(error, self._credential, begun=False)
            self.usage = self._read_usage(members)
            vectors = self._read_vectors(self._list_of(members))
        except (ValueError, TypeError, RecursionError):
            refuse("something that is no answer")
        self.complete = True
        return EmbeddingAnswer(vectors, self.usage, len(body))

    def _list_of(self, members: "AnswerMembers") -> bytes:
        """The list with the vectors. Raises `UpstreamBroken`."""
        found = members.embeddings if members.data is UNSET else members.data
        data = b"" if found is UNSET else bytes(found)
        # Each vector stands in an object, and beside it there may be some others.
        if data.count(b"{") > _OBJECTS_MAX * self._wanted.number:
            refuse("more vectors than there are inputs")
        return data

    @abstractmethod
    def _read_usage(self, members: "AnswerMembers") -> Usage | None:
        """The tokens of the prompt, if they are given."""

    @abstractmethod
    def _read_vectors(self, data: bytes) -> bytes:
        """The vectors of a list, as OpenAI writes them. Raises `UpstreamBroken`, `ValueError`."""


def answer_bytes(wanted: EmbeddingWanted) -> int:
    """About the memory that an answer takes until the client has it.

    >>> answer_bytes(EmbeddingWanted(2048, 3072, is_base64=True))
    113246208
    """
    numbers = wanted.number * (wanted.dimensions or _USUAL_LENGTH)
    return numbers * (_BASE64_BYTES if wanted.is_base64 else _LIST_BYTES) * _COPIES


def check_vectors(vectors: Sequence[bytes], wanted: EmbeddingWanted) -> bool:
    """True if vectors are in the form that is wanted. Raises `UpstreamBroken` for those that are
    too few or too many, of different lengths or another one than was asked for, or no vectors."""
    if len(vectors) != wanted.number:
        refuse(f"{len(vectors)} vectors for {wanted.number} inputs")
    is_text = vectors[0][:1] == b'"'
    form = _BASE64 if is_text else _LIST
    lengths = set()
    for vector in vectors:
        if not form.fullmatch(vector):
            refuse("something that is no vector")
        lengths.add(_length(vector, is_text=is_text))
    if len(lengths) != 1 or wanted.dimensions not in (None, *lengths):
        shown = ", ".join(map(str, sorted(lengths)[:3]))
        refuse(f"vectors of {shown} numbers, which were not asked for")
    if is_text != wanted.is_base64 and len(vectors) * max(lengths) > NUMBERS_MAX:
        refuse("too many vectors in another form than was asked for")
    return is_text == wanted.is_base64


def rewrite(vector: bytes) -> bytes:
    """A vector in the other form: a list of numbers, or little-endian floats in base64.

    Raises `UpstreamBroken` for numbers that are none, or that 32 bits cannot hold.
    """
    if vector[:1] == b'"':
        numbers = array("f", binascii.a2b_base64(vector[1:-1], strict_mode=True))
        if sys.byteorder == "big":
            numbers.byteswap()
        _check_finite(numbers)
        return msgspec.json.encode(numbers.tolist())
    return to_base64(_read_numbers(vector))


def to_base64(numbers: Sequence[float]) -> bytes:
    """Numbers as little-endian floats of 32 bits in base64, as a text of JSON."""
    floats = array("f", numbers)
    _check_finite(floats)
    if sys.byteorder == "big":
        floats.byteswap()
    return b'"%b"' % binascii.b2a_base64(floats.tobytes(), newline=False)


def write_vectors(vectors: Sequence[bytes]) -> bytes:
    """The list of vectors as OpenAI writes it; each is JSON already."""
    items: list[dict[str, Any]] = [
        {"object": "embedding", "index": index, "embedding": Raw(vector)}
        for index, vector in enumerate(vectors)
    ]
    return msgspec.json.encode(items)


def read_small(member: Raw | UnsetType) -> Any:
    """The value of a member that has no vectors; None where it is not there."""
    if member is UNSET:
        return None
    if len(bytes(member)) > _SMALL_BYTES_MAX:
        refuse("something that is no answer")
    return _read_any(member)


def _check_finite(floats: "array[float]") -> None:
    if not isfinite(sum(floats)):
        refuse("something that is no vector")


def _length(vector: bytes, *, is_text: bool) -> int:
    if not is_text:
        return vector.count(b",") + 1
    text = vector[1:-1]
    size = len(text) // 4 * 3 - text.count(b"=")
    if len(text) % 4 or size % _FLOAT_BYTES:
        refuse("something that is no vector")
    return size // _FLOAT_BYTES


def refuse(what: str) -> NoReturn:
    """Raise `UpstreamBroken` for what it sent."""
    raise UpstreamBroken(f"The upstream sent {what}.") from None
