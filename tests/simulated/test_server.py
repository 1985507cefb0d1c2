"""Starting and stopping, signals, logs, and a released SDK as the judge of the wire."""

import asyncio
import logging
import signal
import subprocess
import sys
import time

import httpx
import openai
import pytest

from gateway.upstream.simulated.server import running
from tests.simulated.talk import Talk

_PROCESS = """
import asyncio
from gateway.upstream.simulated.server import serve
asyncio.run(serve("127.0.0.1", 0, "sk-right", lambda url: print(url, flush=True)))
"""


def test_it_stops_at_once_also_with_streams_open() -> None:
    async def story() -> float:
        handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        async with httpx.AsyncClient(trust_env=False) as client:
            async with running() as url:
                assert [
                    signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)
                ] == handlers
                message = {"role": "user", "content": "!stall 1 60"}
                body = {"model": "x", "messages": [message], "stream": True}
                request = client.build_request("POST", f"{url}/chat/completions", json=body)
                response = await client.send(request, stream=True)
                pieces = response.aiter_raw()
                assert await anext(pieces)
                started = time.monotonic()
            stopped = time.monotonic() - started
            with pytest.raises(httpx.HTTPError):
                await anext(pieces)
            with pytest.raises(httpx.ConnectError):
                await client.get(f"{url}/models")
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return stopped

    assert asyncio.run(story()) < 30, "it waited for the stream"


def test_two_can_run_side_by_side_with_counters_of_their_own() -> None:
    async def story() -> None:
        async with (
            running() as one,
            running() as other,
            httpx.AsyncClient(trust_env=False) as client,
        ):
            body = {"model": "x", "messages": [{"role": "user", "content": "hi"}]}
            await client.post(f"{one}/chat/completions", json=body)
            received = [
                (await client.get(url.replace("/v1", "/stats"))).json()["received"]
                for url in (one, other)
            ]
            assert received == [1, 0]

    asyncio.run(story())


def test_connections_break_alike_on_asyncio_s_own_loop() -> None:
    async def story() -> None:
        async with (
            running() as url,
            httpx.AsyncClient(base_url=url, trust_env=False) as client,
        ):
            for script, stream in (("!cut 2", True), ("!cut 1", False), ("!hang-up", False)):
                message = {"role": "user", "content": script}
                body = {"model": "x", "messages": [message], "stream": stream}
                heard = b""
                with pytest.raises(httpx.RemoteProtocolError):
                    async with client.stream("POST", "/chat/completions", json=body) as response:
                        async for write in response.aiter_raw():
                            heard += write
                assert heard.count(b"data: ") == (2 if stream else 0)
            assert (await client.get(url.replace("/v1", "/stats"))).json()["broken"] == 3

    asyncio.run(story())


def test_nothing_is_logged_whatever_breaks(
    talk: Talk, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.INFO):
        for script in ("!cut 1", "!end-early", "!error-event", "!error 500"):
            talk.stream(script)
        for script in ("!cut 1", "!hang-up"):
            with pytest.raises(httpx.RemoteProtocolError):
                talk.post(script)
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(
                f"{talk.url}/chat/completions",
                json=talk.body("!silence 60"),
                timeout=0.1,
                trust_env=False,
            )
        talk.wait_for(lambda counters: counters["open"] == 0)
    names = {record.name for record in caplog.records}
    assert not {name for name in names if not name.startswith("http")}
    assert capfd.readouterr() == ("", "")


def test_a_process_of_its_own_ends_on_sigterm() -> None:
    command = [sys.executable, "-c", _PROCESS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        right = {"authorization": "Bearer sk-right"}
        models = httpx.get(f"{url}/models", headers=right, trust_env=False)
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
    assert models.status_code == 200


def test_the_openai_sdk_reads_streams_calls_and_errors(simulated_url: str) -> None:
    client = openai.OpenAI(base_url=simulated_url, api_key="x", max_retries=0)
    with client:
        script = '!answer let me see\n!tool look {"city": "Bern"}\n!tool feel\n!split\n!comments'
        with client.chat.completions.stream(
            model="kimi-k2.6",
            messages=[{"role": "user", "content": script}],
            stream_options={"include_usage": True},
        ) as stream:
            completion = stream.get_final_completion()
        message = completion.choices[0].message
        assert message.content == "let me see"
        assert [(call.id, call.function.arguments) for call in message.tool_calls or ()] == [
            ("functions.look:0", '{"city": "Bern"}'),
            ("functions.feel:1", "{}"),
        ]
        assert completion.usage is not None
        assert completion.usage.completion_tokens_details is not None
        with pytest.raises(openai.RateLimitError):
            client.chat.completions.create(
                model="x", messages=[{"role": "user", "content": "!error 429"}]
            )
        with pytest.raises(openai.APIError, match="middle of the stream"):
            list(
                client.chat.completions.create(
                    model="x", messages=[{"role": "user", "content": "!error-event"}], stream=True
                )
            )
