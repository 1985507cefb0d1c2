"""A compressed body of a request, opened piece by piece.

Owns the codings that are read. Must never make more than one piece before the caller has seen how
much there is by now: a body of some kilobytes may stand for gigabytes.

Sources: RFC 9110, section 8.4; RFC 1950 and RFC 1952.
"""

import zlib
from collections.abc import Iterator

from gateway.core.concurrency.worker_thread import LARGE_BYTES
from gateway.core.errors import InvalidRequest

#: zlib's `wbits` of each coding
_WINDOWS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
#: bytes that one step takes, and bytes that it makes; the first one makes less, since most bodies
#: are small and need no thread
_TAKEN_BYTES = 256 * 1024
PIECE_BYTES = 1024 * 1024


def read_coding(headers: list[tuple[bytes, bytes]]) -> str | None:
    """The coding of a body, if it has one; raises `InvalidRequest` for what is not read."""
    values = [value.decode("latin-1") for name, value in headers if name == b"content-encoding"]
    names = [name.strip().lower() for value in values for name in value.split(",")]
    codings = [name for name in names if name not in ("", "identity")]
    if not codings:
        return None
    if len(codings) > 1 or codings[0] not in _WINDOWS:
        given = ", ".join(codings)[:64]
        raise InvalidRequest(
            f"Bodies compressed with '{given}' are not supported; use gzip or deflate, or none."
        )
    return codings[0]


def decompress(body: bytes, coding: str) -> Iterator[bytes]:
    """The content in pieces, each made when it is asked for.

    Raises `InvalidRequest` where the body is not what its coding names, all of it.
    """
    stream = zlib.decompressobj(_WINDOWS[coding])
    at, size, rest = 0, LARGE_BYTES, b""
    while not stream.eof:
        if not rest:
            rest = body[at : at + _TAKEN_BYTES]
            at += len(rest)
        try:
            piece = stream.decompress(rest, size)
        except zlib.error:
            raise InvalidRequest(f"The body is not {coding}, as its header states.") from None
        rest = stream.unconsumed_tail
        if piece:
            yield piece
            size = PIECE_BYTES
        elif not rest and at == len(body) and not stream.eof:
            raise InvalidRequest(f"The body ends before its {coding} does.")
    if stream.unused_data or at < len(body):
        raise InvalidRequest(f"The body goes on behind the end of its {coding}.")
