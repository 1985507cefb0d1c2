"""A compressed body opens piece by piece, and is refused where it is not what its header states."""

import gzip
import os
import zlib
from collections.abc import Callable

import pytest

from gateway.core.content_coding import PIECE_BYTES, ContentCodingError, decompress, read_coding
from tests.harness.codings import CODERS as ALL_CODERS
from tests.harness.codings import pack_zstd

MIB = 2**20
CODERS = {**ALL_CODERS, "x-gzip": gzip.compress}
#: a frame that carries something else
SKIPPED = b"\x50\x2a\x4d\x18\x04\0\0\0abcd"
#: bodies of more than one member, and without the wrapping
OTHER_FORMS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "members": (
        "gzip",
        lambda content: b"".join(
            gzip.compress(content[at : at + MIB]) for at in range(0, len(content), MIB)
        ),
    ),
    "empty member": ("gzip", lambda content: gzip.compress(content) + gzip.compress(b"")),
    "frames": (
        "zstd",
        lambda content: b"".join(
            pack_zstd(content[at : at + MIB]) for at in range(0, len(content), MIB)
        ),
    ),
    "empty frame": ("zstd", lambda content: pack_zstd(content) + pack_zstd(b"")),
    "skipped frame": ("zstd", lambda content: SKIPPED + pack_zstd(content)),
    "best": ("zstd", lambda content: pack_zstd(content, level=19)),
    "bare": ("deflate", lambda content: zlib.compress(content, wbits=-zlib.MAX_WBITS)),
}

every_coding = pytest.mark.parametrize(("coding", "coder"), CODERS.items())


@every_coding
@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b" " * (5 * MIB), os.urandom(3 * MIB), os.urandom(MIB) + b"a" * MIB],
    ids=["empty", "short", "even", "random", "mixed"],
)
def test_the_content_comes_back(
    coding: str, coder: Callable[[bytes], bytes], content: bytes
) -> None:
    assert b"".join(decompress(coder(content), coding)) == content


@pytest.mark.parametrize(("coding", "coder"), OTHER_FORMS.values(), ids=OTHER_FORMS)
@pytest.mark.parametrize(
    "content",
    [b"{}", b'{"model": "a"}' * MIB, os.urandom(3 * MIB)],
    ids=["short", "even", "random"],
)
def test_the_content_of_another_form_comes_back(
    coding: str, coder: Callable[[bytes], bytes], content: bytes
) -> None:
    assert b"".join(decompress(coder(content), coding)) == content


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_so_many_members_are_read_and_not_more(coding: str) -> None:
    member = CODERS[coding](b"a")
    assert b"".join(decompress(member * 256, coding)) == b"a" * 256
    with pytest.raises(ContentCodingError, match="goes on"):
        list(decompress(member * 257, coding))


@every_coding
def test_no_more_than_a_piece_is_made_before_it_is_asked_for(
    coding: str, coder: Callable[[bytes], bytes]
) -> None:
    """A thousand times as much as arrived: its reader has seen a few pieces, and stops."""
    bomb = coder(b"\0" * (128 * MIB))
    assert len(bomb) < MIB // 4
    pieces = decompress(bomb, coding)
    sizes = [len(next(pieces)) for _ in range(4)]
    assert max(sizes) <= PIECE_BYTES


@pytest.mark.parametrize(
    ("coding", "nothing"),
    [("deflate", b"\0\0\0\xff\xff" * MIB), ("zstd", b"\x28\xb5\x2f\xfd\0\x58" + b"\0" * 6 * MIB)],
)
def test_blocks_that_hold_nothing_are_read_step_by_step(coding: str, nothing: bytes) -> None:
    """Such a body takes seconds of a thread that others wait for, and makes no byte."""
    steps = 0
    with pytest.raises(ContentCodingError, match="ends before"):
        for piece in decompress(nothing, coding):
            steps += 1
            assert piece == b""
    assert steps >= len(nothing) // (256 * 1024) - 1


@pytest.mark.parametrize(("log", "read"), [(23, True), (24, False)])
def test_a_zstd_body_refers_back_8_mib_at_most(log: int, read: bool) -> None:
    body = pack_zstd(b"{}", window_log=log)
    if read:
        assert b"".join(decompress(body, "zstd")) == b"{}"
    else:
        with pytest.raises(ContentCodingError, match="is not zstd"):
            list(decompress(body, "zstd"))


@every_coding
@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda body: b"", "ends before"),
        (lambda body: body[:-1], "ends before"),
        (lambda body: b"{}" + body, "is not|ends before|goes on"),
        (lambda body: body[:-5] + b"\0\0\0\0\0", "is not"),
        (lambda body: body + b"{}", "goes on"),
        (lambda body: body + body[:-1], "ends before|goes on"),
    ],
    ids=["nothing", "cut", "plain", "sum", "rest", "cut behind"],
)
def test_what_is_not_whole_is_refused(
    coding: str, coder: Callable[[bytes], bytes], spoil: Callable[[bytes], bytes], reason: str
) -> None:
    with pytest.raises(ContentCodingError, match=reason):
        list(decompress(spoil(coder(os.urandom(1000))), coding))


@pytest.mark.parametrize(
    ("values", "coding"),
    [
        ([b"gzip"], "gzip"),
        ([b" GZIP "], "gzip"),
        ([b"x-gzip"], "x-gzip"),
        ([b"deflate"], "deflate"),
        ([b"zstd"], "zstd"),
        ([b"identity, gzip"], "gzip"),
        ([b"identity", b"Deflate"], "deflate"),
        ([b"identity"], None),
        ([b""], None),
    ],
)
def test_the_coding_of_a_body(values: list[bytes], coding: str | None) -> None:
    headers = [(b"content-encoding", value) for value in values]
    assert read_coding([(b"accept-encoding", b"br"), *headers]) == coding


@pytest.mark.parametrize(
    "values", [[b"dcz"], [b"br"], [b"\xff"], [b"gzip, gzip"], [b"gzip", b"deflate"]]
)
def test_any_other_coding_is_refused(values: list[bytes]) -> None:
    with pytest.raises(ContentCodingError, match="use gzip, zstd or deflate"):
        read_coding([(b"content-encoding", value) for value in values])
