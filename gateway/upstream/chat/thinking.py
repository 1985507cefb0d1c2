"""Splits `<think>…</think>` out of content, for servers that run without a reasoning parser.

    undecided ── starts with <think> ──▶ thinking ── </think> ──▶ answering
        └─────── anything else ─────────────────────────────────────▲

Only an answer that begins with the tag is split: later on it may be something the model quotes.
A tag may be cut anywhere by the stream, so up to seven characters are held back.
"""

from typing import Literal

_OPENING = "<think>"
_CLOSING = "</think>"


class ThinkSplitter:
    """One answer's content; `feed` and `finish` give (reasoning, text), either may be empty."""

    def __init__(self) -> None:
        self._state: Literal["undecided", "thinking", "closed", "answering"] = "undecided"
        self._held = ""

    def feed(self, content: str) -> tuple[str, str]:
        """The next piece of content."""
        if self._state == "answering":
            return "", content
        content = self._held + content
        self._held = ""
        if self._state == "undecided":
            return self._decide(content)
        if self._state == "thinking":
            return self._think(content)
        return "", self._begin_text(content)

    def finish(self) -> tuple[str, str]:
        """What was held back at the end of the answer."""
        held, self._held = self._held, ""
        if self._state == "closed":
            return "", ""
        return (held, "") if self._state == "thinking" else ("", held)

    def _decide(self, content: str) -> tuple[str, str]:
        start = content.lstrip()
        if start.startswith(_OPENING):
            self._state = "thinking"
            return self._think(start[len(_OPENING) :].lstrip("\n"))
        if _OPENING.startswith(start):
            self._held = content
            return "", ""
        self._state = "answering"
        return "", content

    def _think(self, content: str) -> tuple[str, str]:
        reasoning, tag, text = content.partition(_CLOSING)
        if tag:
            self._state = "closed"
            return reasoning, self._begin_text(text)
        kept = _overlap(content)
        self._held = content[len(content) - kept :]
        return content[: len(content) - kept], ""

    def _begin_text(self, content: str) -> str:
        """Text after the closing tag, without the line breaks in between."""
        text = content.lstrip("\n")
        if text:
            self._state = "answering"
        return text


def _overlap(content: str) -> int:
    """How many characters at the end may be the beginning of the closing tag."""
    for length in range(min(len(_CLOSING) - 1, len(content)), 0, -1):
        if _CLOSING.startswith(content[-length:]):
            return length
    return 0
