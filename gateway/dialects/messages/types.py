"""A Messages body on the wire.

Owns the shapes of Anthropic's Messages API, as far as anything here reads them. Must never be
stricter than that: unknown members are ignored, unknown kinds of block read as None, and what is
ignored anyway has no type here. Source: Anthropic API reference, "Messages", and the parameter
types of its SDK for Python 2.12.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

from gateway.core.errors import InvalidRequest
from gateway.dialects.values import MESSAGES_MAX, PARTS_MAX, TOOLS_MAX

#: a string, or blocks that are read one by one, so that an unknown one does no harm
Content = str | Annotated[list[Raw], Meta(max_length=PARTS_MAX)]


class SourceParam(Struct):
    """The source of an image or a document: base64, text, content, url or file."""

    type: str
    media_type: str | None = None
    data: str | None = None
    content: Content | None = None


class TextBlock(Struct, tag="text"):
    text: str


class ImageBlock(Struct, tag="image"):
    source: SourceParam


class CitationsParam(Struct):
    enabled: bool | None = None


class DocumentBlock(Struct, tag="document"):
    source: SourceParam
    title: str | None = None
    context: str | None = None
    citations: CitationsParam | None = None


class SearchResultBlock(Struct, tag="search_result"):
    content: Content
    source: str = ""
    title: str = ""
    citations: CitationsParam | None = None


class ThinkingBlock(Struct, tag="thinking"):
    thinking: str | None = None
    signature: str | None = None


class RedactedThinkingBlock(Struct, tag="redacted_thinking"):
    data: str


class ToolUseBlock(Struct, tag="tool_use"):
    id: str
    name: str
    input: Raw = Raw(b"{}")


class ToolResultBlock(Struct, tag="tool_result"):
    tool_use_id: str
    content: Content | None = None
    is_error: bool | None = None


class ToolReferenceBlock(Struct, tag="tool_reference"):
    tool_name: str


Block = (
    TextBlock
    | ImageBlock
    | DocumentBlock
    | SearchResultBlock
    | ThinkingBlock
    | RedactedThinkingBlock
    | ToolUseBlock
    | ToolResultBlock
    | ToolReferenceBlock
)


class MessageParam(Struct):
    role: str
    content: Content


class MessagesTool(Struct):
    """A tool of any kind; `type` is absent or `custom` for a function of the client's own."""

    type: str | None = None
    name: str | None = None
    description: str | None = None
    input_schema: dict[str, Any] | None = None
    strict: bool | None = None


class ToolChoiceParam(Struct):
    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class ThinkingParam(Struct):
    type: str
    budget_tokens: int | None = None
    display: str | None = None


class FormatParam(Struct):
    type: str
    schema: dict[str, Any] | None = None


class OutputParam(Struct):
    effort: str | None = None
    format: FormatParam | None = None


class MetadataParam(Struct):
    user_id: str | None = None


class CountBody(Struct):
    """The part of a body that is counted; `count_tokens` sends nothing else of importance."""

    messages: Annotated[list[MessageParam], Meta(max_length=MESSAGES_MAX)]
    system: Content | None = None
    tools: Annotated[list[MessagesTool], Meta(max_length=TOOLS_MAX)] | None = None


class MessagesBody(CountBody, kw_only=True):
    """A body of `POST /v1/messages`; of its last three members only the presence is read."""

    model: str
    max_tokens: int | None = None
    stream: bool | None = None
    tool_choice: ToolChoiceParam | None = None
    thinking: ThinkingParam | None = None
    output_config: OutputParam | None = None
    output_format: FormatParam | None = None
    metadata: MetadataParam | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    mcp_servers: Any = None
    container: Any = None
    thread: Any = None


class _Head(Struct):
    type: str


_BLOCK: msgspec.json.Decoder[Block] = msgspec.json.Decoder(Block)
_HEAD = msgspec.json.Decoder(_Head)
_KINDS = frozenset(
    kind.__struct_config__.tag
    for kind in (
        TextBlock,
        ImageBlock,
        DocumentBlock,
        SearchResultBlock,
        ThinkingBlock,
        RedactedThinkingBlock,
        ToolUseBlock,
        ToolResultBlock,
        ToolReferenceBlock,
    )
)


def kind_of_block(raw: Raw) -> str:
    """The kind of something that `read_block` took for a block."""
    return _HEAD.decode(raw).type


def read_block(raw: Raw, path: str) -> Block | None:
    """The block at `path`, or None for a kind that is not read here.

    Raises `InvalidRequest` for a block of a known kind that is not as it should be, and for
    anything that is not a block at all.
    """
    try:
        return _BLOCK.decode(raw)
    except (ValueError, RecursionError) as error:
        complaint = error
    try:
        if _HEAD.decode(raw).type not in _KINDS:
            return None
    except (ValueError, RecursionError) as error:
        complaint = error
    raise InvalidRequest(f"{path}: {complaint}", param=path)
