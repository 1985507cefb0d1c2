"""The content of an upstream's body that came compressed, although that was not asked for.

Some proxies compress all that they pass on. A stream that is compressed is not read.
"""

from collections.abc import Iterator

from gateway.core.content_coding import ContentCodingError, decompress, read_coding
from gateway.core.errors import UpstreamBroken

Headers = dict[bytes, bytes]


def is_compressed(headers: Headers) -> bool:
    """True if the headers, by lower-case name, name a coding of the body."""
    return headers.get(b"content-encoding", b"identity").strip().lower() not in (b"identity", b"")


def refused_coding(headers: Headers) -> UpstreamBroken:
    """The failure for a stream that is compressed."""
    coding = headers[b"content-encoding"].decode("latin-1")[:64]
    return UpstreamBroken(
        f"The upstream compressed its stream with '{coding}', although it was asked not to."
    )


def read_content(body: bytes, headers: Headers, bytes_max: int) -> Iterator[bytes]:
    """The content of a compressed body in pieces, each made when it is asked for.

    Raises `UpstreamBroken` for a coding that is not read, a body that is not what its coding names,
    and more than `bytes_max` of content.
    """
    size = 0
    try:
        coding = read_coding(list(headers.items()))
        for piece in decompress(body, coding) if coding else ():
            size += len(piece)
            if size > bytes_max:
                raise UpstreamBroken("The upstream's answer is too large.")
            yield piece
    except ContentCodingError as error:
        raise UpstreamBroken(
            f"The upstream compressed its answer, although it was asked not to. {error}"
        ) from None
