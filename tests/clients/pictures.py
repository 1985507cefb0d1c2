"""A small picture, made here."""

import struct
import zlib


def red_square(pixels: int = 32) -> bytes:
    """A PNG of one colour. Source: the PNG specification, sections 5 and 11.2."""
    header = struct.pack(">IIBBBBB", pixels, pixels, 8, 2, 0, 0, 0)
    lines = (b"\0" + b"\xff\0\0" * pixels) * pixels
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
