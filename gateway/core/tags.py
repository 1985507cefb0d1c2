"""Tags: pairs of a name and a value by which a client sorts its requests.

    x-faregate-tags: team=search,feature=answers            a header, in any dialect
    {"metadata": {"team": "search", "feature": "answers"}}  a body of OpenAI's dialects

They stay with the charge and group usage. The header is ours, so what is wrong in it is refused;
`metadata` is OpenAI's, so pairs of it that are no tags are left out. Source: OpenAI API reference,
"metadata" (16 pairs, 64 and 512 characters); the header is written as W3C Baggage.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import msgspec

from gateway.core.errors import InvalidRequest

HEADER = b"x-faregate-tags"
#: in questions, before a tag's name: `group_by=tag:team`, `tag:team=search`
TAG = "tag:"
#: of one request
TAGS_MAX = 8
NAME_CHARACTERS_MAX = 64
VALUE_CHARACTERS_MAX = 512
#: values that begin with the same characters count together, and those beyond a day's bound
VALUE_COUNTED_MAX = 128
OTHER = "other"
#: 16 pairs as long as OpenAI allows, each character written as two escapes of six bytes
_METADATA_BYTES_MAX = 16 * (NAME_CHARACTERS_MAX + VALUE_CHARACTERS_MAX) * 12 + 1024
_NAME = re.compile(rf"[^\s,=]{{1,{NAME_CHARACTERS_MAX}}}")

Tags = dict[str, str]
_encode = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def is_name(name: str) -> bool:
    """True for the name of a tag: printable, without spaces, commas and equals signs."""
    return _NAME.fullmatch(name) is not None and name.isprintable()


def is_value(value: object) -> bool:
    """True for the value of a tag: a text that is printable and not empty."""
    return isinstance(value, str) and 0 < len(value) <= VALUE_CHARACTERS_MAX and value.isprintable()


def tags_of_metadata(metadata: Mapping[str, Any]) -> Tags:
    """The first eight pairs that are tags."""
    tags: Tags = {}
    for name, value in metadata.items():
        if is_name(name) and is_value(value):
            tags[name] = value
            if len(tags) == TAGS_MAX:
                break
    return tags


def tags_of_json(metadata: bytes) -> Tags:
    """The same of JSON; none of a value that is no object, or that is longer than OpenAI allows."""
    if len(metadata) > _METADATA_BYTES_MAX:
        return {}
    try:
        return tags_of_metadata(_decode(metadata))
    except (ValueError, RecursionError):
        return {}


def tags_of_header(header: bytes) -> Tags:
    """Pairs such as `team=search`, between commas; UTF-8, where `%2C` is a comma.

    Raises `InvalidRequest`.
    """
    pairs = [pair for pair in header.split(b",") if pair.strip()]
    if len(pairs) > TAGS_MAX:
        raise _wrong(f"a request has {TAGS_MAX} tags at most")
    tags: Tags = {}
    for pair in pairs:
        name, _, value = (_unquoted(part) for part in pair.partition(b"="))
        if not (is_name(name) and is_value(value)):
            raise _wrong(
                "write tags as name=value, with commas between them; a name has"
                f" {NAME_CHARACTERS_MAX} characters at most, a value {VALUE_CHARACTERS_MAX},"
                " and a comma within a value is %2C"
            )
        tags.setdefault(name, value)
    return tags


def written(header: bytes, metadata: Tags) -> str | None:
    """The tags of a request as they are kept, in JSON: eight at most, first those of its header.

    Raises `InvalidRequest`.
    """
    tags = {**(given := tags_of_header(header)), **metadata, **given}
    return _encode(dict(list(tags.items())[:TAGS_MAX])).decode() if tags else None


def read_written(tags: str) -> Tags:
    """The tags that were kept; none of a text that cannot be read."""
    return tags_of_json(tags.encode())


def _unquoted(part: bytes) -> str:
    try:
        return unquote(part.decode().strip(), errors="strict")
    except UnicodeDecodeError:
        return ""


def _wrong(sentence: str) -> InvalidRequest:
    return InvalidRequest(f"{HEADER.decode()}: {sentence}", param=HEADER.decode())
