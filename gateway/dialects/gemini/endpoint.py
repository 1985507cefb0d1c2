"""Gemini as an upstream speaks it: the model, and what is wanted of it, stand in the path.

Sources: Gemini API reference, "Generating content", "Counting tokens" and "API keys".
"""

from urllib.parse import unquote

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from gateway.core.catalog import Resolution
from gateway.core.profile import GEMINI_3
from gateway.core.request import Request
from gateway.dialects.adapt.names import fit_names
from gateway.dialects.endpoint import AnswerStream, CountRoute, UpstreamRequest
from gateway.dialects.event_stream import EventStream
from gateway.dialects.gemini.answer_reader import GeminiReader
from gateway.dialects.gemini.embeddings import GeminiEmbeddings, prepare_embeddings
from gateway.dialects.gemini.request_writer import write_request

_PATH = "/models"


class _TotalTokens(Struct, rename="camel"):
    total_tokens: int


_read_counted = msgspec.json.Decoder(_TotalTokens).decode


def _write_count(outgoing: UpstreamRequest) -> tuple[str, bytes]:
    """Path and body of a count: the whole request, with its model."""
    model = outgoing.path.partition(":")[0]
    named = msgspec.json.encode(f"models{unquote(model)}")
    return f"{model}:countTokens", b'{"generateContentRequest":{"model":%b,%b}' % (
        named,
        outgoing.body[1:],
    )


class GeminiEndpoint:
    """See `gateway.dialects.endpoint.Endpoint`; the base URL ends in `/v1beta`."""

    path = _PATH
    count_route = CountRoute(
        _PATH,
        _write_count,
        lambda answer: _read_counted(answer).total_tokens,
        counts_tools=True,
    )

    def headers(self, url: str, credential: str | None) -> dict[str, str]:
        """The credential as `x-goog-api-key`: a bearer token is something else there."""
        return {} if credential is None else {"x-goog-api-key": credential}

    def prepare(self, request: Request, resolution: Resolution) -> UpstreamRequest:
        """The request as this upstream takes it; raises `InvalidRequest` for what it cannot."""
        if request.embedding is not None:
            return prepare_embeddings(request.embedding, resolution)
        # The dialect has one form of names, for models of every profile.
        request, names = fit_names(request, GEMINI_3)
        outgoing = write_request(request, resolution)
        return replace(outgoing, names=names) if names else outgoing

    def reader(
        self, outgoing: UpstreamRequest, upstream: str, credential: str | None
    ) -> AnswerStream:
        """The reader of one answer."""
        if outgoing.wanted is not None:
            return GeminiEmbeddings(outgoing.wanted, credential)
        return EventStream(GeminiReader(upstream, credential, outgoing.names))
