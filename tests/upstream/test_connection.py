"""The connection to an upstream that is slow, rude, or not an upstream at all."""

import asyncio
import contextlib
import json
import resource
import time
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.core.concurrency.worker_thread import WorkerThread
from gateway.core.errors import (
    FaregateError,
    InvalidRequest,
    Overloaded,
    UpstreamBroken,
    UpstreamMisconfigured,
    UpstreamOverloaded,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from gateway.core.request import Sampling
from gateway.core.spec import FleetLimits
from gateway.dialects.base import Chunk
from gateway.dialects.endpoint import PassOn
from tests.dialects.support import chunk, event, request, resolve, stream
from tests.upstream.talk import (
    LIMITS,
    STREAM_HEAD,
    Serve,
    answer,
    chunked,
    read_all,
    send,
    socket_that,
    text_of,
    upstream_at,
)


def play(serve: Serve, limits: FleetLimits = LIMITS, streaming: bool = True) -> Any:
    """The end of one request to a socket that misbehaves: an answer, or an error."""

    async def run() -> Any:
        async with socket_that(serve) as url, upstream_at(url, "secret", limits) as upstream:
            try:
                reply = await send(upstream, "hello", stream=streaming)
            except FaregateError as error:
                return error
            try:
                return (
                    text_of(await read_all(reply))
                    if streaming
                    else await reply.answer(WorkerThread(), ("team-a", "team-a/alice"))
                )
            except FaregateError as error:
                return error
            finally:
                reply.close()

    return asyncio.run(run())


def test_the_request_carries_the_credential_and_what_the_flow_adds() -> None:
    heads: list[bytes] = []

    async def serve(head: bytes, writer: asyncio.StreamWriter) -> None:
        heads.append(head.lower())
        writer.write(answer(json.dumps({"choices": [{"finish_reason": "stop"}]}).encode()))

    async def run() -> None:
        async with socket_that(serve) as url, upstream_at(url, "sk-upstream") as upstream:
            outgoing = upstream.prepare(request(), resolve("generic"))
            reply = await upstream.send(outgoing, {"traceparent": "00-1-2-01"}, lambda: None)
            await reply.answer(WorkerThread(), ("team-a", "team-a/alice"))
            reply.close()

    asyncio.run(run())
    [head] = heads
    assert head.startswith(b"post /v1/chat/completions http/1.1")
    assert b"authorization: bearer sk-upstream\r\n" in head
    assert b"traceparent: 00-1-2-01\r\n" in head
    assert b"content-type: application/json\r\n" in head
    assert b"accept-encoding: identity\r\n" in head
    assert b"cookie" not in head


def test_a_request_may_go_to_a_path_of_its_own() -> None:
    lines: list[bytes] = []

    async def serve(head: bytes, writer: asyncio.StreamWriter) -> None:
        lines.append(head.split(b"\r\n")[0])
        writer.write(answer(json.dumps({"choices": [{"finish_reason": "stop"}]}).encode()))

    async def run() -> None:
        async with socket_that(serve) as url, upstream_at(url) as upstream:
            outgoing = upstream.prepare(request(), resolve("generic"))
            for path in ("/one?alt=sse", ""):
                reply = await upstream.send(replace(outgoing, path=path), {}, lambda: None)
                await reply.answer(WorkerThread(), ("team-a", "team-a/alice"))
                reply.close()
            with pytest.raises(UpstreamMisconfigured):
                await upstream.send(replace(outgoing, path="/é"), {}, lambda: None)

    asyncio.run(run())
    assert lines == [
        b"POST /v1/chat/completions/one?alt=sse HTTP/1.1",
        b"POST /v1/chat/completions HTTP/1.1",
    ]


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
                async with asyncio.timeout(30):
                    while upstream.idle_connections == 0:
                        await asyncio.sleep(0)
        return opened

    assert asyncio.run(run()) == 1


def passing_on(pass_on: PassOn, *pieces: bytes) -> list[Chunk]:
    """The chunks read of a stream of these pieces while `pass_on` is offered the ordinary ones."""

    async def serve(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD)
        for piece in pieces:
            await asyncio.sleep(0.01)  # most come alone; whether they do must not matter
            writer.write(chunked(piece))
        await writer.drain()
        with contextlib.suppress(ConnectionError):
            writer.write(b"0\r\n\r\n")
            await writer.drain()

    async def run() -> list[Chunk]:
        async with socket_that(serve) as url, upstream_at(url) as upstream:
            reply = await send(upstream, "hello", stream=True)
            chunks: list[Chunk] = []
            try:
                while more := await reply.read(pass_on):
                    chunks += more
            finally:
                reply.close()
            return chunks

    return asyncio.run(run())


ORDINARY = [stream(chunk({"content": f"word {number}"})) for number in range(20)]
END = stream(chunk({}, "stop"), "[DONE]")


def test_ordinary_chunks_are_passed_on_and_all_others_read() -> None:
    passed: list[Chunk] = []

    def pass_on(chunks: Sequence[Chunk]) -> bool:
        passed.extend(chunks)
        return True

    call = stream(chunk({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f"}}]}))
    read = passing_on(pass_on, *ORDINARY, call, *ORDINARY, END)
    assert len(passed) > 30
    assert len(passed) + len(read) == 42
    assert b"tool_calls" in b"".join(each.data or b"" for each in read)
    assert all(each.plain and b'"word ' in (each.data or b"") for each in passed)


def test_chunks_that_are_not_taken_are_read_in_their_order() -> None:
    seen: list[bytes] = []

    def pass_on(chunks: Sequence[Chunk]) -> bool:
        seen.extend(each.data or b"" for each in chunks)
        return False

    read = passing_on(pass_on, *ORDINARY, END)
    assert seen
    assert [each.data for each in read[:-1]] == [piece[6:-2] for piece in ORDINARY]


def test_what_goes_wrong_while_passing_on_is_heard_by_who_reads() -> None:
    def pass_on(chunks: Sequence[Chunk]) -> bool:
        raise UpstreamBroken("meant")

    with pytest.raises(UpstreamBroken, match="meant"):
        passing_on(pass_on, *ORDINARY, END)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"null", b"[" * 100_000, b'{"choices":1}'])
def test_an_answer_of_another_shape_is_broken(body: bytes) -> None:
    async def serve(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(body))

    assert type(play(serve, streaming=False)) is UpstreamBroken


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
            async with asyncio.timeout(30):
                await gone.wait()

    asyncio.run(run())


QUICK = FleetLimits(upstream_silence_seconds=0.1, upstream_connect_seconds=0.2)


def test_silence_ends_in_a_timeout_before_and_within_the_answer() -> None:
    async def stay_silent(head: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)

    async def stall(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + chunked(stream(chunk({"content": "x"}))))
        await asyncio.sleep(30)

    for serve in (stay_silent, stall):
        began = time.monotonic()
        assert type(play(serve, QUICK)) is UpstreamTimeout
        assert time.monotonic() - began < 5


class SlowReader:
    """A client that does not read for a while, in front of an upstream that has much to send."""

    WAIT_SECONDS = 1.5

    def __init__(self, *, cuts: bool) -> None:
        self._cuts = cuts
        self._begun = asyncio.Event()
        self._said = asyncio.Event()
        self._over = asyncio.Event()

    async def run(self) -> Any:
        limits = FleetLimits(upstream_silence_seconds=0.4)
        async with socket_that(self._serve) as url, upstream_at(url, None, limits) as upstream:
            reply = await send(upstream, "hello", stream=True)
            await reply.read()
            self._begun.set()
            await self._said.wait()
            await asyncio.sleep(self.WAIT_SECONDS)
            self._over.set()
            try:
                return text_of(await read_all(reply))
            except FaregateError as error:
                return error
            finally:
                reply.close()

    async def _serve(self, head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + chunked(stream(chunk({"content": "first"}))))
        await self._begun.wait()
        for _ in range(200):
            writer.write(chunked(stream(chunk({"content": "x" * 100_000}))))
        self._said.set()
        if self._cuts:
            await self._over.wait()
            writer.transport.abort()
            return
        writer.write(chunked(stream(chunk({}, "stop"), "[DONE]")) + b"0\r\n\r\n")
        await writer.drain()


def test_an_upstream_that_waits_for_a_slow_reader_is_not_silent() -> None:
    assert asyncio.run(SlowReader(cuts=False).run()) == "x" * 100_000 * 200


def test_an_upstream_that_gives_up_on_a_slow_reader_has_not_failed() -> None:
    error = asyncio.run(SlowReader(cuts=True).run())
    assert type(error) is UpstreamBroken
    assert error.blame == "client"


@pytest.mark.parametrize("end", ["cut", "silence"])
@pytest.mark.parametrize(("choices", "is_complete"), [(1, True), (2, False)])
def test_what_breaks_behind_all_choices_that_were_asked_for_was_complete(
    end: str, choices: int, is_complete: bool
) -> None:
    async def serve(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + chunked(stream(chunk({"content": "x"}), chunk({}, "stop"))))
        await writer.drain()
        if end == "cut":
            writer.close()
        else:
            await asyncio.sleep(60)

    async def run() -> Any:
        limits = FleetLimits(upstream_silence_seconds=0.2)
        async with socket_that(serve) as url, upstream_at(url, None, limits) as upstream:
            reply = await send(upstream, "hello", stream=True, sampling=Sampling(n=choices))
            try:
                return text_of(await read_all(reply))
            except FaregateError as error:
                return error
            finally:
                reply.close()

    assert (asyncio.run(run()) == "x") == is_complete


PLAIN, BOTH, REASON = chunk({"content": "x"}), chunk({"content": "x"}, "stop"), chunk({}, "stop")


@pytest.mark.parametrize(
    "events", [[BOTH], [BOTH, BOTH], [BOTH, PLAIN], [REASON, PLAIN], [REASON, BOTH, REASON]]
)
def test_a_reason_that_did_not_end_the_answer_needs_an_end_of_the_body(events: list[Any]) -> None:
    """Some servers write one into every chunk, so what broke off looks whole."""
    words = "x" * sum(one is not REASON for one in events)

    def serve(end: bytes) -> Serve:
        async def write(head: bytes, writer: asyncio.StreamWriter) -> None:
            writer.write(STREAM_HEAD + chunked(stream(PLAIN, *events)) + end)
            await writer.drain()
            writer.close()

        return write

    broken = play(serve(b""))
    assert type(broken) is UpstreamBroken
    assert play(serve(chunked(event("[DONE]")))) == play(serve(b"0\r\n\r\n")) == "x" + words


def test_nobody_listening_is_unreachable() -> None:
    async def run() -> FaregateError:
        async with socket_that(never) as url:
            pass
        async with upstream_at(url) as upstream:
            with pytest.raises(FaregateError) as caught:
                await send(upstream, "hello")
            return caught.value

    async def never(head: bytes, writer: asyncio.StreamWriter) -> None:
        raise AssertionError("nobody asks")

    error = asyncio.run(run())
    assert type(error) is UpstreamUnreachable
    assert error.blame == "upstream"


def test_more_connections_than_there_may_be_are_no_failure_of_the_upstream() -> None:
    async def serve(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD)

    async def run() -> FaregateError:
        limits = FleetLimits(upstream_connections=1)
        async with socket_that(serve) as url, upstream_at(url, None, limits) as upstream:
            first = await send(upstream, "hello", stream=True)
            with pytest.raises(FaregateError) as caught:
                await send(upstream, "hello", stream=True)
            first.close()
            return caught.value

    assert type(asyncio.run(run())) is Overloaded


def test_a_redirect_is_not_followed() -> None:
    async def serve(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:1/\r\n"
            b"content-length: 0\r\n\r\n"
        )

    assert type(play(serve)) is UpstreamMisconfigured


LINES = b"x-many: lines\r\n" * 4000
FLOOD_PIECES = 1000


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\n", LINES),
        (b"HTTP/1.1 200 OK\r\nx-long: ", b"x" * 64_000),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 2500),
        (STREAM_HEAD + b"0\r\n", LINES),
        (STREAM_HEAD + b"1;long=", b"x" * 64_000),
    ],
    ids=["lines", "one line", "preliminary answers", "trailers", "extension"],
)
def test_what_is_no_body_is_bounded(start: bytes, piece: bytes) -> None:
    """Some of it was held, and the rest looked like life; both for as long as it came."""
    taken = 0

    async def serve(head: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal taken
        writer.write(start)
        for _ in range(FLOOD_PIECES):
            writer.write(piece)
            await writer.drain()
            taken += 1

    before = peak_bytes()
    assert type(play(serve)) in (UpstreamUnreachable, UpstreamBroken)
    assert taken < FLOOD_PIECES / 2
    assert peak_bytes() - before < 16 * 1024 * 1024


def peak_bytes() -> int:
    """The most memory that this process has ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.parametrize(
    ("start", "drip"),
    [
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\n", b"x: y\r\n"),
        (STREAM_HEAD + chunked(b": hi\n\n"), b""),
        (STREAM_HEAD + chunked(b": hi\n\n") + b"1;a=", b"x"),
        (STREAM_HEAD + chunked(b": hi\n\n") + b"0\r\n", b"x: y\r\n"),
    ],
)
def test_what_is_no_body_ends_no_silence(start: bytes, drip: bytes) -> None:
    async def serve(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while True:
            writer.write(drip)
            await writer.drain()
            await asyncio.sleep(0.01)

    async def within_time() -> Any:
        return await asyncio.wait_for(asyncio.to_thread(play, serve, QUICK), 20)

    assert type(asyncio.run(within_time())) is UpstreamTimeout


def test_another_protocol_is_no_answer() -> None:
    async def serve(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n"
        )
        await asyncio.sleep(30)

    assert type(play(serve)) is UpstreamUnreachable


def test_chunks_of_a_byte_are_a_body() -> None:
    async def serve(head: bytes, writer: asyncio.StreamWriter) -> None:
        data = stream(chunk({"content": "x" * 200_000}), chunk({}, "stop"))
        pieces = b"".join(chunked(data[place : place + 1]) for place in range(len(data)))
        writer.write(STREAM_HEAD + pieces + b"0\r\nx-trailer: read by nobody\r\n\r\n")

    assert play(serve) == "x" * 200_000


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
        ({"error": {"type": "invalid_request_error", "message": "odd"}}, InvalidRequest),
        ({"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}, UpstreamBroken),
    ],
)
def test_json_where_a_stream_was_asked_for(body: Any, kind: type[FaregateError]) -> None:
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


def test_a_refusal_of_any_length_of_time_is_read_to_a_bound() -> None:
    """Each byte comes in time, and the last one never."""

    async def serve(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"x" * 60_000, "text/html", "429 Too Many Requests")[:-60_000])
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)

    async def within_time() -> Any:
        return await asyncio.wait_for(asyncio.to_thread(play, serve, QUICK), 20)

    assert type(asyncio.run(within_time())) is UpstreamOverloaded
