"""Recognises the ordinary chunk of a stream by a template made from an earlier one.

Most chunks of a stream are byte for byte the same except for one JSON string:

    {"id":…,"choices":[{"index":0,"delta":{"content":"   Hello   "},"finish_reason":null}],…}
    └──────────────────── head ─────────────────────┘         └──────────── tail ──────────┘

Where head and tail are equal and no quotation mark stands between, everything that was found out
about the earlier chunk's members holds for this one. A string with an escaped quotation mark is
not recognised, which costs time but is never wrong.
"""

import re

from msgspec import Struct

_QUOTE = 0x22
_BACKSLASH = 0x5C

#: the beginning of a piece of text or reasoning
_TEXT = re.compile(rb'"(?:content|reasoning_content|reasoning)": ?"')

#: a stream whose chunks never resemble each other is left alone after so many attempts
_ATTEMPTS_MAX = 16


class ChunkTemplate(Struct, eq=False):
    """One stream's ordinary chunk."""

    _head: bytes = b""
    _tail: bytes = b""
    _head_bytes: int = 0
    _tail_bytes: int = 0
    _attempts: int = 0
    _matched: bool = False

    def match(self, data: bytes) -> bytes | None:
        """The text between head and tail, if `data` differs from the learnt chunk there only."""
        if self._tail_bytes and data.startswith(self._head) and data.endswith(self._tail):
            text = data[self._head_bytes : -self._tail_bytes]
            if _QUOTE not in text:
                self._matched = True
                return text
        return None

    def learn(self, data: bytes) -> bool:
        """Take `data` as the ordinary chunk, if it has a text; returns True if it did."""
        if self._matched:
            self._attempts, self._matched = 0, False
        if self._attempts >= _ATTEMPTS_MAX:
            return False
        self._attempts += 1
        place = find_text(data)
        if place is None:
            return False
        start, end = place
        self._head, self._tail = data[:start], data[end:]
        self._head_bytes, self._tail_bytes = start, len(data) - end
        return True

    def forget(self) -> None:
        """Match nothing until the next one is learnt."""
        self._tail_bytes = 0


def find_text(data: bytes) -> tuple[int, int] | None:
    """The bounds of the first text in a chunk, if it is not empty and ends plainly."""
    for found in _TEXT.finditer(data):
        start = found.end()
        end = data.find(b'"', start)
        if end > start and data[end - 1] != _BACKSLASH:
            return start, end
    return None
