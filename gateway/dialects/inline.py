"""Inline content, the only kind that is served: nothing is fetched for anyone.

Owns what counts as an inline image, where another is refused, and what a file is that a client
sends along: text, a document whose text has still to be read, or neither. Must never look into the
image itself. Sources: RFC 2397; Moonshot, "Use the Kimi vision model", whose servers take exactly
this form of image; OpenAI API reference, "File inputs".
"""

import re
from base64 import b64decode
from collections.abc import Sequence
from urllib.parse import unquote_to_bytes

from gateway.core.request import DocumentPart, TextPart

PDF = "application/pdf"
UNKNOWN_TYPE = "Documents of this kind are not supported, only PDF and plain text."
IMAGE_OMITTED = "[image omitted: it was not given inline]"
NOT_FETCHED = "Documents must be given inline; they are not fetched, and no files are kept here."
#: the beginning of every PDF, in base64
_PDF_START = "JVBERi0"
#: of a file that is not in base64; each costs a hundred times its bytes to read
_ESCAPES_MAX = 100_000
#: media types that are text although their names do not show it
_TEXT_TYPES = frozenset({"application/json", "application/xml", "application/yaml"})
_INLINE_IMAGE = re.compile(
    r"data:(image/[\w.+-]{1,100}) ?"
    r"(?:; ?[\w.+-]{1,100}=(?:\"[^\",;]{0,100}\"|[\w.+%-]{0,100}) ?){0,8}; ?base64 ?,(?=.)",
    re.ASCII | re.IGNORECASE,
)
#: a name that clients use -> the type's own
_REAL_TYPES = {"image/jpg": "image/jpeg"}
_ESCAPES = (
    ("%2B", "+"), ("%2b", "+"), ("%2F", "/"), ("%2f", "/"), ("%3D", "="), ("%3d", "="),
)  # fmt: skip
_SHOWN_KIND = re.compile(r"[a-zA-Z0-9_.-]{1,64}")


def read_image_url(url: str) -> str | None:
    """A URL that holds an image itself, as `data:image/png;base64,…`; None for any other.

    Case and parameters (`;charset=utf-8`) are the client's to choose; servers know the plain form.
    """
    found = _INLINE_IMAGE.match(url)
    if found is None:
        return None
    media_type = found[1].lower()
    plain = f"data:{_REAL_TYPES.get(media_type, media_type)};base64,"
    if url.startswith(plain) and "%" not in url:
        return url
    return plain + _unescape(url[found.end() :])


def _unescape(data: str) -> str:
    """Base64 without the escapes of URLs, of which it can have few kinds only."""
    if "%" in data:
        for escape, character in _ESCAPES:
            data = data.replace(escape, character)
    return data


def newest_user_message(roles: Sequence[object]) -> int | None:
    """The index of the user's last message; None where the model has answered since.

    There, and only there, content that cannot be served is refused: further up the client could not
    take it back, and every later turn would fail.
    """
    for index in range(len(roles) - 1, -1, -1):
        if roles[index] == "user":
            return index
        if roles[index] == "assistant":
            break
    return None


def shown_kind(kind: str) -> str:
    """A kind that a client named, as a header may show it."""
    return kind if _SHOWN_KIND.fullmatch(kind) else "unknown"


def read_file(file_data: str | None, path: str) -> TextPart:
    """The text of a file, or the document that will become it.

    `file_data` is a `data:` URL, or bare base64 of a PDF as some clients send it; None where the
    client only names the file.
    """
    if file_data is None:
        return DocumentPart("", path=path, problem=NOT_FETCHED)
    header, comma, data = file_data.partition(",")
    if not comma:
        header, data = f"data:{PDF};base64", file_data
        if not file_data.startswith(_PDF_START):
            return DocumentPart("", path=path, problem=UNKNOWN_TYPE)
    header = header.lower().removeprefix("data:")
    media_type, *parameters = [piece.strip() for piece in header.split(";")]
    is_base64 = "base64" in parameters
    if is_base64:
        data = _unescape(data)
    if is_base64 and (media_type == PDF or data.startswith(_PDF_START)):
        return DocumentPart("", path=path, data=data)
    text = text_of(media_type, data, is_base64=is_base64)
    return DocumentPart("", path=path, problem=UNKNOWN_TYPE) if text is None else TextPart(text)


def text_of(media_type: str, data: str, *, is_base64: bool = True) -> str | None:
    """The text of a file of one of the textual media types; None for any other file, and for one
    that would be better off in base64."""
    media_type = media_type.lower()
    if not media_type.startswith("text/") and media_type not in _TEXT_TYPES:
        return None
    if not is_base64 and data.count("%") > _ESCAPES_MAX:
        return None
    try:
        raw = b64decode(data) if is_base64 else unquote_to_bytes(data)
    except ValueError:
        return None
    return raw.decode("utf-8", errors="replace")
