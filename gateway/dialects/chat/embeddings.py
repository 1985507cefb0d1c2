"""Embeddings as upstreams of OpenAI's kind speak them.

Source: OpenAI API reference, "Create embeddings".
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from gateway.core.catalog import Resolution
from gateway.core.events import Usage
from gateway.core.request import EmbeddingInput
from gateway.dialects.chat.tables import read_usage
from gateway.dialects.endpoint import EmbeddingWanted, UpstreamRequest
from gateway.dialects.vectors import (
    AnswerMembers,
    EmbeddingReader,
    check_vectors,
    read_small,
    refuse,
    rewrite,
    write_vectors,
)

_PATH = "/embeddings"


class _Item(Struct, gc=False):
    embedding: Raw
    index: int | None = None


_read_items = msgspec.json.Decoder(list[_Item]).decode


def prepare_embeddings(embedding: EmbeddingInput, resolution: Resolution) -> UpstreamRequest:
    """The request, with the input as the client wrote it."""
    members: dict[str, Any] = {
        "model": resolution.model.upstream_model,
        "input": Raw(embedding.written),
    }
    if embedding.dimensions is not None:
        members["dimensions"] = embedding.dimensions
    if embedding.is_base64:
        members["encoding_format"] = "base64"
    return UpstreamRequest(
        body=msgspec.json.encode(members),
        stream=False,
        root_path=_PATH,
        wanted=EmbeddingWanted(embedding.number, embedding.dimensions, embedding.is_base64),
    )


class OpenAIEmbeddings(EmbeddingReader):
    """Reads one answer; it goes on as it came unless vectors are in another form or order."""

    def _read_usage(self, members: AnswerMembers) -> Usage | None:
        return read_usage(read_small(members.usage))

    def _read_vectors(self, data: bytes) -> bytes:
        items = _read_items(data)
        order = [place if each.index is None else each.index for place, each in enumerate(items)]
        vectors = [bytes(each.embedding) for each in items]
        is_fit = check_vectors(vectors, self._wanted)
        in_order = list(range(len(items)))
        if is_fit and order == in_order:
            return data
        if sorted(order) != in_order:
            refuse("vectors without an order")
        placed = dict(zip(order, vectors, strict=True))
        return write_vectors(
            [placed[place] if is_fit else rewrite(placed[place]) for place in in_order]
        )
