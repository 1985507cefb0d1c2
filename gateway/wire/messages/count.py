"""Tokens of a request: counted for `count_tokens`, estimated for `message_start`.

Owns what counts: system, messages, tools and images, and the tokens that a prompt's template puts
around each message. Thinking counts since the last thing the user said, as at Anthropic. Must never
fail for a block it does not know. Source: Anthropic API reference, "Count tokens in a Message".
"""

from collections.abc import Iterator

from gateway.core.tokens import LazyTokenCounter, TokenCounter
from gateway.errors import InvalidRequest
from gateway.wire.json import decode
from gateway.wire.messages import types
from gateway.wire.messages.declaration import declare
from gateway.wire.messages.history import read_system
from gateway.wire.messages.images import UNREADABLE_TOKENS, image_tokens
from gateway.wire.messages.tools import read_tool

#: role marker, name and two ends of a message, and the start of the answer
_MESSAGE_TOKENS = 4
_ANSWER_TOKENS = 4

_BYTES_PER_TOKEN = 3.5
#: how far from an image's data its `"type": "base64"` may stand, in bytes
_SOURCE_BYTES = 128


def count_tokens(body: bytes, counter: TokenCounter | LazyTokenCounter) -> int:
    """Tokens of a `count_tokens` body, at least 1; a second of work for the largest bodies.

    Raises `InvalidRequest` only for what is not JSON, or has no messages.
    """
    fields = decode(body, types.CountBody)
    texts: list[str] = []
    tokens = _ANSWER_TOKENS + _MESSAGE_TOKENS * len(fields.messages)
    if system := read_system(fields.system):
        texts.append(system)
        tokens += _MESSAGE_TOKENS
    if declared := declare(tool for param in fields.tools or () if (tool := read_tool(param))):
        texts.append(declared)
        tokens += _MESSAGE_TOKENS
    thoughts: list[str] = []
    for message in fields.messages:
        blocks = list(_blocks(message.content))
        if message.role == "user" and not all(isinstance(b, types.ToolResultBlock) for b in blocks):
            thoughts.clear()
        for block in blocks:
            if isinstance(block, types.ThinkingBlock):
                thoughts.append(block.thinking or "")
            else:
                tokens += _add(block, texts)
    return tokens + sum(counter.count(text) for text in texts + thoughts)


def _blocks(content: types.Content | None) -> Iterator[types.Block]:
    if isinstance(content, str):
        yield types.TextBlock(content)
        return
    for raw in content or ():
        try:
            block = types.read_block(raw, "")
        except InvalidRequest:
            continue
        if block is not None:
            yield block


def _add(block: types.Block, texts: list[str]) -> int:
    """Add a block's texts to `texts`; returns the tokens of what is no text."""
    match block:
        case types.TextBlock(text=text):
            texts.append(text)
        case types.ImageBlock(source=source):
            return image_tokens(source.data or "")
        case types.DocumentBlock(source=source, title=title, context=context):
            texts += (title or "", context or "")
            texts.append(source.data or "" if source.type == "text" else "")
            return sum(_add(inner, texts) for inner in _blocks(source.content))
        case types.SearchResultBlock(content=content, source=origin, title=title):
            texts += (title, origin)
            return sum(_add(inner, texts) for inner in _blocks(content))
        case types.ToolUseBlock(name=name, input=arguments):
            texts += (name, bytes(arguments).decode(errors="replace"))
        case types.ToolResultBlock(content=content):
            return sum(_add(inner, texts) for inner in _blocks(content))
        case types.ToolReferenceBlock(tool_name=name):
            texts.append(f"Tool {name} is now available")
    return 0


def estimate(body: bytes) -> int:
    """About the tokens of a body, at least 1, by its length without images and signatures.

    Microseconds of work; off by a third for English, Chinese or code.
    """
    length = len(body)
    images = 0
    for start, end in _strings(body, b'"data":'):
        before, after = body[max(0, start - _SOURCE_BYTES) : start], body[end : end + _SOURCE_BYTES]
        if b'"base64"' in before or b'"base64"' in after:
            length -= end - start
            images += 1
    for start, end in _strings(body, b'"signature":'):
        length -= end - start
    return max(1, int(length / _BYTES_PER_TOKEN) + images * UNREADABLE_TOKENS)


def _strings(body: bytes, member: bytes) -> Iterator[tuple[int, int]]:
    """Where the values of a member begin and end, taking them for strings without escapes."""
    start = body.find(member)
    while start >= 0:
        opening = body.find(b'"', start + len(member))
        end = body.find(b'"', opening + 1)
        if opening < 0 or end < 0:
            return
        yield opening, end
        start = body.find(member, end)
