"""What the messages of a request say, read once: the turn, its text, its images, its size.

Owns the reading only, for any family, so it is lenient; `rules` has refused what a strict family
does not take. A token is a word, and an image is 64: simple, documented, and easy to foretell.
"""

from typing import Any

from msgspec import Struct

IMAGE_TOKENS = 64


class Conversation(Struct, frozen=True, kw_only=True):
    """One request's messages in short."""

    #: text of the last user message, its parts joined by line ends
    text: str
    #: images in the last user message
    images: int
    #: assistant messages with tool calls since the last user message
    turn: int
    #: tool calls in the whole history; Kimi numbers its calls on from there
    calls: int
    #: texts of the tool messages at the very end; None when the last message is no tool's
    results: list[str] | None
    prompt_tokens: int


def read_conversation(messages: list[dict[str, Any]]) -> Conversation:
    """Walk the messages once. Content may be a string, a list of parts, null or absent."""
    text, images, turn, calls, prompt_tokens = "", 0, 0, 0, 0
    results: list[str] | None = None
    for message in messages:
        content = message.get("content")
        said = content if isinstance(content, str) else text_of(content)
        seen = 0 if isinstance(content, str) else count_images(content)
        prompt_tokens += len(said.split()) + seen * IMAGE_TOKENS
        role = message.get("role")
        if role == "user":
            text, images, turn = said, seen, 0
        elif role == "assistant" and message.get("tool_calls"):
            turn += 1
            calls += len(message["tool_calls"])
        results = [*(results or []), said] if role == "tool" else None
    return Conversation(
        text=text,
        images=images,
        turn=turn,
        calls=calls,
        results=results,
        prompt_tokens=prompt_tokens,
    )


def text_of(content: Any) -> str:
    """The text of a message's content, its parts joined by line ends."""
    if isinstance(content, str):
        return content
    texts = (part.get("text") for part in _parts(content))
    return "\n".join(text for text in texts if isinstance(text, str))


def count_images(content: Any) -> int:
    """How many image parts a message's content has."""
    return sum(part.get("type") == "image_url" for part in _parts(content))


def _parts(content: Any) -> list[dict[str, Any]]:
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
