"""Content blocks that a user or a tool result may hold, from the wire to internal parts.

Owns what becomes of images, documents, search results and tool references: a PDF stays a document
until its text is read. Must never fail for a kind of block it does not know: such a block is left
out, since a client cannot take it back out of its history. Source: Anthropic API reference,
"Messages", content blocks.
"""

from collections.abc import Iterator

from msgspec import Struct

from gateway.core.errors import UnsupportedParameter
from gateway.core.request import DocumentPart, ImagePart, Part, TextPart
from gateway.dialects.inline import (
    IMAGE_OMITTED,
    NOT_FETCHED,
    PDF,
    UNKNOWN_TYPE,
    read_image_url,
    shown_kind,
    text_of,
)
from gateway.dialects.messages.types import (
    Block,
    CitationsParam,
    Content,
    DocumentBlock,
    ImageBlock,
    SearchResultBlock,
    SourceParam,
    TextBlock,
    ToolReferenceBlock,
    kind_of_block,
    read_block,
)


class BlockContext(Struct, frozen=True):
    """The place of a block: its path in the body, and where to name what is left out.

    `unknown_blocks` are places of blocks of unknown kinds, and of empty ones. An image that is not
    inline is an error in the user's newest message, and left out anywhere else.
    """

    path: str
    degraded: list[str]
    unknown_blocks: list[str] = []
    is_newest: bool = False

    def inside(self, member: str, *, is_newest: bool | None = None) -> "BlockContext":
        if is_newest is None:
            is_newest = self.is_newest
        path = f"{self.path}.{member}"
        return BlockContext(path, self.degraded, self.unknown_blocks, is_newest)


def read_blocks(
    content: Content | None, place: BlockContext
) -> Iterator[tuple[Block, BlockContext]]:
    """The blocks of a content that are known here, each with its place."""
    if isinstance(content, str):
        yield TextBlock(content), place
        return
    for index, raw in enumerate(content or ()):
        inner = place.inside(str(index))
        block = read_block(raw, inner.path)
        if block is None:
            place.unknown_blocks.append(inner.path)
            place.degraded.append(f"input.{shown_kind(kind_of_block(raw))}")
            continue
        if type(block) is TextBlock and (not block.text or block.text.isspace()):
            place.unknown_blocks.append(inner.path)
        yield block, inner


def read_text(content: Content | None, place: BlockContext, separator: str = "\n\n") -> str:
    """The text blocks of a content, and nothing else of it."""
    return separator.join(
        block.text
        for block, _ in read_blocks(content, place)
        if isinstance(block, TextBlock) and block.text
    )


def read_parts(content: Content | None, place: BlockContext) -> Iterator[Part]:
    """The parts of a content that a model may see."""
    for block, inner in read_blocks(content, place):
        yield from parts_of(block, inner)


def parts_of(block: Block, place: BlockContext) -> Iterator[Part]:
    """The parts of one block that a model may see; nothing of kinds that do not belong here."""
    match block:
        case TextBlock(text=text):
            if text:
                yield TextPart(text)
        case ImageBlock(source=source):
            yield _image(source, place)
        case DocumentBlock():
            yield from _document(block, place)
        case SearchResultBlock(title=title, source=origin, content=content, citations=citations):
            _leave_out(citations, place)
            text = read_text(content, place.inside("content"))
            yield TextPart(f"[search result {title}]\nSource: {origin}\n\n{text}")
        case ToolReferenceBlock(tool_name=name):
            yield TextPart(f"Tool {name} is now available")


def _image(source: SourceParam, place: BlockContext) -> Part:
    url = read_image_url(f"data:{source.media_type};base64,{source.data or ''}")
    if source.type != "base64" or url is None:
        if not place.is_newest:
            place.degraded.append("image")
            return TextPart(IMAGE_OMITTED)
        raise UnsupportedParameter(
            f"{place.path}.source: only images of a base64 source are supported",
            param=f"{place.path}.source",
        )
    return ImagePart(url)


def _document(block: DocumentBlock, place: BlockContext) -> Iterator[Part]:
    _leave_out(block.citations, place)
    name = block.title or "untitled"
    yield TextPart(f"[document {name}]" + (f"\n{block.context}" if block.context else ""))
    source, path = block.source, f"{place.path}.source"
    match source.type:
        case "text" if source.data is not None:
            yield TextPart(source.data)
        case "content":
            yield from read_parts(source.content, place.inside("source.content"))
        case "base64" if source.media_type == PDF and source.data is not None:
            yield DocumentPart("", path=path, data=source.data)
        case "base64" if source.data is not None:
            text = text_of(source.media_type or "", source.data)
            yield (
                DocumentPart("", path=path, problem=UNKNOWN_TYPE)
                if text is None
                else TextPart(text)
            )
        case "url" | "file":
            yield DocumentPart("", path=path, problem=NOT_FETCHED)
        case _:
            yield DocumentPart("", path=path, problem=UNKNOWN_TYPE)


def _leave_out(citations: CitationsParam | None, place: BlockContext) -> None:
    if citations is not None and citations.enabled:
        place.degraded.append("citations")
