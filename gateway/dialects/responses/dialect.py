"""The dialect `responses`: OpenAI Responses at `/responses`."""

from typing import Literal

from gateway.core.concurrency.worker_thread import WorkerThread
from gateway.core.seal import Sealer
from gateway.dialects.base import Caller, Exchange, Family, ParsedRequest, Renderer
from gateway.dialects.responses.answer_writer import ResponseRenderer
from gateway.dialects.responses.request_reader import ResponsesSource, parse_body
from gateway.dialects.responses.stored_responses import ResponseState


class ResponsesDialect:
    """`gateway.dialects.base.Dialect`. Without `state` nothing is kept, and answers report that.

    `sealer` seals the reasoning that clients carry from turn to turn.
    """

    name: Literal["responses"] = "responses"
    family: Family = "openai"
    path = "/responses"

    def __init__(
        self, sealer: Sealer, state: ResponseState | None, worker_thread: WorkerThread
    ) -> None:
        self._sealer = sealer
        self._state = state
        self._worker_thread = worker_thread

    async def parse(self, body: bytes, caller: Caller) -> ParsedRequest:
        """Raises `InvalidRequest` and its kin, and `DatabaseUnavailable` for lost context."""
        return await parse_body(body, caller, self._sealer, self._state, self._worker_thread)

    def renderer(self, call: ParsedRequest, exchange: Exchange) -> Renderer:
        source: ResponsesSource = call.source
        return ResponseRenderer(source, exchange, self._sealer, self._state, self._worker_thread)
