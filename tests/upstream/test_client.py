"""The connection to an upstream, against the simulated one and against a socket that misbehaves."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.core.events import Finished, Text, Usage
from gateway.core.request import Sampling, UserMessage
from gateway.core.request import Text as TextPart
from gateway.core.spec import FleetLimits
from gateway.errors import (
    ContextOverflow,
    InvalidRequest,
    TollgateError,
    UpstreamBroken,
    UpstreamError,
    UpstreamMisconfigured,
    UpstreamOverloaded,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from gateway.simulated.server import running
from gateway.upstream.chat import ChatUpstream
from gateway.upstream.chat.reply import ChatReply
from gateway.wire.base import Chunk
from tests.upstream.support import chunk, event, request, resolve, stream

LIMITS = FleetLimits()
Serve = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def upstream_at(
    url: str, credential: str | None = None, limits: FleetLimits = LIMITS
) -> AsyncIterator[ChatUpstream]:
    upstream = ChatUpstream("main", url, credential, limits)
    try:
        yield upstream
    finally:
        await upstream.close()


@asynccontextmanager
async def socket_that(serve: Serve) -> AsyncIterator[str]:
    """A server of ours: `serve` gets the head of each request and writes what it likes."""
    tasks: set[asyncio.Task[Any]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                await serve(head, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def answer(body: bytes, kind: str = "application/json", status: str = "200 OK") -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def send(
    upstream: ChatUpstream, script: str, model: str = "generic", **members: Any
) -> ChatReply:
    wanted = request(UserMessage((TextPart(script),)), **members)
    return await upstream.send(upstream.prepare(wanted, resolve(model)), {})


async def read_all(reply: ChatReply) -> list[Chunk]:
    chunks: list[Chunk] = []
    while more := await reply.read():
        chunks += more
    return chunks


def told(chunks: list[Chunk]) -> str:
    events = [each for chunk in chunks for each in chunk.events()]
    return "".join(each.text for each in events if isinstance(each, Text))


def ask(script: str, **members: Any) -> tuple[str, Usage | None]:
    """The text and usage of a streamed answer of the simulated upstream."""

    async def run() -> tuple[str, Usage | None]:
        async with running() as url, upstream_at(url) as upstream:
            reply = await send(upstream, script, stream=True, **members)
            try:
                return told(await read_all(reply)), reply.usage
            finally:
                reply.close()

    return asyncio.run(run())


def fail(script: str, **members: Any) -> TollgateError:
    with pytest.raises(TollgateError) as caught:
        ask(script, **members)
    return caught.value


def play(serve: Serve, limits: FleetLimits = LIMITS, streaming: bool = True) -> Any:
    """What becomes of one request to a socket that misbehaves: an answer, or an error."""

    async def run() -> Any:
        async with socket_that(serve) as url, upstream_at(url, "secret", limits) as upstream:
            try:
                reply = await send(upstream, "hello", stream=streaming)
            except TollgateError as error:
                return error
            try:
                return told(await read_all(reply)) if streaming else await reply.answer()
            except TollgateError as error:
                return error
            finally:
                reply.close()

    return asyncio.run(run())


@pytest.mark.parametrize(
    "writes", ["", "!split\n", "!coalesce\n", "!spaces\n", "!tight\n", "!comments\n", "!no-done\n"]
)
@pytest.mark.parametrize("place", ["final", "choice", "both", "finish"])
def test_a_stream_is_read_whole_with_its_usage(writes: str, place: str) -> None:
    text, usage = ask(f"{writes}!usage {place}\n!cached 3\n!answer Grüße, 世界")
    assert text == "Grüße, 世界"
    assert usage is not None
    assert usage.input > 0
    assert usage.cached == 3


def test_an_answer_that_is_not_streamed() -> None:
    async def run() -> Any:
        async with running() as url, upstream_at(url) as upstream:
            reply = await send(upstream, "!answer Hello")
            whole = await reply.answer()
            reply.close()
            return whole

    whole = asyncio.run(run())
    assert list(whole.events())[:2] == [Text("Hello"), Finished("stop")]
    assert whole.usage.output > 0
    assert json.loads(whole.data)["choices"][0]["message"]["content"] == "Hello"


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        ("!error 400", InvalidRequest),
        ("!error 401", UpstreamMisconfigured),
        ("!error 404", UpstreamMisconfigured),
        ("!error 429 engine_overloaded_error 3", UpstreamOverloaded),
        ("!error 429 exceeded_current_quota_error", UpstreamMisconfigured),
        ("!error 500", UpstreamError),
        ("!error 503", UpstreamOverloaded),
        ("!error 504", UpstreamTimeout),
        ("!hang-up", UpstreamUnreachable),
        ("!chunks 5\n!cut 2", UpstreamBroken),
        ("!chunks 5\n!error-event", UpstreamBroken),
        ("!end-early", UpstreamBroken),
    ],
)
def test_failures_of_an_upstream(script: str, kind: type[TollgateError]) -> None:
    assert type(fail(script)) is kind


def test_a_quota_of_ours_tells_the_client_nothing_of_our_account() -> None:
    error = fail("!error 429 rate_limit_reached_error 2")
    assert error.retry_after_seconds == 2
    assert "org-" not in error.message


def test_an_overflow_comes_back_as_one() -> None:
    error = fail("hello", model="kimi-k2.6", max_tokens=10**7)
    assert type(error) is ContextOverflow


def test_errors_inside_an_answer_that_is_not_streamed() -> None:
    async def run(script: str) -> TollgateError:
        async with running() as url, upstream_at(url) as upstream:
            reply = await send(upstream, script)
            with pytest.raises(TollgateError) as caught:
                await reply.answer()
            reply.close()
            return caught.value

    for script in ("!error-event", "!end-early", "!cut 0"):
        assert isinstance(asyncio.run(run(script)), UpstreamBroken)


def test_every_choice_is_waited_for() -> None:
    text, _ = ask("!answer Hi", sampling=Sampling(n=2))
    assert text == "Hi"


def test_the_request_carries_the_credential_and_what_the_flow_adds() -> None:
    heads: list[bytes] = []

    async def serve(head: bytes, writer: asyncio.StreamWriter) -> None:
        heads.append(head.lower())
        writer.write(answer(json.dumps({"choices": [{"finish_reason": "stop"}]}).encode()))

    async def run() -> None:
        async with socket_that(serve) as url, upstream_at(url, "sk-upstream") as upstream:
            outgoing = upstream.prepare(request(), resolve("generic"))
            reply = await upstream.send(outgoing, {"traceparent": "00-1-2-01"})
            await reply.answer()
            reply.close()

    asyncio.run(run())
    [head] = heads
    assert head.startswith(b"post /v1/chat/completions http/1.1")
    assert b"authorization: bearer sk-upstream\r\n" in head
    assert b"traceparent: 00-1-2-01\r\n" in head
    assert b"content-type: application/json\r\n" in head
    assert b"accept-encoding: identity\r\n" in head
    assert b"cookie" not in head


def test_a_large_body_is_sent_whole() -> None:
    text, usage = ask("!answer ok\n" + "x " * 1_500_000)
    assert text == "ok"
    assert usage is not None
    assert usage.input > 1_000_000


def test_connections_are_used_again_after_a_stream() -> None:
    async def run() -> int:
        opened = 0
        done = asyncio.Event()

        async def serve(head: bytes, writer: asyncio.StreamWriter) -> None:
            nonlocal opened
            opened = len({*ports, writer.get_extra_info("peername")[1]})
            ports.add(writer.get_extra_info("peername")[1])
            writer.write(STREAM_HEAD + chunked(stream(chunk({}, "stop"), "[DONE]")))
            await writer.drain()
            await done.wait()  # the end of the body comes after the client has seen [DONE]
            writer.write(b"0\r\n\r\n")

        ports: set[int] = set()
        async with socket_that(serve) as url, upstream_at(url) as upstream:
            for _ in range(3):
                done.clear()
                reply = await send(upstream, "hello", stream=True)
                assert len(await read_all(reply)) == 1
                reply.close()
                done.set()
                async with asyncio.timeout(5):
                    while not is_idle(upstream):
                        await asyncio.sleep(0)
        return opened

    def is_idle(upstream: ChatUpstream) -> bool:
        session = upstream._session
        assert session is not None
        assert session.connector is not None
        return not session.connector._acquired  # there is no public count

    assert asyncio.run(run()) == 1


def test_a_stream_that_is_left_early_cuts_its_connection() -> None:
    async def run() -> None:
        gone = asyncio.Event()

        async def serve(head: bytes, writer: asyncio.StreamWriter) -> None:
            writer.write(STREAM_HEAD + chunked(stream(chunk({"content": "x"}))))
            await writer.drain()
            try:
                while not writer.is_closing():
                    writer.write(chunked(b": more\n\n"))
                    await writer.drain()
                    await asyncio.sleep(0.005)
            finally:
                gone.set()

        async with socket_that(serve) as url, upstream_at(url) as upstream:
            reply = await send(upstream, "hello", stream=True)
            assert len(await reply.read()) == 1
            reply.close()
            async with asyncio.timeout(5):
                await gone.wait()

    asyncio.run(run())


QUICK = FleetLimits(upstream_silence_seconds=0.1, upstream_connect_seconds=0.2)


def test_silence_ends_in_a_timeout_before_and_within_the_answer() -> None:
    async def say_nothing(head: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)

    async def stall(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + chunked(stream(chunk({"content": "x"}))))
        await asyncio.sleep(30)

    for serve in (say_nothing, stall):
        began = time.monotonic()
        assert type(play(serve, QUICK)) is UpstreamTimeout
        assert time.monotonic() - began < 5


def test_nobody_listening_is_unreachable() -> None:
    async def run() -> TollgateError:
        async with socket_that(never) as url:
            pass
        async with upstream_at(url) as upstream:
            with pytest.raises(TollgateError) as caught:
                await send(upstream, "hello")
            return caught.value

    async def never(head: bytes, writer: asyncio.StreamWriter) -> None:
        raise AssertionError("nobody asks")

    assert type(asyncio.run(run())) is UpstreamUnreachable


def test_a_redirect_is_not_followed() -> None:
    async def serve(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:1/\r\n"
            b"content-length: 0\r\n\r\n"
        )

    assert type(play(serve)) is UpstreamMisconfigured


@pytest.mark.parametrize("streaming", [True, False])
def test_no_http_at_all_is_unreachable(streaming: bool) -> None:
    async def serve(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
        writer.close()

    assert type(play(serve, streaming=streaming)) is UpstreamUnreachable


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"error": {"type": "engine_overloaded_error", "message": "busy"}}, UpstreamOverloaded),
        ({"error": {"type": "invalid_request_error", "message": "odd"}}, UpstreamError),
        ({"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}, UpstreamBroken),
    ],
)
def test_json_where_a_stream_was_asked_for(body: Any, kind: type[TollgateError]) -> None:
    async def serve(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(json.dumps(body).encode()))

    assert type(play(serve)) is kind


def test_a_stream_under_another_name_is_still_read() -> None:
    async def serve(head: bytes, writer: asyncio.StreamWriter) -> None:
        body = stream(chunk({"content": "x"}), chunk({}, "stop"))
        writer.write(answer(body, "text/plain; charset=utf-8"))

    assert play(serve) == "x"


def test_a_body_shorter_than_announced_is_broken() -> None:
    async def serve(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(event(chunk({"content": "x"}), "\n") + b"x" * 100)[:-50])
        writer.close()

    assert type(play(serve)) is UpstreamBroken
    assert type(play(serve, streaming=False)) is UpstreamBroken


def test_a_refusal_of_any_size_is_read_to_a_bound() -> None:
    async def serve(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"x" * 1_000_000, "text/html", "400 Bad Request"))
        await writer.drain()

    error = play(serve)
    assert type(error) is InvalidRequest
    assert "xxx" not in error.message


def test_a_credential_that_cannot_be_a_header_is_a_misconfiguration() -> None:
    async def run() -> TollgateError:
        async with running() as url, upstream_at(url, "broken\nheader") as upstream:
            with pytest.raises(TollgateError) as caught:
                await send(upstream, "hello")
            return caught.value

    error = asyncio.run(run())
    assert type(error) is UpstreamMisconfigured
    assert "broken" not in error.message
