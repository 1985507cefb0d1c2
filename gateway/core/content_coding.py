"""A compressed body, of a request or of an upstream's answer, opened piece by piece.

Owns the codings that are read. Must never make more than one piece before the caller has seen how
much there is by now: a body of some kilobytes may stand for gigabytes.

Sources: RFC 9110, section 8.4; RFC 1950 and RFC 1952; RFC 8878, and RFC 9659 for zstd's window.
"""

import sys
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol

from gateway.core.concurrency.worker_thread import LARGE_BYTES

_GZIP_MEMBER = b"\x1f\x8b"
#: the beginning of another member behind one, in the codings that have them; more than so many are
#: not read
_MEMBERS = {"gzip": _GZIP_MEMBER, "x-gzip": _GZIP_MEMBER, "zstd": b"\x28\xb5\x2f\xfd"}
_MEMBERS_MAX = 256
_CODINGS = {*_MEMBERS, "deflate"}
#: how far back a zstd body may refer, as a power of two: it is memory that the body asks for
_ZSTD_WINDOW_LOG_MAX = 23
#: bytes that one step takes, and bytes that it makes; the first one makes less, since most bodies
#: are small and need no thread
_TAKEN_BYTES = 256 * 1024
PIECE_BYTES = 1024 * 1024


class ContentCodingError(ValueError):
    """A body whose coding is not read, or that is in another one; its text is the reason."""


class _Member(Protocol):
    """A decompressor of one compressed stream, as bz2, lzma and zstd have it."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Deflated:
    """The same for zlib, whose own one hands back the input that it has not read."""

    def __init__(self, window: int) -> None:
        self._stream = zlib.decompressobj(window)

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def needs_input(self) -> bool:
        return not self._stream.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._stream.decompress(self._stream.unconsumed_tail or data, max_length)


def read_coding(headers: list[tuple[bytes, bytes]]) -> str | None:
    """The coding of a body, if it has one; raises `ContentCodingError` for an unknown one."""
    values = [value.decode("latin-1") for name, value in headers if name == b"content-encoding"]
    names = [name.strip().lower() for value in values for name in value.split(",")]
    codings = [name for name in names if name not in ("", "identity")]
    if not codings:
        return None
    if len(codings) > 1 or codings[0] not in _CODINGS:
        given = ", ".join(codings)[:64]
        raise ContentCodingError(
            f"Bodies compressed with '{given}' are not supported; use gzip, zstd or deflate, or"
            " none."
        )
    return codings[0]


def decompress(body: bytes, coding: str) -> Iterator[bytes]:
    """The content in pieces, each made when it is asked for; an empty one where much was read that
    holds nothing, so that no step is long.

    Raises `ContentCodingError` where the body is not what its coding names, all of it.
    """
    begin, error = _reader(body, coding)
    stream, at, size, members = begin(), 0, LARGE_BYTES, 1
    while not stream.eof:
        taken = b""
        if stream.needs_input:
            taken = body[at : at + _TAKEN_BYTES]
            at += len(taken)
        try:
            piece = stream.decompress(taken, size)
        except error:
            raise ContentCodingError(f"The body is not {coding}, as its header states.") from None
        if piece:
            yield piece
            size = PIECE_BYTES
        elif stream.needs_input and at == len(body) and not stream.eof:
            raise ContentCodingError(f"The body ends before its {coding} does.")
        elif not stream.eof:
            yield b""
        if stream.eof:
            at -= len(stream.unused_data)
            another = _MEMBERS.get(coding)
            if another and body.startswith(another, at) and members < _MEMBERS_MAX:
                stream, members = begin(), members + 1
    if at < len(body):
        raise ContentCodingError(f"The body goes on behind the end of its {coding}.")


def _reader(body: bytes, coding: str) -> tuple[Callable[[], _Member], type[Exception]]:
    """The way to begin a member of a coding, and the error of one that is not what it should be."""
    if coding == "zstd":
        return _zstd_reader()
    window = 31
    if coding == "deflate":
        window = zlib.MAX_WBITS if _has_zlib_header(body) else -zlib.MAX_WBITS
    return partial(_Deflated, window), zlib.error


def _zstd_reader() -> tuple[Callable[[], _Member], type[Exception]]:
    """Loaded for the first body that needs it."""
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd

    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG_MAX}
    return partial(zstd.ZstdDecompressor, options=options), zstd.ZstdError


def _has_zlib_header(body: bytes) -> bool:
    """True for deflate as it is defined; some clients send the bare stream without its wrapping."""
    return len(body) < 2 or (body[0] & 0x0F == 8 and int.from_bytes(body[:2]) % 31 == 0)
