"""The server's side of HTTP, with small applications instead of the gateway."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from threading import Event, Thread
from typing import Any

import pytest
import uvicorn

from gateway.http.connection_admission import KEPT_BYTES_MAX, ConnectionAdmission, ConnectionLimits
from gateway.http.protocol import ClientProtocol
from gateway.http.reader import HEAD_BYTES_MAX, HEADERS_MAX
from gateway.pipeline.connection import Message, Receive, Scope, Send
from tests.harness.raw import Answer, RawConnection, chunk, request_head, wait_steady

BODY = b"an answer"
LENGTH = (b"content-length", b"%d" % len(BODY))


@contextmanager
def serving(application: Any, admission: ConnectionAdmission | None = None) -> Iterator[int]:
    """The port of a server with this application."""
    protocol: Any = partial(ClientProtocol, admission=admission)
    config = uvicorn.Config(
        application,
        http=protocol,
        interface="asgi3",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=1,
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def head(status: int, *headers: tuple[bytes, bytes]) -> Message:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(data: bytes, *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


async def read(receive: Receive) -> bytes:
    data = bytearray()
    while True:
        message = await receive()
        data += message["body"]
        if not message["more_body"]:
            return bytes(data)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Method, path and body as they were understood."""
    given = await read(receive)
    found = f"{scope['method']} {scope['path']} {scope['query_string'].decode()} ".encode() + given
    await send(head(200, (b"content-length", b"%d" % len(found))))
    await send(body(found))


def test_a_head_and_a_short_body_are_one_write() -> None:
    with serving(echo) as port, RawConnection(port) as connection:
        connection.send(request_head("GET", "/a%20b?c=d"))
        data = connection.receive_write()
    assert data.startswith(b"HTTP/1.1 200 OK\r\ndate: ")
    assert data.endswith(b"\r\n\r\nGET /a%20b c=d ")


def test_the_head_of_a_stream_does_not_wait_for_its_first_event() -> None:
    async def silent(scope: Scope, receive: Receive, send: Send) -> None:
        await send(head(200))
        await read(receive)
        await send(body(b"event", more=True))
        await send(body(b""))

    with serving(silent) as port, RawConnection(port) as connection:
        connection.send(request_head("POST", "/", content_length=1))
        assert connection.receive_write().endswith(b"transfer-encoding: chunked\r\n\r\n")
        connection.send(b"x")
        assert list(connection.receive_chunks()) == [b"event"]


def test_requests_in_a_row_are_answered_one_after_the_other() -> None:
    with serving(echo) as port, RawConnection(port) as connection:
        one = request_head("POST", "/1", content_length=3) + b"one"
        two = request_head("PUT", "/2", transfer_encoding="chunked") + chunk(b"t") + chunk(b"wo")
        connection.send(one + two + chunk(b"") + request_head("GET", "/3"))
        answers = []
        for _ in range(3):
            _, headers = connection.receive_head()
            answers.append(connection.receive_bytes(int(headers["content-length"])))
    assert answers == [b"POST /1  one", b"PUT /2  two", b"GET /3  "]


