"""The messages of a request, read once: the user's texts, its images, its size.

Owns the reading only, for any family, so it is lenient; `rules` has refused what a strict family
does not take. A token is a word, and an image is 64: simple, documented, and easy to foretell.
"""

from typing import Any

from msgspec import Struct

IMAGE_TOKENS = 64


class UserText(Struct, frozen=True):
    """A user message: its text, parts joined by line ends, and the turn it has got to.

    That is the number of assistant messages with tool calls after it.
    """

    text: str
    turn: int


class Conversation(Struct, frozen=True, kw_only=True):
    """One request's messages in short."""

    #: user messages since the last answer without tool calls, the newest last
    user_texts: list[UserText]
    #: images in the last user message
    images: int
    #: tool calls in the whole history; Kimi numbers its calls on from there
    calls: int
    #: texts of the tool messages at the very end; None when the last message is no tool's
    results: list[str] | None
    prompt_tokens: int


def read_conversation(messages: list[dict[str, Any]]) -> Conversation:
    """Walk the messages once. Content may be a string, a list of parts, null or absent."""
    images, turns, calls, prompt_tokens = 0, 0, 0, 0
    user_texts: list[tuple[str, int]] = []
    is_answered = False
    results: list[str] | None = None
    for message in messages:
        content = message.get("content")
        text = content if isinstance(content, str) else text_of(content)
        seen = 0 if isinstance(content, str) else count_images(content)
        prompt_tokens += len(text.split()) + seen * IMAGE_TOKENS
        role = message.get("role")
        if role == "user":
            if is_answered:
                user_texts.clear()
            user_texts.append((text, turns))
            images, is_answered = seen, False
        elif role == "assistant":
            made = len(message.get("tool_calls") or ())
            turns, calls, is_answered = turns + bool(made), calls + made, not made
        if role != "tool":
            results = None
        elif results is None:
            results = [text]
        else:
            results.append(text)
    return Conversation(
        user_texts=[UserText(text, turns - before) for text, before in user_texts],
        images=images,
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
    """The number of image parts in a message's content."""
    return sum(part.get("type") == "image_url" for part in _parts(content))


def _parts(content: Any) -> list[dict[str, Any]]:
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
