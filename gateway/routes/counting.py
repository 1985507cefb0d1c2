"""Who counts the tokens of a request: its upstream where it can, else a vocabulary in memory.

Owns the order, and the one thread in which everything is counted: more would only take turns with
the event loop, which is what the counter avoids. Must never fail for what an upstream does.
"""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec import Raw, Struct

from gateway.core.catalog import Catalog
from gateway.core.request import Request
from gateway.core.tokens import TokenCounter, VocabularyError
from gateway.documents.reader import DocumentReader
from gateway.errors import TollgateError
from gateway.keyring import Key
from gateway.settings import SettingsError
from gateway.upstream.base import Upstream
from gateway.upstream.counter import UpstreamCounter
from gateway.wire.base import Dialect
from gateway.wire.json import decode, encode
from gateway.wire.messages.count import (
    Counted,
    count_tokens,
    count_tools,
    counted_of,
    read_counted,
)

UPSTREAM = "upstream"


def open_counter(vocabulary_file: str | None) -> TokenCounter:
    """The counter of this process. Raises `SettingsError` for a file that is no vocabulary."""
    if vocabulary_file is None:
        return TokenCounter()
    try:
        return TokenCounter(Path(vocabulary_file).read_bytes())
    except (OSError, VocabularyError) as error:
        raise SettingsError(
            f"TOLLGATE_VOCABULARY_FILE is no vocabulary: {vocabulary_file}: {error}"
        ) from None


class Tokens(Struct, frozen=True):
    """A count, and who counted: `o200k` or `file`, the vocabularies, or `upstream`."""

    count: int
    counter: str

    @property
    def header(self) -> tuple[bytes, bytes]:
        """The header that says who counted."""
        return b"x-tollgate-token-counter", self.counter.encode()


class Counting:
    """Counts bodies for one replica; made once.

    `counters` are those of the upstreams that count themselves, by the upstream's name.
    """

    def __init__(
        self,
        counter: TokenCounter,
        documents: DocumentReader,
        catalog: Catalog,
        dialects: Mapping[str, Dialect],
        upstreams: Mapping[str, Upstream],
        counters: Mapping[str, UpstreamCounter],
    ) -> None:
        self._counter = counter
        self._documents = documents
        self._catalog = catalog
        self._dialects = dialects
        self._upstreams = upstreams
        self._counters = counters
        self._thread = ThreadPoolExecutor(1, "counting")

    async def count_message(self, body: bytes, key: Key) -> Tokens:
        """Tokens of a Messages body; raises `InvalidRequest` only for what is not one."""
        loop = asyncio.get_running_loop()
        counted = await loop.run_in_executor(self._thread, read_counted, body)
        if self._counters:
            with suppress(TollgateError):  # a count is given of what a request is refused for
                # A count needs no cap on its output, a request does.
                call = await self._dialects["messages"].parse(_with(body, max_tokens=1), key.caller)
                await self._documents.fill(call.request)
                tokens = await self._ask_upstream(call.request, counted.declared, key)
                if tokens is not None:
                    return Tokens(tokens, UPSTREAM)
        for data in counted.documents:
            text = await self._documents.read(data)
            counted.texts.append(text if isinstance(text, str) else text.sentence)
        return await self._count(counted)

    async def count_response(self, body: bytes, key: Key) -> Tokens:
        """Tokens of a Responses body; raises what parsing a request and its documents raises."""
        call = await self._dialects["responses"].parse(_with(body, model=""), key.caller)
        await self._documents.fill(call.request)
        counted = counted_of(call.request)
        if self._counters:
            with suppress(TollgateError):
                tokens = await self._ask_upstream(call.request, counted.declared, key)
                if tokens is not None:
                    return Tokens(tokens, UPSTREAM)
        return await self._count(counted)

    async def _count(self, counted: Counted) -> Tokens:
        loop = asyncio.get_running_loop()
        tokens = await loop.run_in_executor(self._thread, count_tokens, counted, self._counter)
        return Tokens(tokens, self._counter.name)

    async def _ask_upstream(self, request: Request, declared: str, key: Key) -> int | None:
        """What the upstream of the request's model counts; None where it has no counter or fails.

        Raises what finding the model and rendering for it raises.
        """
        resolution = self._catalog.resolve(request)
        counter = self._counters.get(resolution.model.upstream)
        if counter is None or not key.may_see(resolution.model.id):
            return None
        outgoing = self._upstreams[resolution.model.upstream].prepare(request, resolution)
        tokens = await counter.count(outgoing.body)
        if tokens is None or counter.counts_tools:
            return tokens
        loop = asyncio.get_running_loop()
        return tokens + await loop.run_in_executor(
            self._thread, count_tools, declared, self._counter
        )


def _with(body: bytes, **members: Any) -> bytes:
    """The body with members that it may lack."""
    return encode({**members, **decode(body, dict[str, Raw])})
