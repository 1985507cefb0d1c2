"""The messages dialect as the flow sees it."""

from functools import partial
from typing import Literal

from gateway.core.concurrency.worker_thread import WorkerThread
from gateway.core.seal import Sealer
from gateway.dialects.base import Caller, Exchange, Family, ParsedRequest
from gateway.dialects.messages.answer_writer import MessagesRenderer
from gateway.dialects.messages.request_reader import parse_body


class MessagesDialect:
    """Anthropic Messages; keeps nothing between requests.

    `sealer` lets a client carry reasoning for us, where only its own account can bring it back.
    """

    name: Literal["chat", "responses", "messages"] = "messages"
    family: Family = "anthropic"
    path = "/v1/messages"

    def __init__(self, sealer: Sealer, worker_thread: WorkerThread) -> None:
        self._sealer = sealer
        self._worker_thread = worker_thread

    async def parse(self, body: bytes, caller: Caller) -> ParsedRequest:
        """Raises `InvalidRequest` and its kin, with the field's path in `param`."""
        work = partial(parse_body, body, caller, self._sealer)
        return await self._worker_thread.run(caller.holder, len(body), work)

    def renderer(self, call: ParsedRequest, exchange: Exchange) -> MessagesRenderer:
        """A renderer for one answer to `call`."""
        return MessagesRenderer(call, exchange, self._sealer, self._worker_thread)
