"""Chat Completions as an upstream speaks it.

Source: OpenAI API reference, "Create chat completion".
"""

from gateway.core.catalog import Resolution
from gateway.core.request import Request
from gateway.upstream.chat.answer_stream import ChatStream
from gateway.upstream.chat.render import render_request
from gateway.upstream.endpoint import AnswerStream, Outgoing, bearer


class ChatEndpoint:
    """See `gateway.upstream.endpoint.Endpoint`; the base URL ends in `/v1`."""

    path = "/chat/completions"

    def headers(self, url: str, credential: str | None) -> dict[str, str]:
        """The credential as a bearer token."""
        return bearer(credential)

    def prepare(self, request: Request, resolution: Resolution) -> Outgoing:
        """The request as this upstream takes it; raises `InvalidRequest` for what it cannot."""
        return render_request(request, resolution)

    def reader(self, outgoing: Outgoing, upstream: str, credential: str | None) -> AnswerStream:
        """The reader of one answer."""
        return ChatStream(outgoing.choices, credential)
