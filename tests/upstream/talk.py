"""An upstream's client, and a socket that answers it as a test likes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from gateway.core.events import Text
from gateway.core.request import TextPart as TextPart
from gateway.core.request import UserMessage
from gateway.core.spec import FleetLimits
from gateway.dialects.base import Chunk
from gateway.dialects.chat.endpoint import ChatEndpoint
from gateway.upstream.client import UpstreamClient
from gateway.upstream.response import HttpUpstreamResponse
from tests.dialects.support import request, resolve

LIMITS = FleetLimits()
Serve = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def upstream_at(
    url: str, credential: str | None = None, limits: FleetLimits = LIMITS
) -> AsyncIterator[UpstreamClient]:
    upstream = UpstreamClient("main", url, credential, limits, ChatEndpoint())
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


def answer(
    body: bytes, kind: str = "application/json", status: str = "200 OK", coding: str = "identity"
) -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-encoding: {coding}\r\n"
    head += f"content-length: {len(body)}\r\n\r\n"
    return head.encode() + body


STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def send(
    upstream: UpstreamClient, script: str, model: str = "generic", **members: Any
) -> HttpUpstreamResponse:
    wanted = request(UserMessage((TextPart(script),)), **members)
    return await upstream.send(upstream.prepare(wanted, resolve(model)), {}, lambda: None)


async def read_all(reply: HttpUpstreamResponse) -> list[Chunk]:
    chunks: list[Chunk] = []
    while more := await reply.read():
        chunks += more
    return chunks


def text_of(chunks: list[Chunk]) -> str:
    events = [each for chunk in chunks for each in chunk.events()]
    return "".join(each.text for each in events if isinstance(each, Text))
