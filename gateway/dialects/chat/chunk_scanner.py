"""The facts that the gateway needs of every chunk, read from its bytes where that is enough.

    "usage", "error" or "finish_reason" with a value? ── no ──▶ plain
                                                     └─ yes ─▶ decode, remember

Inside a JSON string quotation marks are escaped, so these bytes are members, or at worst a string
that is exactly this word: then the chunk is decoded for nothing.
"""

from typing import Any

import msgspec
from msgspec import Struct

from gateway.core.errors import UpstreamBroken
from gateway.core.events import Usage
from gateway.dialects.chat.tables import FAILED, read_usage


class _ScannedChoice(Struct):
    index: int | None = None
    finish_reason: str | None = None
    usage: Any = None


class _ScannedChunk(Struct):
    choices: list[_ScannedChoice] | None = None
    usage: Any = None
    error: Any = None


_decode = msgspec.json.Decoder(_ScannedChunk).decode

#: (member, tight null, spaced null)
_MEMBERS = tuple(
    (b'"%b"' % name, b'"%b":null' % name, b'"%b": null' % name)
    for name in (b"usage", b"error", b"finish_reason")
)


class ChunkScanner:
    """The facts that one answer has shown so far.

    `choices` is how many were asked for; how many there are is the upstream's to give. Only where
    that may be several is it looked at which have begun.
    """

    def __init__(self, choices: int) -> None:
        self._choices = choices
        #: begun, and not finished
        self._open: set[int] = set()
        self._finished: set[int] = set()
        self.usage: Usage | None = None
        self.error: Any = None

    @property
    def complete(self) -> bool:
        """True if there is an answer, and every choice of it has its finish reason."""
        return bool(self._finished) and not self._open

    @property
    def needs_no_more(self) -> bool:
        """True if even a connection that breaks now takes nothing from the answer."""
        return len(self._finished) >= self._choices and not self._open

    def add(self, data: bytes) -> bool:
        """Remember the facts of a chunk; returns True if it is plain."""
        if self._choices == 1:
            # Each of the members is absent, or null everywhere.
            for member, tight, spaced in _MEMBERS:
                count = data.count(member) - data.count(tight) if member in data else 0
                if count and count != data.count(spaced):
                    break
            else:
                return True
        try:
            chunk = _decode(data)
        except (ValueError, RecursionError):
            raise UpstreamBroken("The upstream sent something that is not a chunk.") from None
        return self._note(chunk)

    def add_whole(self, body: bytes) -> None:
        """Remember the facts of a completion."""
        try:
            chunk = _decode(body)
        except (ValueError, RecursionError):
            raise UpstreamBroken("The upstream sent something that is no answer.") from None
        for position, choice in enumerate(chunk.choices or ()):
            choice.index = position
            if not choice.finish_reason:
                self._open.add(position)
        self._note(chunk)

    def _note(self, chunk: _ScannedChunk) -> bool:
        self.error = self.error or chunk.error
        usage = chunk.usage
        is_plain = not (usage or chunk.error)
        for choice in chunk.choices or ():
            usage = usage or choice.usage
            is_plain = is_plain and not choice.finish_reason and not choice.usage
            self._note_end(choice.index or 0, choice.finish_reason)
        if usage:
            self.usage = read_usage(usage) or self.usage
        return is_plain

    def _note_end(self, index: int, finish_reason: str | None) -> None:
        if finish_reason in FAILED:
            raise UpstreamBroken(f"The upstream broke off its answer: {finish_reason}.")
        if finish_reason:
            self._finished.add(index)
            self._open.discard(index)
        elif self._choices > 1 and index not in self._finished:
            self._open.add(index)


class _FirstChoice(Struct):
    delta: dict[str, Any] | None = None
    finish_reason: str | None = None


class _FirstChunk(Struct):
    choices: list[_FirstChoice] | None = None


_decode_first = msgspec.json.Decoder(_FirstChunk).decode


def has_content(data: bytes) -> bool:
    """True if a chunk holds more than the role."""
    try:
        choices = _decode_first(data).choices or ()
    except (ValueError, RecursionError):
        return True
    return any(
        choice.finish_reason or any(v for k, v in (choice.delta or {}).items() if k != "role")
        for choice in choices
    )
