"""Tags: what of metadata is one, and what a header may hold."""

import json
from typing import Any

import pytest

from gateway.core.errors import InvalidRequest
from gateway.core.tags import tags_of_header, tags_of_json, written


@pytest.mark.parametrize(
    ("metadata", "tags"),
    [
        ({"team": "search", "步骤": "检索"}, {"team": "search", "步骤": "检索"}),
        ({f"n{n}": "v" for n in range(16)}, {f"n{n}": "v" for n in range(8)}),
        ({"a b": "1", "a,b": "1", "": "1", "a\n": "1", "n" * 65: "1"}, {}),
        ({"n" * 64: "x" * 512}, {"n" * 64: "x" * 512}),
        ({"a": 1, "b": None, "c": "", "d": "x" * 513, "e": "a\0b", "f": "1"}, {"f": "1"}),
        (["team"], {}),
        ("team", {}),
        (None, {}),
        ({"a": "x" * 200_000}, {}),
    ],
)  # fmt: skip
def test_pairs_of_metadata_that_are_no_tags_are_left_out(
    metadata: Any, tags: dict[str, str]
) -> None:
    assert tags_of_json(json.dumps(metadata).encode()) == tags


def test_what_openai_allows_is_read_however_it_is_escaped() -> None:
    metadata = {chr(0x1F600 + n) * 64: "\U0001f680" * 512 for n in range(16)}
    assert len(tags_of_json(json.dumps(metadata).encode())) == 8


def test_deep_or_broken_metadata_has_no_tags() -> None:
    deep = b'{"a":' + b"[" * 50_000 + b"]" * 50_000 + b"}"
    assert tags_of_json(deep) == {}
    assert tags_of_json(b'{"a":') == {}


@pytest.mark.parametrize(
    ("header", "tags"),
    [
        (b"team=search,feature=answers", {"team": "search", "feature": "answers"}),
        (b" team = search , , team=ads", {"team": "search"}),
        (b"team=a%2Cb%3Dc=d", {"team": "a,b=c=d"}),
        ("team=检索,步骤=%E6%AD%A5".encode(), {"team": "检索", "步骤": "步"}),
        (b"", {}),
    ],
)
def test_a_header_is_read(header: bytes, tags: dict[str, str]) -> None:
    assert tags_of_header(header) == tags


@pytest.mark.parametrize(
    "header",
    [b"team", b"team=", b"=search", b"te am=a", b"a=%00", b"a=%FF", b"\xff=a",
     b"a=" + b"x" * 513, b",".join(b"n%d=v" % n for n in range(9))],
)  # fmt: skip
def test_a_wrong_header_is_refused(header: bytes) -> None:
    with pytest.raises(InvalidRequest, match=r"^x-faregate-tags: ") as refused:
        tags_of_header(header)
    assert refused.value.param == "x-faregate-tags"


def test_a_header_comes_before_metadata() -> None:
    many = {f"n{n}": "v" for n in range(7)}
    assert written(b"", {}) is None
    assert written(b"b=1", {"a": "2", "b": "3"}) == '{"a":"2","b":"1"}'
    kept = json.loads(written(b"x=1,n0=2", many | {"y": "3"}) or "")
    assert kept == {"x": "1", **many, "n0": "2"}
