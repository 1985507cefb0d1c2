"""Coders of compressed bodies, by the coding that a header names."""

import gzip
import sys
import zlib
from collections.abc import Callable

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def pack_zstd(content: bytes, *, level: int = 3, window_log: int = 0) -> bytes:
    """One frame with a sum, and without its size, which a client that streams does not know."""
    options: dict[int, int] = {
        zstd.CompressionParameter.compression_level: level,
        zstd.CompressionParameter.checksum_flag: 1,
        zstd.CompressionParameter.window_log: window_log,
    }
    packer = zstd.ZstdCompressor(options=options)
    return packer.compress(content) + packer.flush()


CODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": pack_zstd,
}
