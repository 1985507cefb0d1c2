"""Embeddings as Gemini speaks them. Source: Gemini API reference, "Embeddings"."""

from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Raw, Struct

from gateway.core.catalog import Resolution
from gateway.core.errors import InvalidRequest
from gateway.core.events import Usage
from gateway.core.request import EmbeddingInput
from gateway.dialects.endpoint import EmbeddingWanted, UpstreamRequest
from gateway.dialects.gemini.tables import read_usage
from gateway.dialects.vectors import (
    AnswerMembers,
    EmbeddingReader,
    check_vectors,
    read_small,
    rewrite,
    write_vectors,
)


class _Embedding(Struct, gc=False):
    values: Raw


_read_embeddings = msgspec.json.Decoder(list[_Embedding]).decode


def prepare_embeddings(embedding: EmbeddingInput, resolution: Resolution) -> UpstreamRequest:
    """One batch of all texts. Raises `InvalidRequest` for token ids, which Gemini does not take."""
    if not embedding.texts:
        raise InvalidRequest("this model takes texts, and no token ids", param="input")
    model = resolution.model.upstream_model
    shared: dict[str, Any] = {"model": f"models/{model}"}
    if embedding.dimensions is not None:
        shared["outputDimensionality"] = embedding.dimensions
    requests = [{**shared, "content": {"parts": [{"text": text}]}} for text in embedding.texts]
    return UpstreamRequest(
        body=msgspec.json.encode({"requests": requests}),
        stream=False,
        path=f"/{quote(model, safe='')}:batchEmbedContents",
        wanted=EmbeddingWanted(embedding.number, embedding.dimensions, embedding.is_base64),
    )


class GeminiEmbeddings(EmbeddingReader):
    """Reads one answer, and writes it as OpenAI does."""

    def _read_usage(self, members: AnswerMembers) -> Usage | None:
        read = read_small(members.usage_metadata)
        return read_usage(read) if isinstance(read, dict) else None

    def _read_vectors(self, data: bytes) -> bytes:
        vectors = [bytes(each.values) for each in _read_embeddings(data)]
        if not check_vectors(vectors, self._wanted):
            vectors = [rewrite(each) for each in vectors]
        return write_vectors(vectors)
