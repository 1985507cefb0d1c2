"""The connection to one upstream that speaks Responses; only what differs from one of chat.

Source: OpenAI API reference, "Create a model response".
"""

from gateway.core.catalog import Resolution
from gateway.core.request import Request
from gateway.upstream.base import Outgoing
from gateway.upstream.chat.client import ChatUpstream
from gateway.upstream.responses.native import render_native
from gateway.upstream.responses.render import render_request
from gateway.upstream.responses.translate import ResponsesTranslator


class ResponsesUpstream(ChatUpstream):
    """One provider; `url` is its base URL up to `/v1`, to which `/responses` is joined."""

    path = "/responses"

    def prepare(self, request: Request, resolution: Resolution) -> Outgoing:
        """The request as this upstream takes it; raises `InvalidRequest` for what it cannot."""
        return render_native(request, resolution) or render_request(request, resolution)

    def _translator(self) -> ResponsesTranslator:
        return ResponsesTranslator(self.name)
