"""The size of an image, read from its first bytes, and what it costs a model in tokens.

Owns four headers: PNG, JPEG, GIF and WebP. Must never decode an image, nor fail for one. Sources:
the PNG specification 11.2.1; ITU T.81 annex B; GIF89a section 18; RFC 9649.
"""

import struct
from base64 import b64decode

#: tokens of an image whose size cannot be read
UNREADABLE_TOKENS = 1024
#: larger images are shrunk before a model sees them
TOKENS_MAX = 4096
_PATCH_PIXELS = 28
#: a JPEG's size stands behind its metadata; this many base64 characters reach it nearly always
_HEADER_CHARACTERS = 4 * 65_536
#: of a JPEG, before its size
_SEGMENTS_MAX = 100


def image_tokens(data: str, start: int = 0) -> int:
    """Tokens of an image given in base64 from `start` on: one for each patch of 28 by 28 pixels."""
    size = image_size(_head(data[start : start + _HEADER_CHARACTERS]))
    if size is None:
        return UNREADABLE_TOKENS
    width, height = (-(-pixels // _PATCH_PIXELS) for pixels in size)
    return max(1, min(width * height, TOKENS_MAX))


def image_size(head: bytes) -> tuple[int, int] | None:
    """Width and height in pixels, or None where the header is not one of the four."""
    try:
        if head.startswith(b"\x89PNG\r\n\x1a\n"):
            return _pair(">II", head, 16)
        if head.startswith((b"GIF87a", b"GIF89a")):
            return _pair("<HH", head, 6)
        if head.startswith(b"\xff\xd8"):
            return _jpeg(head)
        if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
            return _webp(head)
    except (struct.error, IndexError):
        return None
    return None


def _head(head: str) -> bytes:
    try:
        return b64decode(head[: len(head) // 4 * 4])
    except ValueError:
        return b""


def _pair(layout: str, head: bytes, offset: int) -> tuple[int, int]:
    first, second = struct.unpack_from(layout, head, offset)
    return first, second


def _jpeg(head: bytes) -> tuple[int, int] | None:
    """Walk the segments to the first frame header; it gives the height before the width."""
    offset = 2
    for _ in range(_SEGMENTS_MAX):
        if head[offset] != 0xFF:
            break
        marker = head[offset + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = _pair(">HH", head, offset + 5)
            return width, height
        offset += 2 + int(struct.unpack_from(">H", head, offset + 2)[0])
    return None


def _webp(head: bytes) -> tuple[int, int] | None:
    kind = head[12:16]
    if kind == b"VP8 ":
        width, height = _pair("<HH", head, 26)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":
        bits = int(struct.unpack_from("<I", head, 21)[0])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8X":
        width = int.from_bytes(head[24:27], "little")
        height = int.from_bytes(head[27:30], "little")
        return (width + 1, height + 1) if len(head) >= 30 else None
    return None
