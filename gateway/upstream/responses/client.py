"""The connection to one upstream that speaks Responses; only what differs from one of chat.

Source: OpenAI API reference, "Create a model response".
"""

from gateway.core.catalog import Resolution
from gateway.core.request import Request
from gateway.upstream.base import AnswerStream, Outgoing
from gateway.upstream.chat.client import ChatUpstream
from gateway.upstream.event_stream import EventStream
from gateway.upstream.responses.answer_reader import ResponsesReader
from gateway.upstream.responses.native import render_native
from gateway.upstream.responses.render import render_request


class ResponsesUpstream(ChatUpstream):
    """One provider; `url` is its base URL up to `/v1`, to which `/responses` is joined."""

    path = "/responses"

    def prepare(self, request: Request, resolution: Resolution) -> Outgoing:
        """The request as this upstream takes it; raises `InvalidRequest` for what it cannot."""
        return render_native(request, resolution) or render_request(request, resolution)

    def _reader(self, outgoing: Outgoing) -> AnswerStream:
        return EventStream(ResponsesReader(self.name, self._credential))
