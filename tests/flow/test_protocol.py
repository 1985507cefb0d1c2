"""The server's side of HTTP, with small applications instead of the gateway."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

import pytest
import uvicorn

from gateway.connection import Message, Receive, Scope, Send
from gateway.protocol import ClientProtocol
from tests.harness.raw import RawConnection, chunk, request_head

BODY = b"an answer"
LENGTH = (b"content-length", b"%d" % len(BODY))


@contextmanager
def serving(application: Any) -> Iterator[int]:
    """The port of a server with this application."""
    config = uvicorn.Config(
        application,
        http=ClientProtocol,
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
    told = f"{scope['method']} {scope['path']} {scope['query_string'].decode()} ".encode() + given
    await send(head(200, (b"content-length", b"%d" % len(told))))
    await send(body(told))


def test_a_head_and_a_short_body_are_one_write() -> None:
    with serving(echo) as port, RawConnection(port) as connection:
        connection.send(request_head("GET", "/a%20b?c=d"))
        data = connection.receive_write()
    assert data.startswith(b"HTTP/1.1 200 OK\r\ndate: ")
    assert data.endswith(b"\r\n\r\nGET /a b c=d ")


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


async def _say_nothing(scope: Scope, receive: Receive, send: Send) -> None:
    await read(receive)


async def _break_a_line(scope: Scope, receive: Receive, send: Send) -> None:
    await send(head(200, (b"x", b"y\r\nset-cookie: z"), LENGTH))
    await send(body(BODY))


@pytest.mark.parametrize("application", [_raise, _say_nothing, _break_a_line])
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
def test_an_answer_that_breaks_off_can_be_told_from_a_whole_one(application: Any) -> None:
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
