"""An upstream that counts tokens itself, and all the ways in which it does not."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.core.spec import FleetLimits, TokenCounterKind, UpstreamSpec
from gateway.dialects.endpoint import UpstreamRequest
from gateway.upstream import counter
from gateway.upstream.counter import UpstreamCounter
from gateway.upstream.registry import open_counter
from gateway.upstream.simulated.server import running

KEY = "sk-upstream"


def rendered(text: str, model: str = "kimi-k2.6") -> UpstreamRequest:
    """A request as it would be sent."""
    message = {"role": "user", "content": text}
    body = {"model": model, "messages": [message], "tools": [{"type": "?"}], "stream": True}
    return UpstreamRequest(json.dumps(body).encode(), stream=True)


def counter_at(
    url: str, kind: TokenCounterKind = "estimate", credential: str | None = None
) -> UpstreamCounter:
    spec = UpstreamSpec(name="main", url=url, token_counter=kind)
    found = open_counter(spec, url, credential, FleetLimits())
    assert found is not None
    return found


def count(body: UpstreamRequest, credential: str | None = KEY) -> int | None:
    async def run() -> int | None:
        async with running(api_key=KEY) as url:
            asking = counter_at(url, credential=credential)
            try:
                return await asking.count(body)
            finally:
                await asking.close()

    return asyncio.run(run())


def test_the_upstream_counts_model_and_messages() -> None:
    assert count(rendered("four words are here")) == 4


@pytest.mark.parametrize("script", ["!error 500", "!error 429", "!error 404"])
def test_an_upstream_that_fails_proves_nothing(script: str) -> None:
    assert count(rendered(script)) is None


def test_an_upstream_that_refuses_the_credential_proves_nothing() -> None:
    assert count(rendered("four words are here"), "sk-other") is None


def test_an_upstream_that_knows_no_such_model_proves_nothing() -> None:
    assert count(rendered("hello", "kimi-gone")) is None


def test_an_upstream_is_not_waited_for_longer_than_allowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(counter, "SECONDS_MAX", 0.2)
    began = time.monotonic()
    assert count(rendered("!silence 20")) is None
    assert time.monotonic() - began < 10


def test_nobody_there_proves_nothing() -> None:
    async def run() -> int | None:
        async with running() as url:
            pass
        return await counter_at(url).count(rendered("hello"))

    assert asyncio.run(run()) is None


async def answer_with(
    data: bytes, ask: Callable[[str], Awaitable[int | None]]
) -> tuple[int | None, bytes]:
    """The result of `ask` for a server that answers so, and the request that the server got."""
    heard = b""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal heard
        heard = await reader.readuntil(b"\r\n\r\n")
        length = int(heard.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        heard += await reader.readexactly(length)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(data) + data)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        return await ask(f"http://127.0.0.1:{port}/anthropic/v1"), heard


def test_a_messages_upstream_counts_tools_too() -> None:
    async def ask(url: str) -> int | None:
        asking = counter_at(url, "messages", KEY)
        assert asking.counts_tools
        return await asking.count(rendered("hello"))

    found, heard = asyncio.run(answer_with(b'{"input_tokens": 17}', ask))
    assert found == 17
    head, _, sent = heard.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /anthropic/v1/messages/count_tokens HTTP/1.1")
    assert json.loads(sent).keys() == {"model", "messages", "tools"}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"<html>",
        b'{"data": {}}',
        b'{"data": {"total_tokens": "x"}}',
        b"x" * 99999,
    ],
)
def test_an_answer_that_is_none_proves_nothing(data: bytes) -> None:
    async def ask(url: str) -> Any:
        return await counter_at(url).count(rendered("hello"))

    assert asyncio.run(answer_with(data, ask))[0] is None
