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
_GZIP = 31
_WINDOWS = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": 15}
#: the beginning of each member of a gzip body; more than so many are not read
_MEMBER = b"\x1f\x8b"
_MEMBERS_MAX = 256
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
    window = _WINDOWS[coding]
    if coding == "deflate" and not _has_zlib_header(body):
        window = -zlib.MAX_WBITS
    stream = zlib.decompressobj(window)
    at, size, rest, members = 0, LARGE_BYTES, b"", 1
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
        if stream.eof:
            at -= len(stream.unused_data)
            if body.startswith(_MEMBER, at) and window == _GZIP and members < _MEMBERS_MAX:
                stream, rest, members = zlib.decompressobj(window), b"", members + 1
    if at < len(body):
        raise InvalidRequest(f"The body goes on behind the end of its {coding}.")


def _has_zlib_header(body: bytes) -> bool:
    """True for deflate as it is defined; some clients send the bare stream without its wrapping."""
    return len(body) < 2 or (body[0] & 0x0F == 8 and int.from_bytes(body[:2]) % 31 == 0)
