"""Vectors of upstreams that are not quite OpenAI's: put right, or no answer."""

import base64
import json
import struct
from typing import Any

import pytest

from gateway.core.errors import FaregateError, UpstreamBroken
from gateway.dialects.chat.embeddings import OpenAIEmbeddings
from gateway.dialects.embeddings.request_reader import parse_body
from gateway.dialects.endpoint import EmbeddingWanted
from gateway.dialects.gemini.embeddings import GeminiEmbeddings

ONE: list[float] = [0.5, -1.0, 2e-3]
TWO: list[float] = [1, 0, 3]


def in_base64(numbers: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def read(data: Any, *, number: int = 2, is_base64: bool = False, dimensions: int | None = None,
         **more: Any) -> Any:  # fmt: skip
    reader = OpenAIEmbeddings(EmbeddingWanted(number, dimensions, is_base64), None)
    answer = reader.answer(json.dumps({"data": data, **more}).encode())
    assert reader.complete
    return [each["embedding"] for each in json.loads(answer.vectors)]


def items(*vectors: Any) -> list[dict[str, Any]]:
    return [{"object": "embedding", "index": n, "embedding": v} for n, v in enumerate(vectors)]


def test_gemini_s_vectors_are_put_into_the_form_that_is_wanted_whatever_they_come_in() -> None:
    for values in (ONE, in_base64(ONE)):
        for is_base64 in (False, True):
            reader = GeminiEmbeddings(EmbeddingWanted(1, None, is_base64), None)
            answer = reader.answer(json.dumps({"embeddings": [{"values": values}]}).encode())
            [item] = json.loads(answer.vectors)
            wanted = in_base64(ONE) if is_base64 else pytest.approx(ONE)
            assert item["embedding"] == wanted


def test_vectors_go_as_they_came() -> None:
    assert read(items(ONE, TWO)) == [ONE, TWO]
    assert read(items(in_base64(ONE), in_base64(TWO)), is_base64=True, dimensions=3) == [
        in_base64(ONE), in_base64(TWO),
    ]  # fmt: skip


def test_the_other_form_and_another_order_are_put_right() -> None:
    assert read(items(ONE, TWO), is_base64=True) == [in_base64(ONE), in_base64(TWO)]
    [one, two] = read(items(in_base64(ONE), in_base64(TWO)))
    assert (one, two) == (pytest.approx(ONE), TWO)
    assert read(items(TWO, ONE)[::-1]) == [TWO, ONE]


@pytest.mark.parametrize(
    "beside",
    [[{}, {}], [{"index": "0"}, {"index": 1.0}], [{"index": 0}, {"index": 1}],
     [{"object": "embedding"}, {"object": None}]],
)  # fmt: skip
def test_a_vector_has_its_place_and_its_kind(beside: list[dict[str, Any]]) -> None:
    given = [{**one, "embedding": vector} for one, vector in zip(beside, (ONE, TWO), strict=True)]
    reader = OpenAIEmbeddings(EmbeddingWanted(2, None, is_base64=False), None)
    answer = reader.answer(json.dumps({"data": given}).encode())
    assert json.loads(answer.vectors) == items(ONE, TWO)


def test_the_vectors_of_a_thousand_texts_are_put_right() -> None:
    """As many as LangChain sends at once, to a server that knows lists only."""
    vectors = read(items(*[[0.0] * 1024] * 1000), number=1000, is_base64=True)
    assert vectors == [in_base64([0.0] * 1024)] * 1000


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (items(ONE), {}),
        (items(ONE, TWO, ONE), {}),
        (items(ONE, TWO[:2]), {}),
        (items(ONE, TWO), {"dimensions": 4}),
        (items(ONE, in_base64(TWO)), {}),
        (items(ONE, []), {}),
        (items(ONE, [0.5, None, 1]), {}),
        (items(ONE, [[0.5], 1, 2]), {}),
        (items("AAAA", "AAAA"), {"is_base64": True}),
        (items("not base64!", "x"), {"is_base64": True}),
        ([{"embedding": ONE, "index": 0}, {"embedding": TWO, "index": 0}], {}),
        ([{**items(ONE)[0], "index": [0] * 40_000}, {"embedding": TWO}], {}),
        (items(in_base64([float("nan")]), in_base64([0.5])), {}),
        (items([1e300], [0.5]), {"is_base64": True}),
        ([{}, {}], {}),
        (None, {}),
        ("text", {}),
    ],
)
def test_what_is_no_answer_is_broken(data: Any, wanted: Any) -> None:
    with pytest.raises(UpstreamBroken):
        read(data, **wanted)


def test_an_error_with_a_good_status_is_an_error() -> None:
    with pytest.raises(FaregateError, match="upstream"):
        read(None, error={"message": "overloaded", "type": "server_error"})


def test_the_input_goes_on_as_it_was_written() -> None:
    body = b'{"model": "m", "input": [ "a\\u00e9", "b" ], "user": "u"}'
    embedding = parse_body(body).request.embedding
    assert embedding is not None
    assert embedding.written == b'[ "a\\u00e9", "b" ]'
    assert (embedding.texts, embedding.number) == (("aé", "b"), 2)
