"""Embeddings as upstreams of OpenAI's kind speak them.

Source: OpenAI API reference, "Create embeddings".
"""

from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from gateway.core.catalog import Resolution
from gateway.core.events import Usage
from gateway.core.request import EmbeddingInput
from gateway.dialects.chat.tables import read_usage
from gateway.dialects.endpoint import EmbeddingWanted, UpstreamRequest
from gateway.dialects.odd_values import number_of
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
_KIND = Raw(b'"embedding"')


class _Item(Struct, gc=False):
    embedding: Raw
    index: Raw | UnsetType = UNSET
    object: Raw | UnsetType = UNSET


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
    """Reads one answer; it goes on as it came unless vectors are in another form or order, or
    something is missing beside them."""

    def _read_usage(self, members: AnswerMembers) -> Usage | None:
        return read_usage(read_small(members.usage))

    def _read_vectors(self, data: bytes) -> bytes:
        items = _read_items(data)
        vectors = [bytes(each.embedding) for each in items]
        is_fit = check_vectors(vectors, self._wanted)
        if is_fit and all(map(_is_whole, items, range(len(items)))):
            return data
        in_order = list(range(len(items)))
        indexes = [number_of(read_small(each.index)) for each in items]
        order = [place if index is None else index for place, index in enumerate(indexes)]
        if sorted(order) != in_order:
            refuse("vectors without an order")
        placed = dict(zip(order, vectors, strict=True))
        return write_vectors(
            [placed[place] if is_fit else rewrite(placed[place]) for place in in_order]
        )


def _is_whole(item: _Item, place: int) -> bool:
    return item.object == _KIND and item.index == Raw(b"%d" % place)
