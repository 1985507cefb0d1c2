"""Content parts that a message or a tool's output may hold, from the wire to internal parts.

Owns what becomes of images and files: a PDF stays a document until its text is read. Must never
fetch anything: a URL that is not inline is refused, or left out. Source: OpenAI API reference,
"Responses", input content.
"""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from gateway.core.errors import InvalidRequest, UnsupportedParameter
from gateway.core.request import DocumentPart, ImagePart, TextPart
from gateway.core.request import Part as InternalPart
from gateway.dialects.inline import IMAGE_OMITTED, read_file, read_image_url, shown_kind
from gateway.dialects.json import convert, encode
from gateway.dialects.responses.types import InputPart

_TEXT_PARTS = frozenset({"input_text", "output_text", "text", "summary_text", "reasoning_text"})
_DETAILS = {"low": "low", "high": "high", "auto": "auto", "original": "high"}


class PartContext(Struct, frozen=True):
    """The place of a content: its path in the body, and whether it is the user's newest message.

    An image that is not inline or a part of an unknown kind is an error there, and a note in
    `degraded` further up, where the client could not take it back.
    """

    path: str
    is_newest: bool
    degraded: list[str]


def read_parts(content: str | list[Any] | None, place: PartContext) -> Iterator[InternalPart]:
    """The parts of a content that a model may see; raises `InvalidRequest` for what cannot be
    served."""
    if isinstance(content, str):
        yield TextPart(content)
        return
    for index, raw in enumerate(content or ()):
        path = f"{place.path}.{index}"
        part = convert(raw, InputPart, path)
        if part.type == "input_file":
            yield from _file(part, path)
        else:
            yield _read_part(part, path, place)


def read_text(content: str | list[Any] | None, place: PartContext, separator: str = "") -> str:
    """The text of a content, refusals among it, and nothing else."""
    texts: list[str] = []
    for part in read_parts(content, place):
        if isinstance(part, DocumentPart):
            place.degraded.append("document")
        elif isinstance(part, TextPart) and part.text:
            texts.append(part.text)
    return separator.join(texts)


def read_output(output: Any, place: PartContext) -> tuple[InternalPart, ...]:
    """A tool's output: text, parts, or any JSON where the kind of tool has it."""
    if output is None or output == "":
        return ()
    if isinstance(output, str):
        return (TextPart(output),)
    if isinstance(output, list) and all(_is_part(entry) for entry in output):
        return tuple(read_parts(output, place))
    return (TextPart(encode(output).decode()),)


def _is_part(entry: Any) -> bool:
    kind = entry.get("type") if isinstance(entry, dict) else None
    return isinstance(kind, str) and (kind.startswith("input_") or kind in _TEXT_PARTS)


def _read_part(part: InputPart, path: str, place: PartContext) -> InternalPart:
    if part.type in _TEXT_PARTS:
        if part.text is None:
            raise InvalidRequest(
                f"Missing required parameter: '{path}.text'.", param=f"{path}.text"
            )
        return TextPart(part.text)
    if part.type == "refusal":
        return TextPart(part.refusal or "")
    if part.type == "input_image":
        return _image(part, path, place)
    return _omitted(part, path, place)


def _image(part: InputPart, path: str, place: PartContext) -> InternalPart:
    given = part.image_url
    url = None if given is None else read_image_url(given)
    if url is None and not place.is_newest:
        place.degraded.append("image")
        return TextPart(IMAGE_OMITTED)
    if url is None:
        member = "image_url" if given is not None or part.file_id is None else "file_id"
        raise InvalidRequest(
            "Images must be given inline, as a `data:` URL in `image_url`; they are not fetched.",
            param=f"{path}.{member}",
        )
    return ImagePart(url, _DETAILS.get(part.detail or ""))


def _file(part: InputPart, path: str) -> Iterator[TextPart]:
    yield TextPart(f"[file {part.filename or 'untitled'}]")
    if part.file_data is not None:
        yield read_file(part.file_data, f"{path}.file_data")
    else:
        member = "file_url" if part.file_url is not None else "file_id"
        yield read_file(None, f"{path}.{member}")


def _omitted(part: InputPart, path: str, place: PartContext) -> TextPart:
    name = part.filename or part.type or "part"
    if place.is_newest:
        raise UnsupportedParameter(
            f"'{path}': this kind of content is not supported ({name}); only text, inline images"
            " and inline files are.",
            param=path,
        )
    place.degraded.append(f"input.{shown_kind(part.type)}")
    return TextPart(f"[{name} omitted: not supported]")
