"""Splits `<think>…</think>` out of content, for servers that run without a reasoning parser.

    undecided ── starts with <think> ──▶ thinking ── </think> ──▶ answering
        └─────── anything else ─────────────────────────────────────▲

Only an answer that begins with the tag is split: later on it may be something the model quotes.
A tag may be cut anywhere by the stream, so up to seven characters are held back.
"""

from typing import Literal

_OPENING = "<think>"
_CLOSING = "</think>"
#: so much white space before a tag means that there is none
_BLANKS_MAX = 1000


class ThinkSplitter:
    """One answer's content; `feed` and `finish` give (reasoning, text), either may be empty.

    Line breaks right behind a tag belong to the tag.
    """

    def __init__(self) -> None:
        self._state: Literal["undecided", "thinking", "answering"] = "undecided"
        self._held = ""
        self._behind_tag = False

    @property
    def is_over(self) -> bool:
        """True once all that follows is text."""
        return self._state == "answering" and not self._behind_tag

    def feed(self, content: str) -> tuple[str, str]:
        """The next piece of content."""
        content = self._held + content
        self._held = ""
        if self._state == "undecided":
            return self._decide(content)
        return self._think(content) if self._state == "thinking" else self._answer(content)

    def finish(self) -> tuple[str, str]:
        """Return what was held back at the end of the answer."""
        held, self._held = self._held, ""
        return (held, "") if self._state == "thinking" else ("", held)

    def _decide(self, content: str) -> tuple[str, str]:
        start = content.lstrip()
        if start.startswith(_OPENING):
            self._state, self._behind_tag = "thinking", True
            return self._think(start[len(_OPENING) :])
        if _OPENING.startswith(start) and len(content) <= _BLANKS_MAX:
            self._held = content
            return "", ""
        self._state = "answering"
        return "", content

    def _think(self, content: str) -> tuple[str, str]:
        reasoning, tag, text = self._strip(content).partition(_CLOSING)
        if tag:
            self._state, self._behind_tag = "answering", True
            return reasoning, self._strip(text)
        kept = len(reasoning) - _overlap(reasoning)
        self._held = reasoning[kept:]
        return reasoning[:kept], ""

    def _answer(self, content: str) -> tuple[str, str]:
        return "", self._strip(content)

    def _strip(self, content: str) -> str:
        if self._behind_tag:
            content = content.lstrip("\n")
            self._behind_tag = not content
        return content


def begins_thinking(content: str | None) -> bool:
    """True for content that begins with the tag."""
    return content is not None and content.lstrip().startswith(_OPENING)


def _overlap(content: str) -> int:
    """The number of characters at the end that may be the beginning of the closing tag."""
    for length in range(min(len(_CLOSING) - 1, len(content)), 0, -1):
        if _CLOSING.startswith(content[-length:]):
            return length
    return 0
