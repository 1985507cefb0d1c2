"""Responses as an upstream speaks it.

Source: OpenAI API reference, "Create a model response".
"""

from msgspec.structs import replace

from gateway.core.catalog import Resolution
from gateway.core.request import Request
from gateway.dialects.adapt.names import fit_names
from gateway.dialects.endpoint import AnswerStream, UpstreamRequest, bearer
from gateway.dialects.event_stream import EventStream
from gateway.dialects.responses.answer_reader import ResponsesReader
from gateway.dialects.responses.passthrough import pass_through
from gateway.dialects.responses.request_writer import write_request


class ResponsesEndpoint:
    """See `gateway.dialects.endpoint.Endpoint`; the base URL ends in `/v1`."""

    path = "/responses"
    count_route = None

    def headers(self, url: str, credential: str | None) -> dict[str, str]:
        """The credential as a bearer token."""
        return bearer(credential)

    def prepare(self, request: Request, resolution: Resolution) -> UpstreamRequest:
        """The request as this upstream takes it; raises `InvalidRequest` for what it cannot."""
        request, names = fit_names(request, resolution.model.profile)
        outgoing = pass_through(request, resolution) or write_request(request, resolution)
        return replace(outgoing, names=names) if names else outgoing

    def reader(
        self, outgoing: UpstreamRequest, upstream: str, credential: str | None
    ) -> AnswerStream:
        """The reader of one answer."""
        return EventStream(ResponsesReader(upstream, credential, outgoing.names))
