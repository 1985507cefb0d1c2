"""One simulated upstream for all tests here, in a thread of its own, counting from zero for each.

It runs on uvloop, as it does in real life; test_server.py also tries asyncio's own loop.
"""

import asyncio
import threading
from collections.abc import Iterator

import pytest
import uvloop

from gateway.upstream.simulated.server import running
from tests.simulated.talk import Talk


@pytest.fixture(scope="package")
def simulated_url() -> Iterator[str]:
    started = threading.Event()
    found: list[str] = []
    stop: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def run() -> None:
        stopped = asyncio.Event()
        async with running() as url:
            found.append(url)
            stop.append((asyncio.get_running_loop(), stopped))
            started.set()
            await stopped.wait()

    thread = threading.Thread(target=uvloop.run, args=(run(),))
    thread.start()
    assert started.wait(5)
    yield found[0]
    loop, stopped = stop[0]
    loop.call_soon_threadsafe(stopped.set)
    thread.join(5)
    assert not thread.is_alive()


@pytest.fixture(scope="package")
def connected(simulated_url: str) -> Iterator[Talk]:
    talk = Talk(simulated_url)
    with talk.http:
        yield talk


@pytest.fixture
def talk(connected: Talk) -> Talk:
    connected.wait_for(lambda counters: counters["open"] == 0)
    connected.reset()
    return connected
