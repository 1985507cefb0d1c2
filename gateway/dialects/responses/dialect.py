"""The dialect `responses`: OpenAI Responses at `/responses`."""

from typing import Literal

from gateway.core.concurrency.worker_thread import Aside
from gateway.core.seal import Sealer
from gateway.dialects.base import Call, Caller, Exchange, Family, Renderer
from gateway.dialects.responses.answer_writer import ResponseRenderer
from gateway.dialects.responses.request_reader import Source, parse_body
from gateway.dialects.responses.stored_responses import ResponseState


class ResponsesDialect:
    """`gateway.dialects.base.Dialect`. Without `state` nothing is kept, and answers say so.

    `sealer` seals the reasoning that clients carry from turn to turn.
    """

    name: Literal["responses"] = "responses"
    family: Family = "openai"
    path = "/responses"

    def __init__(self, sealer: Sealer, state: ResponseState | None, aside: Aside) -> None:
        self._sealer = sealer
        self._state = state
        self._aside = aside

    async def parse(self, body: bytes, caller: Caller) -> Call:
        """Raises `InvalidRequest` and its kin, and `DatabaseUnavailable` for lost context."""
        return await parse_body(body, caller, self._sealer, self._state, self._aside)

    def renderer(self, call: Call, exchange: Exchange) -> Renderer:
        source: Source = call.source
        return ResponseRenderer(source, exchange, self._sealer, self._state, self._aside)
