"""Events are the same however the bytes are cut and lines are ended."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import UpstreamBroken
from gateway.dialects.sse import SSEDecoder


def cut(*reads: bytes, limit: int = 1000) -> list[bytes]:
    decoder = SSEDecoder(limit)
    found = [data for read in reads for data in decoder.feed(read)]
    return found + decoder.finish()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("data: a|data: b||data: c||", [b"a b", b"c"]),
        (": comment||data: a||: again|: more|data: b||", [b"a", b"b"]),
        ("event: x|id: 1|retry: 5|data: a||", [b"a"]),
        ("data:a||data:  b ||data: {}||", [b"a", b"b", b"{}"]),
        ("data: ä€𝄞||", ["ä€𝄞".encode()]),
        ("||||data: a||||", [b"a"]),
        ("data||database: a||", []),
        ("\ufeffdata: a||", [b"a"]),
        ('error: {"code":500}||', [b'{"error":{"code":500}}']),
        ("error: words||errors: {}||", []),
        ("data: a||data: b", [b"a", b"b"]),
        ("", []),
    ],
)
def test_events_of_every_shape_cut_at_every_byte(
    written: str, end: str, expected: list[bytes]
) -> None:
    raw = written.replace("|", end).encode()
    assert cut(raw) == expected
    assert cut(*(raw[at : at + 1] for at in range(len(raw)))) == expected
    for at in range(len(raw)):
        assert cut(raw[:at], raw[at:]) == expected


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_an_event_of_many_lines_is_joined_once(end: str) -> None:
    """Every line comes alone: what came before must not be joined to each."""

    def seconds(lines: int) -> float:
        decoder = SSEDecoder(1_000_000_000)
        began = time.thread_time()
        for _ in range(lines):
            assert decoder.feed(f"data: {'x' * 90}{end}".encode()) == []
        assert len(decoder.feed(end.encode())) == 1
        return time.thread_time() - began

    few, many = (min(seconds(lines) for _ in range(3)) for lines in (20_000, 40_000))
    assert many < 2.6 * few


@given(st.data())
def test_any_cutting_gives_the_same_events(data: st.DataObject) -> None:
    lines = st.sampled_from(["data: {}", "data:x", ": c", "event: e", "", "", "data: \u20ac"])
    ends = st.sampled_from(["\n", "\r\n", "\r"])
    raw = "".join(
        line + end for line, end in data.draw(st.lists(st.tuples(lines, ends), max_size=20))
    ).encode()
    places = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=8)))
    reads = [raw[a:b] for a, b in zip([0, *places], [*places, len(raw)], strict=True)]
    assert cut(*reads) == cut(raw)


@pytest.mark.parametrize("size", [1, 60])
def test_an_event_that_is_too_large_is_refused_before_it_is_held(size: int) -> None:
    decoder = SSEDecoder(100)
    decoder.feed(b"data: ")
    with pytest.raises(UpstreamBroken):
        for _ in range(200):
            decoder.feed(b"x" * size)
    assert len(cut(b"data: " + b"x" * 90 + b"\n\n" + b"data: y\n\n", limit=100)) == 2
