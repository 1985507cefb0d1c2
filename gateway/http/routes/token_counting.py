"""Token counts of a request: from its upstream where it can count, else from a vocabulary in
memory.

Owns the order, and the one thread that counts, a portion at a time, so that accounts take turns.
More threads would only take time from the event loop. Must never fail for what an upstream does.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from msgspec import Raw, Struct

from gateway.core.catalog import Catalog
from gateway.core.concurrency.places import FairSemaphore
from gateway.core.concurrency.worker_thread import WorkerThread
from gateway.core.errors import FaregateError
from gateway.core.request import Request
from gateway.core.shares import Holder, Shares
from gateway.core.tokens import TokenCounter
from gateway.dialects.base import Dialect, ParsedRequest
from gateway.dialects.json import decode, encode
from gateway.dialects.messages.token_count import (
    CountableContent,
    counted_of,
    counting,
    counting_tools,
    read_counted,
)
from gateway.pipeline.documents.reader import DocumentAllowance, DocumentReader
from gateway.pipeline.key_cache import CachedKey
from gateway.upstream.registry import Upstreams

UPSTREAM = "upstream"
#: counts that may wait for the thread, and for how long
WAITING_MAX = 600
_WAITING_SECONDS_MAX = 60.0
#: counts that upstreams are asked for at once: they cost nothing, but a provider limits their rate
ASKED_MAX = 48

T = TypeVar("T")


class Tokens(Struct, frozen=True):
    """A count, and who counted: `o200k` or `file`, the vocabularies, or `upstream`."""

    count: int
    counter: str

    @property
    def header(self) -> tuple[bytes, bytes]:
        """The header that names the counter."""
        return b"x-faregate-token-counter", self.counter.encode()


class Counting:
    """Counts bodies for one replica; made once."""

    def __init__(
        self,
        counter: TokenCounter,
        documents: DocumentReader,
        catalog: Catalog,
        dialects: Mapping[str, Dialect],
        upstreams: Upstreams,
        worker_thread: WorkerThread,
    ) -> None:
        self._worker_thread = worker_thread
        self._counter = counter
        self._documents = documents
        self._catalog = catalog
        self._dialects = dialects
        self._upstreams = upstreams.all
        self._counters = upstreams.counters
        self._thread = ThreadPoolExecutor(1, "counting")
        self._places = FairSemaphore("token counts", 1, WAITING_MAX, _WAITING_SECONDS_MAX)
        self._asked = Shares(ASKED_MAX)

    async def count_message(self, body: bytes, key: CachedKey) -> Tokens:
        """Tokens of a Messages body; raises `InvalidRequest` only for what is not one, and
        `RateLimited` and `Overloaded` where too many are counted at once."""
        holder = key.caller.holder
        counted = await self._work(holder, lambda: read_counted(body))
        if self._counters:
            with suppress(FaregateError):  # a count is given of what a request is refused for
                # A count needs no cap on its output, a request does.
                call = await self._parse("messages", body, key, max_tokens=1)
                await self._documents.fill(call.request, holder)
                tokens = await self._ask_upstream(call.request, counted.declared, key, len(body))
                if tokens is not None:
                    return Tokens(tokens, UPSTREAM)
        room = DocumentAllowance()
        for index, data in enumerate(counted.documents):
            path = f"document {index + 1}"
            room.enter(path)
            text = await self._documents.read(data, holder)
            room.take(text, path)
            counted.texts.append(text if isinstance(text, str) else text.sentence)
        return await self._count(counted, holder)

    async def count_response(self, body: bytes, key: CachedKey) -> Tokens:
        """Tokens of a Responses body; raises what parsing a request and its documents raises."""
        holder = key.caller.holder
        call = await self._parse("responses", body, key, model="")
        await self._documents.fill(call.request, holder)
        counted = await self._work(holder, partial(counted_of, call.request))
        if self._counters:
            with suppress(FaregateError):
                tokens = await self._ask_upstream(call.request, counted.declared, key, len(body))
                if tokens is not None:
                    return Tokens(tokens, UPSTREAM)
        return await self._count(counted, holder)

    async def _parse(
        self, dialect: str, body: bytes, key: CachedKey, **lacking: Any
    ) -> ParsedRequest:
        """A body as a request; `lacking` are members that it may lack."""
        whole = await self._worker_thread.run(
            key.caller.holder, len(body), partial(_with, body, lacking)
        )
        return await self._dialects[dialect].parse(whole, key.caller)

    async def _count(self, counted: CountableContent, holder: Holder) -> Tokens:
        tokens = await self._sum(counting(counted, self._counter), holder)
        return Tokens(tokens, self._counter.name)

    async def _ask_upstream(
        self, request: Request, declared: str, key: CachedKey, size: int
    ) -> int | None:
        """The count by the upstream of the request's model.

        None where it has no counter or fails, or is asked for as many counts as it may. Raises what
        finding the model and rendering for it raises.
        """
        resolution = self._catalog.resolve(request)
        counter = self._counters.get(resolution.model.upstream)
        if counter is None or not key.may_see(resolution.model.id):
            return None
        holder = key.caller.holder
        upstream = self._upstreams[resolution.model.upstream]
        outgoing = await self._worker_thread.run(
            holder, size, partial(upstream.prepare, request, resolution)
        )
        if not self._asked.take(holder):
            return None
        try:
            tokens = await counter.count(outgoing)
        finally:
            self._asked.give_back(holder)
        if tokens is None or counter.counts_tools:
            return tokens
        return tokens + await self._sum(counting_tools(declared, self._counter), holder)

    async def _sum(self, portions: Iterator[int], holder: Holder) -> int:
        tokens = 0
        while (portion := await self._work(holder, lambda: next(portions, None))) is not None:
            tokens += portion
        return tokens

    async def _work(self, holder: Holder, work: Callable[[], T]) -> T:
        """A portion of work in the thread, when it is the account's turn."""
        async with self._places.acquire(holder):
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _with(body: bytes, lacking: dict[str, Any]) -> bytes:
    return encode({**lacking, **decode(body, dict[str, Raw])})
