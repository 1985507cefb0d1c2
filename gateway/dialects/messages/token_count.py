"""Tokens of a request: counted for `count_tokens`, estimated for `message_start`.

Owns what counts: system, messages, tools, images and documents, and the tokens that a prompt's
template puts around each message. Thinking counts since the user's last text, as at Anthropic. Must
never fail for a block it does not know. Source: Anthropic API reference, "Count tokens in a
Message".
"""

from collections.abc import Iterator

from msgspec import Struct

from gateway.core.errors import InvalidRequest
from gateway.core.request import (
    AssistantMessage,
    DocumentPart,
    ImagePart,
    Request,
    SystemMessage,
    TextPart,
    ToolMessage,
    UserMessage,
)
from gateway.core.tokens import TokenCounter
from gateway.dialects.json import decode
from gateway.dialects.messages import types
from gateway.dialects.messages.blocks import BlockContext, parts_of
from gateway.dialects.messages.history_reader import read_system
from gateway.dialects.messages.images import UNREADABLE_TOKENS, image_tokens
from gateway.dialects.messages.tool_declaration import declare
from gateway.dialects.messages.tools import read_tool

#: role marker, name and two ends of a message, and the start of the answer
_MESSAGE_TOKENS = 4
_ANSWER_TOKENS = 4

_BYTES_PER_TOKEN = 3.5
#: the distance from an image's data at which its `"type": "base64"` may stand, in bytes
_SOURCE_BYTES = 128


class CountableContent(Struct):
    """The parts of a body that count: texts, PDFs in base64 whose text counts too, and tokens for
    the rest.

    `declared` are the tools as a model reads them, empty where there are none.
    """

    texts: list[str]
    documents: list[str]
    tokens: int
    declared: str


def read_counted(body: bytes) -> CountableContent:
    """Read what counts in a `count_tokens` body; some work for the largest.

    Raises `InvalidRequest` only for a body that is no JSON, or has no messages.
    """
    fields = decode(body, types.CountBody)
    tokens = _ANSWER_TOKENS + _MESSAGE_TOKENS * len(fields.messages)
    counted = CountableContent([], [], tokens, "")
    if system := read_system(fields.system):
        counted.texts.append(system)
        counted.tokens += _MESSAGE_TOKENS
    counted.declared = declare(tool for param in fields.tools or () if (tool := read_tool(param)))
    reasonings: list[str] = []
    for message in fields.messages:
        blocks = list(_blocks(message.content))
        if message.role == "user" and not all(isinstance(b, types.ToolResultBlock) for b in blocks):
            reasonings.clear()
        for block in blocks:
            if isinstance(block, types.ThinkingBlock):
                reasonings.append(block.thinking or "")
            else:
                _add(block, counted)
    counted.texts += reasonings
    return counted


def counted_of(request: Request) -> CountableContent:
    """The same of a request that was parsed, and whose documents are read."""
    tokens = _ANSWER_TOKENS + _MESSAGE_TOKENS * len(request.messages)
    counted = CountableContent([], [], tokens, declare(request.tools))
    reasonings: list[str] = []
    for message in request.messages:
        match message:
            case SystemMessage(text=text):
                counted.texts.append(text)
            case AssistantMessage(text=text, reasoning=reasoning, calls=calls):
                counted.texts.append(text or "")
                reasonings.append(reasoning or "")
                for call in calls:
                    counted.texts += (call.name, call.arguments)
            case UserMessage(parts=parts) | ToolMessage(parts=parts):
                if isinstance(message, UserMessage):
                    reasonings.clear()
                for part in parts:
                    if isinstance(part, ImagePart):
                        counted.tokens += image_tokens(part.url, part.url.find(",") + 1)
                    else:
                        counted.texts.append(part.text)
    counted.texts += reasonings
    return counted


def counting(counted: CountableContent, counter: TokenCounter) -> Iterator[int]:
    """Tokens of all but the documents, in portions that add up; to be drawn in a thread."""
    tokens = counted.tokens + (_MESSAGE_TOKENS if counted.declared else 0)
    for portion in counter.counting((*counted.texts, counted.declared)):
        yield tokens + portion
        tokens = 0


def counting_tools(declared: str, counter: TokenCounter) -> Iterator[int]:
    """Tokens of the tools' declaration, likewise; 0 for an empty one."""
    return counting(CountableContent([], [], 0, declared), counter)


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


def _add(block: types.Block, counted: CountableContent) -> None:
    texts = counted.texts
    match block:
        case types.TextBlock(text=text):
            texts.append(text)
        case types.ImageBlock(source=source):
            counted.tokens += image_tokens(source.data or "")
        case types.DocumentBlock():
            _add_document(block, counted)
        case types.SearchResultBlock(content=content, source=origin, title=title):
            texts += (title, origin)
            _add_all(content, counted)
        case types.ToolUseBlock(name=name, input=arguments):
            texts += (name, bytes(arguments).decode(errors="replace"))
        case types.ToolResultBlock(content=content):
            _add_all(content, counted)
        case types.ToolReferenceBlock(tool_name=name):
            texts.append(f"Tool {name} is now available")


def _add_all(content: types.Content | None, counted: CountableContent) -> None:
    for block in _blocks(content):
        _add(block, counted)


def _add_document(block: types.DocumentBlock, counted: CountableContent) -> None:
    """The document as the model gets to see it."""
    if block.source.type == "content":
        counted.texts += (block.title or "", block.context or "")
        _add_all(block.source.content, counted)
        return
    for part in parts_of(block, BlockContext("", [])):
        if isinstance(part, DocumentPart) and part.data:
            counted.documents.append(part.data)
        elif isinstance(part, TextPart):
            counted.texts.append(part.text)


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
    """The bounds of the values of a member, taking them for strings without escapes."""
    start = body.find(member)
    while start >= 0:
        opening = body.find(b'"', start + len(member))
        end = body.find(b'"', opening + 1)
        if opening < 0 or end < 0:
            return
        yield opening, end
        start = body.find(member, end)
