"""The embeddings dialect as the flow sees it. Source: OpenAI API reference, "Create embeddings"."""

from functools import partial
from typing import Literal

from gateway.core.concurrency.worker_thread import LARGE_BYTES, WorkerThread
from gateway.dialects.base import Caller, Exchange, Family, ParsedRequest
from gateway.dialects.embeddings.answer_writer import EmbeddingsRenderer
from gateway.dialects.embeddings.request_reader import parse_body


class EmbeddingsDialect:
    """OpenAI Embeddings; keeps nothing between requests."""

    name: Literal["embeddings"] = "embeddings"
    family: Family = "openai"
    path = "/embeddings"

    def __init__(self, worker_thread: WorkerThread) -> None:
        self._worker_thread = worker_thread

    async def parse(self, body: bytes, caller: Caller) -> ParsedRequest:
        """Raises `InvalidRequest` and its kin, with the field's path in `param`."""
        size = len(body)
        if size < LARGE_BYTES:
            return parse_body(body)
        return await self._worker_thread.run(caller.holder, size, partial(parse_body, body))

    def renderer(self, call: ParsedRequest, exchange: Exchange) -> EmbeddingsRenderer:
        """A renderer for one answer to `call`."""
        return EmbeddingsRenderer(exchange, self._worker_thread)