def test_a_body_is_asked_for_only_by_who_reads_it() -> None:
    async def choosy(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/read":
            await read(receive)
        await send(head(200, LENGTH))
        await send(body(BODY))

    ask: dict[str, str | int] = {"content_length": 1, "expect": "100-continue"}
    with serving(choosy) as port, RawConnection(port) as connection:
        connection.send(request_head("POST", "/read", **ask))
        assert connection.receive_write() == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.send(b"x")
        assert connection.receive_write().startswith(b"HTTP/1.1 200")
        connection.send(request_head("POST", "/not", **ask))
        assert connection.receive_write().startswith(b"HTTP/1.1 200")


def test_an_answer_without_a_body_leaves_the_connection_as_it_was() -> None:
    async def bare(scope: Scope, receive: Receive, send: Send) -> None:
        await send(head(204) if scope["path"] == "/204" else head(200, LENGTH))
        await send(body(BODY))

    with serving(bare) as port, RawConnection(port) as connection:
        for method, path in [("GET", "/204"), ("HEAD", "/"), ("HEAD", "/204")]:
            connection.send(request_head(method, path))
            data = connection.receive_write()
            assert data.endswith(b"\r\n\r\n")
            assert b"transfer-encoding" not in data
        connection.send(request_head("GET", "/"))
        assert connection.receive_write().endswith(BODY)


@pytest.mark.parametrize(
    "request_bytes",
    [request_head("GET", "/", connection="close"), b"GET / HTTP/1.0\r\n\r\n"],
)
def test_who_does_not_want_the_connection_kept_sees_it_end(request_bytes: bytes) -> None:
    with serving(echo) as port, RawConnection(port) as connection:
        connection.send(request_bytes)
        data = connection.receive_rest()
    assert b"connection: close\r\n" in data
    assert data.endswith(b"GET /  ")


async def _raise(scope: Scope, receive: Receive, send: Send) -> None:
    raise RuntimeError("meant")


async def _stay_silent(scope: Scope, receive: Receive, send: Send) -> None:
    await read(receive)


async def _break_a_line(scope: Scope, receive: Receive, send: Send) -> None:
    await send(head(200, (b"x", b"y\r\nset-cookie: z"), LENGTH))
    await send(body(BODY))


@pytest.mark.parametrize("application", [_raise, _stay_silent, _break_a_line])
def test_an_application_that_cannot_answer_is_answered_for(application: Any) -> None:
    with serving(application) as port, RawConnection(port) as connection:
        connection.send(request_head("GET", "/"))
        data = connection.receive_rest()
    assert data.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert b"cookie" not in data
    assert data.endswith(b"\r\n\r\nInternal Server Error")


async def _raise_late(scope: Scope, receive: Receive, send: Send) -> None:
    await send(head(200))
    await send(body(BODY, more=True))
    raise RuntimeError("meant")


async def _stop_early(scope: Scope, receive: Receive, send: Send) -> None:
    await send(head(200))
    await send(body(BODY, more=True))


async def _fall_short(scope: Scope, receive: Receive, send: Send) -> None:
    await send(head(200, LENGTH))
    await send(body(BODY[1:]))


async def _go_too_far(scope: Scope, receive: Receive, send: Send) -> None:
    await send(head(200, LENGTH))
    await send(body(BODY + b"!"))


@pytest.mark.parametrize("application", [_raise_late, _stop_early, _fall_short, _go_too_far])
def test_an_answer_that_breaks_off_can_be_distinguished_from_a_whole_one(application: Any) -> None:
    with serving(application) as port, RawConnection(port) as connection:
        connection.send(request_head("GET", "/"))
        data = connection.receive_rest()
    assert not data.endswith((BODY, b"0\r\n\r\n"))


def test_a_connection_that_does_nothing_is_closed_and_one_at_work_is_not() -> None:
    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(1.2 if scope["path"] == "/slow" else 0)
        await echo(scope, receive, send)

    with serving(slow) as port, RawConnection(port) as connection:
        for path in (b"/quick", b"/slow"):
            connection.send(request_head("GET", path.decode()))
            assert connection.receive_write().endswith(path + b"  ")
        assert connection.receive_rest() == b""


async def reported_headers(scope: Scope, receive: Receive, send: Send) -> None:
    """The path, the body and the headers as they were understood."""
    given = await read(receive)
    lines = b"|".join(name + b":" + value for name, value in scope["headers"])
    found = b"%b %b %b" % (scope["path"].encode(), given, lines)
    await send(head(200, (b"content-length", b"%d" % len(found))))
    await send(body(found))


def ask(port: int, *pieces: bytes) -> Answer | None:
    with RawConnection(port) as connection:
        for piece in pieces:
            connection.send(piece)
            time.sleep(0.05)  # else they would travel as one
        return connection.receive()


def test_trailers_are_nobodys() -> None:
    whole = request_head("POST", "/", transfer_encoding="chunked", x_real="a") + chunk(b"body")
    trailers = b"0\r\nx-trailer: b\r\nhost: other\r\nexpect: 100-continue\r\n\r\n"
    with serving(reported_headers) as port:
        for pieces in ([whole + trailers], [whole, trailers], [whole + trailers[:9], trailers[9:]]):
            answer = ask(port, *pieces)
            assert answer is not None
            assert answer.body == b"/ body host:gateway.test|transfer-encoding:chunked|x-real:a"


OFFERS = {
    "Java": "Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAEAAEAA\r\nUpgrade: h2c",
    "curl": "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk",
    "a browser": "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13",
}


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
@pytest.mark.parametrize("is_chunked", [False, True])
def test_an_offer_to_speak_another_protocol_is_ignored(offer: str, is_chunked: bool) -> None:
    """RFC 9110, section 7.8; several clients make one with each first request."""
    length = "Transfer-Encoding: chunked" if is_chunked else "Content-Length: 4"
    start = f"POST /path HTTP/1.1\r\nHost: x\r\n{offer}\r\n{length}\r\n\r\n".encode()
    data = chunk(b"body") + chunk(b"") if is_chunked else b"body"
    following = request_head("GET", "/following")
    with serving(reported_headers) as port:
        for pieces in (
            [start + data],
            [start, data],
            [start[:-2], start[-2:] + data[:2], data[2:]],
        ):
            answer = ask(port, *pieces)
            assert answer is not None
            assert answer.body.startswith(b"/path body host:x|connection:Upgrade")
            assert b"|upgrade:" not in answer.body
        with RawConnection(port) as connection:
            connection.send(start + data + following)
            for path in (b"/path body", b"/following "):
                _, headers = connection.receive_head()
                assert connection.receive_bytes(int(headers["content-length"])).startswith(path)


def test_a_stream_to_a_client_of_http_1_0_ends_with_its_connection() -> None:
    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        await send(head(200))
        await send(body(b"one", more=True))
        await send(body(b"two", more=True))
        await send(body(b""))

    for keep in (b"", b"connection: keep-alive\r\n"):
        with serving(stream) as port, RawConnection(port) as connection:
            connection.send(b"POST / HTTP/1.0\r\n" + keep + b"content-length: 1\r\n\r\nx")
            data = connection.receive_rest()
        start, _, rest = data.partition(b"\r\n\r\n")
        assert b"transfer-encoding" not in start
        assert b"connection: close" in start
        assert rest == b"onetwo"


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/api%2fopenai/v1", "/api%2fopenai/v1 "),
        ("/a/../b", "/a/../b "),
        ("//a//b/", "//a//b/ "),
        ("/a;b=c/d%00e", "/a;b=c/d%00e "),
        ("/a?b=/c?d", "/a b=/c?d"),
        ("/a%3Fb", "/a%3Fb "),
        ("http://elsewhere.test/a/b?c", "/a/b c"),
        ("HTTPS://elsewhere.test:80", "/ "),
        ("http://elsewhere.test?c", "/ c"),
        ("*", "* "),
    ],
)
def test_a_path_is_what_was_sent(target: str, path: str) -> None:
    with serving(echo) as port:
        answer = ask(port, request_head("GET", target))
    assert answer is not None
    assert answer.body.decode() == f"GET {path} "


