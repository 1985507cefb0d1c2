"""The answer to an embeddings request, with the vectors as they came."""

from functools import partial
from typing import Any

import msgspec
from msgspec import Raw

from gateway.core.concurrency.worker_thread import LARGE_BYTES, WorkerThread
from gateway.core.errors import FaregateError
from gateway.core.events import Usage
from gateway.dialects.base import Chunk, Completion, Exchange
from gateway.dialects.vectors import EmbeddingAnswer


class EmbeddingsRenderer:
    """See `gateway.dialects.base.Renderer`; an answer is never streamed."""

    kept_bytes = 0

    def __init__(self, exchange: Exchange, worker_thread: WorkerThread) -> None:
        self._exchange = exchange
        self._worker_thread = worker_thread

    def open(self) -> list[bytes]:
        return []

    def keep_alive(self) -> bytes:
        return b""

    def feed(self, chunk: Chunk) -> list[bytes]:
        return []

    async def close(self, usage: Usage | None) -> list[bytes]:
        return []

    def fail(self, error: FaregateError) -> list[bytes]:
        return []

    async def complete(self, answer: Completion) -> bytes:
        """The body, with the vectors as they came."""
        assert isinstance(answer, EmbeddingAnswer), "its endpoint reads no other"
        holder, size = self._exchange.caller.holder, answer.size
        if size < LARGE_BYTES:
            return self._write(answer)
        return await self._worker_thread.run(holder, size, partial(self._write, answer))

    def _write(self, answer: EmbeddingAnswer) -> bytes:
        usage = answer.usage or Usage()
        counts = {"prompt_tokens": usage.input, "total_tokens": usage.input}
        if usage.credits is not None:
            counts["credits"] = usage.credits
        members: dict[str, Any] = {
            "object": "list",
            "data": Raw(answer.vectors),
            "model": self._exchange.model,
            "usage": counts,
        }
        return msgspec.json.encode(members)
