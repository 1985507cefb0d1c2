"""The chat dialect as the flow sees it."""

from functools import partial
from typing import Literal

from gateway.core.concurrency.worker_thread import LARGE_BYTES, WorkerThread
from gateway.dialects.base import Caller, Exchange, Family, ParsedRequest
from gateway.dialects.chat.answer_writer import ChatRenderer
from gateway.dialects.chat.request_reader import parse_body


class ChatDialect:
    """OpenAI Chat Completions; keeps nothing between requests."""

    name: Literal["chat"] = "chat"
    family: Family = "openai"
    path = "/chat/completions"

    def __init__(self, worker_thread: WorkerThread) -> None:
        self._worker_thread = worker_thread

    async def parse(self, body: bytes, caller: Caller) -> ParsedRequest:
        """Raises `InvalidRequest` and its kin, with the field's path in `param`."""
        size = len(body)
        if size < LARGE_BYTES:
            return parse_body(body)
        return await self._worker_thread.run(caller.holder, size, partial(parse_body, body))

    def renderer(self, call: ParsedRequest, exchange: Exchange) -> ChatRenderer:
        """A renderer for one answer to `call`."""
        return ChatRenderer(call.source, exchange, self._worker_thread)
