"""Chat Completions as an upstream speaks it.

Sources: OpenAI API reference, "Create chat completion"; Moonshot, "Estimate tokens".
"""

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from gateway.core.catalog import Resolution
from gateway.core.request import AssistantMessage, Request
from gateway.dialects.adapt.names import fit_names
from gateway.dialects.chat.answer_stream import ChatStream
from gateway.dialects.chat.embeddings import OpenAIEmbeddings, prepare_embeddings
from gateway.dialects.chat.request_writer import write_request
from gateway.dialects.endpoint import AnswerStream, CountRoute, UpstreamRequest, bearer
from gateway.dialects.json import pick_members


class _Total(Struct):
    total_tokens: int


class _Estimate(Struct):
    data: _Total


_read_estimate = msgspec.json.Decoder(_Estimate).decode

_ESTIMATE = CountRoute(
    "/tokenizers/estimate-token-count",
    lambda outgoing: ("", pick_members(outgoing.body, ("model", "messages"))),
    lambda answer: _read_estimate(answer).data.total_tokens,
    counts_tools=False,
)


class ChatEndpoint:
    """See `gateway.dialects.endpoint.Endpoint`; the base URL ends in `/v1`."""

    path = "/chat/completions"
    #: Moonshot's
    count_route = _ESTIMATE

    def headers(self, url: str, credential: str | None) -> dict[str, str]:
        """The credential as a bearer token."""
        return bearer(credential)

    def prepare(self, request: Request, resolution: Resolution) -> UpstreamRequest:
        """The request as this upstream takes it; raises `InvalidRequest` for what it cannot."""
        if request.embedding is not None:
            return prepare_embeddings(request.embedding, resolution)
        # Most requests name no tool, and this is their path.
        has_names = bool(request.tools) or AssistantMessage in map(type, request.messages)
        if not has_names and (request.written is None or not request.written.call_names):
            return write_request(request, resolution)
        request, names = fit_names(request, resolution.model.profile)
        outgoing = write_request(request, resolution)
        return replace(outgoing, names=names) if names else outgoing

    def reader(
        self, outgoing: UpstreamRequest, upstream: str, credential: str | None
    ) -> AnswerStream:
        """The reader of one answer."""
        if outgoing.wanted is not None:
            return OpenAIEmbeddings(outgoing.wanted, credential)
        return ChatStream(outgoing.choices, credential, upstream, outgoing.names)
