"""The connection to an upstream, against the simulated one."""

import asyncio
import json
from typing import Any

import msgspec
import pytest

from gateway.core.concurrency.worker_thread import WorkerThread
from gateway.core.errors import (
    ContextOverflow,
    FaregateError,
    InvalidRequest,
    UpstreamBroken,
    UpstreamError,
    UpstreamMisconfigured,
    UpstreamOverloaded,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from gateway.core.events import Finished, Text, Usage
from gateway.core.request import Sampling
from gateway.core.spec import FleetLimits
from gateway.dialects.chat.endpoint import ChatEndpoint
from gateway.dialects.messages.endpoint import MessagesEndpoint
from gateway.upstream.client import UpstreamClient
from gateway.upstream.simulated.server import running
from tests.upstream.talk import LIMITS, answer, read_all, send, socket_that, text_of, upstream_at


def ask(script: str, **members: Any) -> tuple[str, Usage | None]:
    """The text and usage of a streamed answer of the simulated upstream."""

    async def run() -> tuple[str, Usage | None]:
        async with running() as url, upstream_at(url) as upstream:
            reply = await send(upstream, script, stream=True, **members)
            try:
                return text_of(await read_all(reply)), reply.usage
            finally:
                reply.close()

    return asyncio.run(run())


def fail(script: str, **members: Any) -> FaregateError:
    with pytest.raises(FaregateError) as caught:
        ask(script, **members)
    return caught.value


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


@pytest.mark.parametrize("status", ["201 Created", "206 Partial Content"])
def test_an_answer_with_another_good_status_is_one(status: str) -> None:
    choice = {"index": 0, "message": {"content": "Hello"}, "finish_reason": "stop"}

    async def serve(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(msgspec.json.encode({"choices": [choice]}), status=status))

    async def run() -> Any:
        async with socket_that(serve) as url, upstream_at(url) as upstream:
            reply = await send(upstream, "Hi")
            whole = await reply.answer(WorkerThread(), ("team-a", "team-a/alice"))
            reply.close()
            return whole

    assert asyncio.run(run()).events()[0] == Text("Hello")


def test_an_answer_that_is_not_streamed() -> None:
    async def run() -> Any:
        async with running() as url, upstream_at(url) as upstream:
            reply = await send(upstream, "!answer Hello")
            whole = await reply.answer(WorkerThread(), ("team-a", "team-a/alice"))
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
def test_failures_of_an_upstream(script: str, kind: type[FaregateError]) -> None:
    assert type(fail(script)) is kind


def test_a_quota_of_ours_shows_the_client_nothing_of_our_account() -> None:
    error = fail("!error 429 rate_limit_reached_error 2")
    assert error.retry_after_seconds == 2
    assert "org-" not in error.message


def test_an_overflow_comes_back_as_one() -> None:
    error = fail("hello", model="kimi-k2.6", max_tokens=10**7)
    assert type(error) is ContextOverflow


def test_errors_inside_an_answer_that_is_not_streamed() -> None:
    async def run(script: str) -> FaregateError:
        async with running() as url, upstream_at(url) as upstream:
            reply = await send(upstream, script)
            with pytest.raises(FaregateError) as caught:
                await reply.answer(WorkerThread(), ("team-a", "team-a/alice"))
            reply.close()
            return caught.value

    for script in ("!error-event", "!end-early", "!cut 0"):
        assert isinstance(asyncio.run(run(script)), UpstreamBroken)


def test_a_whole_answer_of_another_dialect_that_is_none() -> None:
    wrong = {"type": "message", "stop_reason": "tool_use", "content": [{"type": "tool_use"}]}

    async def serve(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(msgspec.json.encode(wrong)))

    async def run() -> None:
        async with socket_that(serve) as url:
            upstream = UpstreamClient("main", url, None, LIMITS, MessagesEndpoint())
            reply = await send(upstream, "Hi")
            with pytest.raises(UpstreamBroken):
                await reply.answer(WorkerThread(), ("team-a", "team-a/alice"))
            reply.close()
            await upstream.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"error": {"message": "no", "code": 400}}, InvalidRequest),
        ({"error": {"message": "slow down", "code": "429"}}, UpstreamOverloaded),
        ({"object": "error", "message": "slow down", "code": 429}, UpstreamOverloaded),
        ({"error": {"message": "no", "type": "server_error"}}, UpstreamBroken),
        ({"choices": [{"message": {"content": 'an "error"'}}]}, UpstreamBroken),
        ({}, UpstreamBroken),
    ],
)
def test_a_whole_body_where_a_stream_was_asked_for(
    body: dict[str, Any], kind: type[FaregateError]
) -> None:
    async def serve(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(msgspec.json.encode(body)))

    async def run() -> None:
        async with socket_that(serve) as url, upstream_at(url) as upstream:
            with pytest.raises(FaregateError) as caught:
                await send(upstream, "Hi", stream=True)
            assert type(caught.value) is kind

    asyncio.run(run())


def test_every_choice_is_waited_for() -> None:
    text, _ = ask("!answer Hi", sampling=Sampling(n=2))
    assert text == "Hi"


def test_a_large_body_is_sent_whole() -> None:
    text, usage = ask("!answer ok\n" + "x " * 1_500_000)
    assert text == "ok"
    assert usage is not None
    assert usage.input > 1_000_000


@pytest.mark.parametrize(
    ("url", "credential"), [("http://127.0.0.1:1", "broken\nheader"), ("ftp://127.0.0.1", "fine")]
)
def test_what_cannot_be_sent_is_noticed_at_the_start(url: str, credential: str) -> None:
    with pytest.raises(ValueError, match=r"may not hold|begins with") as caught:
        UpstreamClient("main", url, credential, FleetLimits(), ChatEndpoint())
    assert "broken" not in str(caught.value)
