"""Content parts that a message or a tool's output may hold, from the wire to internal parts.

Owns what becomes of images and files. Must never fetch anything: a URL that is not inline is
refused. Source: OpenAI API reference, "Responses", input content.
"""

import re
from base64 import b64decode
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_to_bytes

from msgspec import Struct

from gateway.core.request import Image, Text
from gateway.core.request import Part as InternalPart
from gateway.errors import InvalidRequest, UnsupportedParameter
from gateway.wire.inline import is_inline_image
from gateway.wire.json import convert, encode
from gateway.wire.responses.types import Part

_TEXT_PARTS = frozenset({"input_text", "output_text", "text", "summary_text", "reasoning_text"})
#: media types that are text although they do not say so
_TEXT_TYPES = frozenset({"application/json", "application/xml", "application/yaml"})
_SHOWN_KIND = re.compile(r"[a-zA-Z0-9_.-]{1,64}")
_DETAILS = {"low": "low", "high": "high", "auto": "auto", "original": "high"}


class Place(Struct, frozen=True):
    """Where a content stands: its path in the body, and whether it is the user's newest message.

    A file that cannot be read is an error there, and a note in `degraded` further up, where the
    client could not take it back.
    """

    path: str
    is_newest: bool
    degraded: list[str]


def shown_kind(kind: str) -> str:
    """A kind that a client named, as a header may show it."""
    return kind if _SHOWN_KIND.fullmatch(kind) else "unknown"


def read_parts(content: str | list[Any] | None, place: Place) -> Iterator[InternalPart]:
    """What a model may see of a content; raises `InvalidRequest` for what cannot be served."""
    if isinstance(content, str):
        yield Text(content)
        return
    for index, raw in enumerate(content or ()):
        path = f"{place.path}.{index}"
        yield _read_part(convert(raw, Part, path), path, place)


def read_text(content: str | list[Any] | None, place: Place, separator: str = "") -> str:
    """The text of a content, refusals among it, and nothing else."""
    return separator.join(
        part.text for part in read_parts(content, place) if isinstance(part, Text) and part.text
    )


def read_output(output: Any, place: Place) -> tuple[InternalPart, ...]:
    """A tool's output: text, parts, or any JSON where the kind of tool says so."""
    if output is None or output == "":
        return ()
    if isinstance(output, str):
        return (Text(output),)
    if isinstance(output, list) and all(_is_part(entry) for entry in output):
        return tuple(read_parts(output, place))
    return (Text(encode(output).decode()),)


def _is_part(entry: Any) -> bool:
    kind = entry.get("type") if isinstance(entry, dict) else None
    return isinstance(kind, str) and (kind.startswith("input_") or kind in _TEXT_PARTS)


def _read_part(part: Part, path: str, place: Place) -> InternalPart:
    if part.type in _TEXT_PARTS:
        if part.text is None:
            raise InvalidRequest(
                f"Missing required parameter: '{path}.text'.", param=f"{path}.text"
            )
        return Text(part.text)
    if part.type == "refusal":
        return Text(part.refusal or "")
    if part.type == "input_image":
        return _image(part, path)
    if part.type == "input_file":
        text = _text_of_file(part)
        if text is not None:
            return Text(f"[file {part.filename or 'untitled'}]\n{text}")
    return _omitted(part, path, place)


def _image(part: Part, path: str) -> Image:
    url = part.image_url
    if url is None or not is_inline_image(url):
        member = "image_url" if url is not None or part.file_id is None else "file_id"
        raise InvalidRequest(
            "Images must be given inline, as a `data:` URL in `image_url`; they are not fetched.",
            param=f"{path}.{member}",
        )
    return Image(url, _DETAILS.get(part.detail or ""))


def _text_of_file(part: Part) -> str | None:
    """The text of an inline text file; None for any other file."""
    header, comma, data = (part.file_data or "").partition(",")
    if not comma or not header.startswith("data:"):
        return None
    media_type, *parameters = header.removeprefix("data:").split(";")
    if not media_type.startswith("text/") and media_type not in _TEXT_TYPES:
        return None
    try:
        raw = b64decode(data) if "base64" in parameters else unquote_to_bytes(data)
    except ValueError:
        return None
    return raw.decode("utf-8", errors="replace")


def _omitted(part: Part, path: str, place: Place) -> Text:
    name = part.filename or part.type or "part"
    if place.is_newest:
        raise UnsupportedParameter(
            f"'{path}': this kind of content is not supported ({name}); only text, inline images"
            " and inline text files are.",
            param=path,
        )
    place.degraded.append(f"input.{shown_kind(part.type)}")
    return Text(f"[{name} omitted: not supported]")
