"""What the gateway must know of every chunk, learnt from a look at its bytes where that is enough.

    "usage", "error" or "finish_reason" with a value? ── no ──▶ plain
                                                     └─ yes ─▶ decode, remember

Inside a JSON string quotation marks are escaped, so these bytes are members, or at worst a string
that is exactly this word: then the chunk is decoded for nothing.
"""

from typing import Any

import msgspec
from msgspec import Struct

from gateway.core.events import Usage
from gateway.errors import UpstreamBroken


class _Choice(Struct):
    index: int | None = None
    finish_reason: str | None = None
    usage: Any = None


class _Told(Struct):
    choices: list[_Choice] | None = None
    usage: Any = None
    error: Any = None


_decode = msgspec.json.Decoder(_Told).decode

#: no answer has more, and what no column takes would keep ends from being written
_TOKENS_MAX = 2**31 - 1

#: (member, tight null, spaced null)
_MEMBERS = tuple(
    (b'"%b"' % name, b'"%b":null' % name, b'"%b": null' % name)
    for name in (b"usage", b"error", b"finish_reason")
)


class Tally:
    """What one answer has told so far; `choices` is how many were asked for."""

    def __init__(self, choices: int) -> None:
        self._choices = choices
        self._finished: set[int] = set()
        self.usage: Usage | None = None
        self.error: Any = None

    @property
    def complete(self) -> bool:
        """Whether every choice has its finish reason."""
        return len(self._finished) >= self._choices

    def add(self, data: bytes) -> bool:
        """Remember what a chunk tells; says whether it is plain."""
        if _looks_plain(data):
            return True
        try:
            told = _decode(data)
        except (ValueError, RecursionError):
            raise UpstreamBroken("The upstream sent something that is not a chunk.") from None
        return self._note(told)

    def add_whole(self, document: object) -> None:
        """Remember what a completion tells, which was decoded already."""
        try:
            told = msgspec.convert(document, _Told)
        except (ValueError, RecursionError):
            raise UpstreamBroken("The upstream sent something that is no answer.") from None
        self._note(told)

    def _note(self, told: _Told) -> bool:
        self.error = self.error or told.error
        usage = told.usage
        is_plain = not (usage or told.error)
        for choice in told.choices or ():
            usage = usage or choice.usage
            is_plain = is_plain and not choice.finish_reason and not choice.usage
            if choice.finish_reason:
                self._finished.add(choice.index or 0)
        self.usage = read_usage(usage) or self.usage
        return is_plain


def _looks_plain(data: bytes) -> bool:
    """Whether each of the members is absent, or null everywhere."""
    for member, tight, spaced in _MEMBERS:
        if member in data:
            count = data.count(member) - data.count(tight)
            if count and count != data.count(spaced):
                return False
    return True


def read_usage(told: Any) -> Usage | None:
    """Usage from a `usage` object; cached tokens stand in one of three places.

    Sources: OpenAI API reference; Moonshot (`cached_tokens` beside the counts).
    """
    if not isinstance(told, dict):
        return None
    prompt = told.get("prompt_tokens_details")
    completion = told.get("completion_tokens_details")
    cached = _count(prompt, "cached_tokens") or _count(told, "cached_tokens")
    return Usage(
        input=_count(told, "prompt_tokens"),
        output=_count(told, "completion_tokens"),
        cached=cached or _count(told, "prompt_cache_hit_tokens"),
        reasoning=_count(completion, "reasoning_tokens"),
    )


def _count(holder: Any, name: str) -> int:
    value = holder.get(name) if isinstance(holder, dict) else None
    return min(value, _TOKENS_MAX) if type(value) is int and value > 0 else 0
