"""Bytes that are not quite HTTP: lies about lengths, odd heads, noise."""

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.fuzz.support import Prober, bounded, check_envelope
from tests.harness.dialects import PATHS
from tests.harness.raw import Answer, RawConnection, chunk, request_head, resident_bytes

CHAT = PATHS["chat"]
BODY = b'{"model":"kimi-k2.5","messages":[{"role":"user","content":"Hi"}]}'
#: what the HTTP server answers to a head that it cannot read, before anything of ours sees it
NOT_HTTP = b"Invalid HTTP request received."
MEBIBYTE = 1024 * 1024


def send(prober: Prober, *pieces: bytes, end: bool = False) -> Answer | None:
    """The answer to these bytes; `end` means that no more will come, which may cut the answer."""
    with RawConnection(prober.gateway.port) as connection:
        for piece in pieces:
            if not connection.send(piece):
                break
        if end:
            connection.send_end()
        return connection.receive()


def head(prober: Prober, **headers: str | int) -> bytes:
    return request_head("POST", CHAT, x_api_key=prober.key, **headers)


def check_alive(prober: Prober) -> None:
    prober.check("/api/v1/account", prober.http.get("/api/v1/account"))


@pytest.mark.parametrize("given", [0, 1, len(BODY) // 2, len(BODY) - 1])
def test_a_body_that_ends_too_early_is_never_charged(prober: Prober, given: int) -> None:
    assert send(prober, head(prober, content_length=len(BODY)), BODY[:given], end=True) is None
    chunked = head(prober, transfer_encoding="chunked")
    assert send(prober, chunked, chunk(BODY[: given + 1]), end=True) is None
    check_alive(prober)


def test_what_follows_a_body_is_another_request_or_noise(prober: Prober) -> None:
    with RawConnection(prober.gateway.port) as connection:
        short = head(prober, content_length=len(BODY) - 1)
        connection.send(short + BODY + b"GET / HTTP/1.1\r\n\r\n")
        answer = connection.receive()
    assert answer is not None
    assert answer.status == 400
    check_alive(prober)


def test_requests_in_a_row_are_answered_in_their_order(prober: Prober) -> None:
    with RawConnection(prober.gateway.port) as connection:
        paths = ["/api/v1/account", "/nothing", "/api/openai/v1/models"]
        connection.send(b"".join(request_head("GET", path, x_api_key=prober.key) for path in paths))
        statuses = []
        for _ in paths:
            status, headers = connection.receive_head()
            connection.receive_bytes(int(headers["content-length"]))
            statuses.append(status)
    assert statuses == [200, 404, 200]


@pytest.mark.parametrize(
    "headers",
    [
        {"content_length": -1},
        {"content_length": "+5"},
        {"content_length": "5, 5"},
        {"content_length": "0x10"},
        {"content_length": "9" * 30},
        {"content_length": 2, "transfer_encoding": "chunked"},
        {"transfer_encoding": "chunked, gzip"},
        {"x\x00y": "z"},
        {"x y": "z"},
        {"x": "a\x00b"},
        {"x": "a\r\n b"},
        {"x": "a\rb"},
    ],
    ids=str,
)
def test_a_head_that_could_be_read_in_two_ways_is_refused(
    prober: Prober, headers: dict[str, str | int]
) -> None:
    """Else what stands before the gateway may see another request than the gateway does."""
    answer = send(prober, head(prober, **headers), BODY)
    assert answer is not None
    assert answer.status == 400
    check_alive(prober)


@pytest.mark.parametrize("piece", [b"zz\r\n", b"-1\r\n", b"f" * 20 + b"\r\n", b"5 \r\nabc"])
def test_a_chunk_of_no_size_is_refused(prober: Prober, piece: bytes) -> None:
    answer = send(prober, head(prober, transfer_encoding="chunked"), piece, end=True)
    assert answer is None or answer.status == 400
    check_alive(prober)


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n" * 1000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET\r\n\r\n",
        b"CONNECT example.com:443 HTTP/1.1\r\nhost: example.com\r\n\r\n",
        b"GET /api/v1/account HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n",
    ],
    ids=lambda data: repr(data[:24]),
)
def test_what_is_no_request_of_ours_does_no_harm(prober: Prober, data: bytes) -> None:
    answer = send(prober, data, end=True)
    assert answer is None or answer.status in (400, 401, 404, 405)
    check_alive(prober)


@bounded
@given(st.binary(min_size=1, max_size=300))
@example(b"GET / HTTP/1.1\r\n\r\n")
def test_noise_does_no_harm(prober: Prober, data: bytes) -> None:
    answer = send(prober, data, end=True)
    assert answer is None or answer.status in (400, 401, 404, 405)


printable = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=40)
lines = st.tuples(
    st.sampled_from(
        [b"x-api-key", b"authorization", b"content-length", b"transfer-encoding", b"expect", b"x"]
    )
    | st.binary(max_size=12),
    printable.map(str.encode)
    | st.binary(max_size=40)
    | st.sampled_from([b"chunked", b"2", b"100-continue", b"0", b"gzip"]),
)


@bounded
@given(st.sampled_from(sorted(PATHS.values())), st.lists(lines, max_size=5), st.binary(max_size=20))
def test_any_lines_in_a_head_do_no_harm(
    prober: Prober, path: str, headers: list[tuple[bytes, bytes]], content: bytes
) -> None:
    start = f"POST {path} HTTP/1.1\r\nhost: gateway.test\r\n".encode()
    given = (b"%b: %b\r\n" % line for line in headers)
    answer = send(prober, start, *given, b"\r\n", content, end=True)
    assert answer is None or answer.status in (100, 400, 401, 413)
    if answer is not None and answer.status != 100 and answer.body != NOT_HTTP:
        check_envelope(path, answer.body)


def test_a_large_head_is_read_or_refused(prober: Prober) -> None:
    for size in (1_000, 8_000, 30_000):
        answer = send(prober, request_head("GET", "/api/v1/account", x_pad="x" * size))
        assert answer is not None
        assert answer.status in (401, 431)


@pytest.mark.parametrize("start", ["GET /", "GET / HTTP/1.1\r\nx: ", "GET / HTTP/1.1\r\n"])
def test_a_head_without_end_is_cut(prober: Prober, start: str) -> None:
    """Nobody needs a key to send one."""
    before = resident_bytes(prober.gateway.pid)
    line = b"x" * 64 * 1024
    if start.endswith("1\r\n"):
        line = b"".join(b"x-%d: y\r\n" % number for number in range(5000))
    with RawConnection(prober.gateway.port) as connection:
        connection.send(start.encode())
        taken = sum(connection.send(line) for _ in range(128))
    assert taken < 128
    assert resident_bytes(prober.gateway.pid) - before < 4 * MEBIBYTE


def test_a_head_in_pieces_is_read_whatever_came_before(prober: Prober) -> None:
    """On one connection: a large body, and then heads that come a few bytes at a time."""
    large = BODY.ljust(200_000)
    with RawConnection(prober.gateway.port) as connection:
        for _ in range(3):
            connection.send(head(prober, content_length=len(large)) + large)
            status, headers = connection.receive_head()
            connection.receive_bytes(int(headers["content-length"]))
            prober.pay(int(headers["x-credits-charged"]))
            assert status == 200
            second = request_head("GET", "/api/v1/account", x_api_key=prober.key)
            for start in range(0, len(second), 16):
                connection.send(second[start : start + 16])
                time.sleep(0.002)  # else the pieces would travel as one
            status, headers = connection.receive_head()
            connection.receive_bytes(int(headers["content-length"]))
            assert status == 200
