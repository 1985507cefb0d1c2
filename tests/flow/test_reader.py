"""Bytes to requests: in any pieces, and never further than one."""

from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.http.connection_admission import ConnectionAdmission, ConnectionLimits, peer_of
from gateway.http.reader import PARAMETERS_MAX, RequestReader, RequestRefused
from tests.harness.raw import chunk

LAST = chunk(b"")


class Recorder:
    """The requests that were understood, one by one."""

    def __init__(self) -> None:
        self.reader = RequestReader(self._begin)
        self.requests: list[dict[str, Any]] = []

    def _begin(self) -> "Recorder":
        reader = self.reader
        head = {name: getattr(reader, name) for name in ("method", "path", "query", "headers")}
        self.requests.append({**head, "keep": reader.keep_alive, "body": b"", "whole": False})
        return self

    def take(self, body: bytes) -> None:
        self.requests[-1]["body"] += body

    def take_end(self) -> None:
        assert not self.requests[-1]["whole"]
        self.requests[-1]["whole"] = True

    def feed(self, data: bytes) -> None:
        """All of it, request after request."""
        place = 0
        while place < len(data):
            place = len(data) - self.reader.feed(data, place)
            if self.reader.is_whole:
                assert self.requests[-1]["whole"]
                self.reader.next()


def bodies(text: bytes) -> list[bytes]:
    """The end of a head and a body, in each way to state how long it is."""
    pieces = b"".join(chunk(text[place : place + 3]) for place in range(0, len(text), 3))
    plain, chunked = b"content-length: %d\r\n" % len(text), b"Transfer-Encoding: chunked\r\n"
    return [
        plain + b"\r\n" + text,
        chunked + b"\r\n" + pieces + LAST,
        chunked + b"\r\n" + pieces + b"0;x=y\r\nx-trailer: z\r\nhost: b\r\n\r\n",
        b"connection: Upgrade\r\nupgrade: h2c\r\n" + plain + b"\r\n" + text,
        b"upgrade: h2c\r\nconnection: Upgrade\r\n" + chunked + b"\r\n" + pieces + LAST,
    ]


texts = st.sampled_from([b"", b"x", b"\r\n\r\n", b"\r\n\r\n0\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"])
one = st.builds(
    lambda path, text, way: (
        path,
        text,
        b"POST %b?q HTTP/1.1\r\nHost: a\r\n%b" % (path, bodies(text)[way]),
    ),
    st.sampled_from([b"/a", b"/a%2fb", b"//"]),
    texts,
    st.integers(0, 4),
)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.lists(one, min_size=1, max_size=4), st.lists(st.integers(1, 400), max_size=8), st.data())
def test_pieces_make_no_difference(
    asked: list[tuple[bytes, bytes, bytes]], places: list[int], data: st.DataObject
) -> None:
    between = data.draw(st.sampled_from([b"", b"\r\n", b"\r\n\r\n"]))
    whole = between + between.join(request for _, _, request in asked)
    at_once, in_pieces, by_bytes = Recorder(), Recorder(), Recorder()
    at_once.feed(whole)
    cuts = [0, *sorted(places), len(whole)]
    for start, end in pairwise(cuts):
        in_pieces.feed(whole[start:end])
    for place in range(len(whole)):
        by_bytes.feed(whole[place : place + 1])
    assert at_once.requests == in_pieces.requests == by_bytes.requests
    seen = [(each["path"], each["body"], each["whole"]) for each in at_once.requests]
    assert seen == [(path, text, True) for path, text, _ in asked]
    assert all(each["query"] == b"q" for each in at_once.requests)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.lists(st.binary(max_size=60), max_size=6))
def test_noise_is_refused_and_nothing_else(pieces: list[bytes]) -> None:
    recorder = Recorder()
    with suppress(RequestRefused):
        for piece in pieces:
            recorder.feed(piece)
    assert all(request["whole"] for request in recorder.requests[:-1])


def test_a_peer_is_an_address_or_the_network_of_a_site() -> None:
    assert peer_of("192.0.2.7") == "192.0.2.7"
    assert peer_of("::ffff:192.0.2.7") == "192.0.2.7"
    assert peer_of("2001:db8:1:2:3::4") == peer_of("2001:db8:1:2:ffff::") == "2001:db8:1:2::/64"
    assert peer_of("2001:db8:1:3::") != peer_of("2001:db8:1:2::")
    assert peer_of("fe80::1%eth0") == "fe80::/64"


def test_what_connections_take_is_given_back() -> None:
    reasons: list[str] = []
    admission = ConnectionAdmission(ConnectionLimits(connections=3, per_peer=2), reasons.append)
    assert [admission.enter("a"), admission.enter("a"), admission.enter("a")] == [
        None,
        None,
        "peer",
    ]
    assert [admission.enter("b"), admission.enter("c")] == [None, "full"]
    admission.leave("a")
    assert [admission.enter("c"), admission.enter("a")] == [None, "full"]
    for peer in ("a", "b", "c"):
        admission.leave(peer)
    assert admission.open == 0
    assert [admission.enter("a"), admission.enter("a"), admission.enter("a")] == [
        None,
        None,
        "peer",
    ]


@pytest.mark.parametrize(("between", "is_taken"), [(b"", False), (b"x" * 128, True)])
def test_empty_lines_are_paid_for_by_the_rest_of_a_body(between: bytes, is_taken: bool) -> None:
    """The reader stops at each, for one of them is the end of a body in chunks."""
    recorder, text = Recorder(), (b"\r\n\r\n" + between) * 2_000
    recorder.feed(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
    if is_taken:
        recorder.feed(chunk(text) + LAST)
        assert recorder.requests[0]["body"] == text
    else:
        with pytest.raises(RequestRefused, match="more beside a body than in it"):
            recorder.feed(chunk(text))


def test_a_query_has_so_many_parameters_at_most() -> None:
    recorder = Recorder()
    for number in (PARAMETERS_MAX, PARAMETERS_MAX + 1):
        query = b"&".join([b"a=b"] * number)
        head = b"GET /api/v1/usage?%b HTTP/1.1\r\nhost: a\r\n\r\n" % query
        if number == PARAMETERS_MAX:
            recorder.feed(head)
            assert recorder.requests[0]["query"] == query
        else:
            with pytest.raises(RequestRefused, match="parameters"):
                recorder.feed(head)


@pytest.mark.parametrize("size", [1_000, 4_000])
def test_a_head_by_bytes_is_kept_once(size: int) -> None:
    recorder = Recorder()
    data = b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"y" * size + b"\r\n\r\n"
    for place in range(len(data)):
        recorder.feed(data[place : place + 1])
    assert recorder.requests[0]["headers"][-1] == (b"x", b"y" * size)
