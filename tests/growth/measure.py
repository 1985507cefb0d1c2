"""The cost of reading a body and rendering it for every kind of upstream: seconds and bytes.

Only the processor's time of this thread counts, and the least of a few runs, so that a busy machine
changes nothing.
"""

import asyncio
import gc
import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from statistics import median
from typing import Any, TypeVar

import msgspec

from gateway.core.concurrency.worker_thread import WorkerThread
from gateway.core.errors import RequestError
from gateway.core.seal import Sealer
from gateway.core.shares import Holder
from gateway.dialects.base import Caller, Dialect, Exchange
from gateway.dialects.chat.dialect import ChatDialect
from gateway.dialects.chat.endpoint import ChatEndpoint
from gateway.dialects.messages.dialect import MessagesDialect
from gateway.dialects.messages.endpoint import MessagesEndpoint
from gateway.dialects.messages.token_count import counted_of, read_counted
from gateway.dialects.responses.dialect import ResponsesDialect
from gateway.dialects.responses.endpoint import ResponsesEndpoint
from tests.dialects.support import resolve

T = TypeVar("T")

ALICE = Caller(1, "team-a/alice")
_SEALER = Sealer(bytes(32))
_ENDPOINTS = (
    (ChatEndpoint(), "kimi-k2.5"),
    (ChatEndpoint(), "generic"),
    (MessagesEndpoint(), "claude"),
    (ResponsesEndpoint(), "gpt-5"),
)
#: twice the work, and some more for what grows with the size of a table
TWICE = 2.6
#: below, a difference is noise
SECONDS_MIN = 0.005
_TRIES = 21


class Here(WorkerThread):
    """Does large work in this thread, where it is measured."""

    async def run(self, holder: Holder, size: int, work: Callable[[], T]) -> T:
        return work()


def dialects() -> dict[str, Dialect]:
    here = Here()
    return {
        "chat": ChatDialect(here),
        "messages": MessagesDialect(_SEALER, here),
        "responses": ResponsesDialect(_SEALER, None, here),
    }


def work(dialect: str, body: bytes) -> None:
    """All that is done with a body before it is sent; what is refused is refused."""
    with suppress(RequestError):
        if dialect == "messages":
            read_counted(body)
    with suppress(RequestError):
        spoken = dialects()[dialect]
        call = asyncio.run(spoken.parse(body, ALICE))
        if call.request.raw is not None:
            call.request.raw.betas = ()
        counted_of(call.request)
        raw_body = call.request.raw
        for endpoint, profile in _ENDPOINTS:
            for call.request.raw in {id(raw_body): raw_body, id(None): None}.values():
                with suppress(RequestError):
                    endpoint.prepare(call.request, resolve(profile, reasoning=True))
        spoken.renderer(call, Exchange("req_1", ALICE, "kimi-k2.5", 1)).open()


def seconds(task: Callable[[], object]) -> float:
    gc.collect()
    gc.disable()
    try:
        began = time.thread_time()
        task()
        return time.thread_time() - began
    finally:
        gc.enable()


def grows_as_its_input(task: Callable[[int], Callable[[], object]], size: int) -> bool:
    """True if twice the size is about twice the seconds; tried again where it seems not to be.

    Every try has another size, for what is remembered of the one before. The medians are compared,
    for a neighbour on the machine makes single tries slow, and its absence single ones quick; and
    the quickest, for many neighbours make most tries slow. Four times the work shows in both.
    """
    few: list[float] = []
    many: list[float] = []
    for more in range(_TRIES):
        few.append(seconds(task(size + more)))
        many.append(seconds(task(2 * size + more)))
        if any(of(many) <= TWICE * of(few) + SECONDS_MIN for of in (median, min)):
            return True
    return False


def peak_bytes(task: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        task()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def encoded(body: Any) -> bytes:
    return msgspec.json.encode({"model": "kimi-k2.5", **body})