LAST = b"0\r\n\r\n"
REFUSED = {
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n",
    "an empty host": b"GET / HTTP/1.1\r\nhost:\r\n\r\n",
    "a host with a path": b"GET / HTTP/1.1\r\nhost: a/b\r\n\r\n",
    "a host with a user": b"GET / HTTP/1.1\r\nhost: a@b\r\n\r\n",
    "a host with a space": b"GET / HTTP/1.1\r\nhost: a b\r\n\r\n",
    "a host with bytes": b"GET / HTTP/1.1\r\nhost: a\xff\r\n\r\n",
    "two hosts in HTTP/1.0": b"GET / HTTP/1.0\r\nhost: a\r\nhost: b\r\n\r\n",
    "two codings": b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: identity, chunked\r\n\r\n"
    + LAST,
    "coding in two lines": b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n"
    b"transfer-encoding: chunked\r\n\r\n" + LAST,
    "a coding of no name": b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: xchunked\r\n\r\n"
    + LAST,
    "a length of 0 and chunks": b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n"
    b"transfer-encoding: chunked\r\n\r\n" + LAST,
    "chunks and a length": b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n"
    b"content-length: 5\r\n\r\n" + LAST,
    "the same length twice": b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n"
    b"content-length: 1\r\n\r\nx",
    "chunks in HTTP/1.0": b"POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
    + LAST,
    "HTTP/0.9": b"GET /\r\n\r\n",
    "HTTP/2.0": b"GET / HTTP/2.0\r\nhost: a\r\n\r\n",
    "a bare line feed": b"GET / HTTP/1.1\r\nhost: a\n\r\n\r\n",
    "only line feeds": b"GET / HTTP/1.1\nhost: a\n\n",
    "a folded line": b"GET / HTTP/1.1\r\nhost: a\r\nx: y\r\n z\r\n\r\n",
    "a space before the colon": b"GET / HTTP/1.1\r\nhost: a\r\nx : y\r\n\r\n",
    "a space before the first name": b"GET / HTTP/1.1\r\n host: a\r\n\r\n",
    "a NUL": b"GET / HTTP/1.1\r\nhost: a\r\nx: y\x00z\r\n\r\n",
    "a method of no end": b"A" * 5_000,
    "a tunnel": b"CONNECT a:443 HTTP/1.1\r\nhost: a\r\n\r\n",
    "a tunnel that is offered": b"CONNECT a:443 HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\n"
    b"upgrade: h2c\r\n\r\n",
    "another scheme": b"GET ftp://a/b HTTP/1.1\r\nhost: a\r\n\r\n",
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_what_follows_a_refused_head_is_no_request(data: bytes) -> None:
    paths: list[str] = []

    async def note(scope: Scope, receive: Receive, send: Send) -> None:
        paths.append(scope["path"])
        await echo(scope, receive, send)

    smuggled = request_head("GET", "/smuggled")
    with serving(note) as port:
        for pieces in ([data + smuggled], [data, smuggled]):
            answer = ask(port, *pieces)
            assert answer is not None
            assert answer.status == 400
            assert answer.headers["connection"] == "close"
    assert paths == []


@pytest.mark.parametrize(
    "data", [b"zz\r\n", b"-1\r\n", b"f" * 20 + b"\r\n", b"1\nx\n0\n\n", b"1\r\nxy\r\n0\r\n\r\n"]
)
def test_what_follows_a_broken_chunk_is_no_request(data: bytes) -> None:
    paths: list[str] = []

    async def note(scope: Scope, receive: Receive, send: Send) -> None:
        paths.append(scope["path"])
        with contextlib.suppress(KeyError):  # of a client that is gone
            await echo(scope, receive, send)

    start = request_head("POST", "/first", transfer_encoding="chunked")
    with serving(note) as port:
        answer = ask(port, start + data + request_head("GET", "/smuggled"))
    assert answer is not None
    assert answer.status == 400
    assert paths in ([], ["/first"])


@pytest.mark.parametrize("size", [HEAD_BYTES_MAX, HEAD_BYTES_MAX + 1, 110_000, 1_000_000])
@pytest.mark.parametrize("pieces", [1, 2, 100])
def test_a_head_has_so_many_bytes_and_not_one_more(size: int, pieces: int) -> None:
    filled = request_head("GET", "/", x="")
    data = request_head("GET", "/", x="y" * (size - len(filled)))
    assert len(data) == size
    step = -(-size // pieces)
    with serving(echo) as port, RawConnection(port) as connection:
        for place in range(0, size, step):
            if not connection.send(data[place : place + step]):
                break
        answer = connection.receive("GET")
    if size <= HEAD_BYTES_MAX:
        assert answer is not None
        assert answer.status == 200
    else:
        assert answer is None or answer.status == 431


def test_a_head_has_so_many_lines_and_not_one_more() -> None:
    with serving(echo) as port:
        for lines, status in ((HEADERS_MAX - 1, 200), (HEADERS_MAX, 431), (15_000, 431)):
            head_of_many = b"GET / HTTP/1.1\r\nhost: a\r\n" + b"a:\r\n" * lines + b"\r\n"
            for given in ([head_of_many], [head_of_many[:-2], b"\r\n"]):
                answer = ask(port, *given)
                assert answer is not None
                assert answer.status == status


def test_one_request_of_many_is_worked_on() -> None:
    """The others wait unread, and no more are begun than answers have room."""
    began = running = most = 0
    large = 100_000

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal began, running, most
        began, running = began + 1, running + 1
        most = max(most, running)
        await asyncio.sleep(0)
        await send(head(200, (b"content-length", b"%d" % large)))
        await send(body(b"x" * large))
        running -= 1

    many = 2_000
    with serving(slow) as port, RawConnection(port, receive_bytes=4096) as connection:
        connection.send(request_head("GET", "/") * many)
        wait_steady(lambda: began)
        assert began < 200
        for _ in range(many):
            _, headers = connection.receive_head()
            assert len(connection.receive_bytes(int(headers["content-length"]))) == large
    assert (began, most) == (many, 1)


def test_what_is_kept_for_connections_is_bounded_in_all_and_given_back() -> None:
    """Heads that do not end, and requests that come before their turn."""
    leave = Event()

    async def wait(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.to_thread(leave.wait, 20)
        await send(head(200, LENGTH))
        await send(body(BODY))

    admission = ConnectionAdmission(ConnectionLimits(head_seconds=30))
    part = b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 60_000
    ahead = request_head("GET", "/") * 1500
    with serving(wait, admission) as port, contextlib.ExitStack() as stack:
        admission.keep(KEPT_BYTES_MAX - 400_000)
        for data in (part, part, ahead, ahead):
            connection = stack.enter_context(RawConnection(port))
            connection.send(data)
        wait_steady(lambda: admission.kept_bytes)
        assert admission.kept_bytes > KEPT_BYTES_MAX - 400_000 + 2 * 60_000 + 2 * 16_000
        refused = stack.enter_context(RawConnection(port))
        for _ in range(40):
            refused.send(ahead)
        more = [stack.enter_context(RawConnection(port)) for _ in range(8)]
        for connection in more:
            connection.send(part)
        wait_steady(lambda: admission.kept_bytes)
        assert admission.kept_bytes <= KEPT_BYTES_MAX
        answer = more[-1].receive("GET")
        assert answer is not None
        assert answer.status == 503
        leave.set()
        stack.close()
        wait_steady(lambda: admission.kept_bytes)
        assert (admission.open, admission.kept_bytes) == (0, KEPT_BYTES_MAX - 400_000)


@pytest.mark.parametrize("sent", [b"x\r\n", b"x" * 200_000])
def test_a_client_that_leaves_is_noticed(sent: bytes) -> None:
    """Behind an empty line, which some send after a body, and behind a large body."""
    began, gone = Event(), Event()

    async def wait(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.2)  # all of it is here before it is read
        await read(receive)
        began.set()
        async with asyncio.timeout(20):
            while (await receive())["type"] != "http.disconnect":
                pass
        gone.set()

    with serving(wait) as port:
        with RawConnection(port) as connection:
            connection.send(request_head("POST", "/", content_length=sent.count(b"x")) + sent)
            assert began.wait(20)
        assert gone.wait(20)


def test_a_body_in_chunks_of_a_byte_takes_time_in_proportion() -> None:
    def seconds(size: int) -> float:
        data = chunk(b"x") * size + chunk(b"")
        best = 1e9
        for _ in range(3):
            began = time.process_time()
            answer = ask(port, request_head("POST", "/", transfer_encoding="chunked") + data)
            assert answer is not None
            assert answer.body.count(b"x") == size
            best = min(best, time.process_time() - began)
        return best

    with serving(echo) as port:
        seconds(1000)
        once, four_times = seconds(100_000), seconds(400_000)
    assert four_times < 6 * once + 0.1


@pytest.mark.parametrize("length", [{"content_length": 200_000}, {"transfer_encoding": "chunked"}])
def test_the_rest_of_an_answered_body_is_thrown_away(length: dict[str, str | int]) -> None:
    async def early(scope: Scope, receive: Receive, send: Send) -> None:
        await send(head(413, LENGTH))
        await send(body(BODY))

    data = b"x" * 200_000
    rest = data if "content_length" in length else chunk(data) + chunk(b"")
    with serving(early) as port, RawConnection(port) as connection:
        connection.send(request_head("POST", "/", **length))
        assert connection.receive_write().endswith(BODY)
        connection.send(rest + request_head("GET", "/next"))
        assert connection.receive_write().endswith(BODY)


def test_a_connection_whose_body_may_not_come_is_not_kept() -> None:
    async def early(scope: Scope, receive: Receive, send: Send) -> None:
        await send(head(401, LENGTH))
        await send(body(BODY))

    with serving(early) as port, RawConnection(port) as connection:
        connection.send(request_head("POST", "/", content_length=9, expect="100-continue"))
        data = connection.receive_rest()
    assert data.count(b"HTTP/1.1 ") == 1
    assert b"connection: close" in data
