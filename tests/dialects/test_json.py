"""Each body becomes a value or a 400 that names the field."""

import contextlib
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import InvalidRequest
from gateway.dialects.json import convert, decode, encode


class Item(msgspec.Struct):
    count: int
    name: str | None = None


class Thing(msgspec.Struct):
    items: list[Item] = []
    limit: Annotated[int, msgspec.Meta(ge=1)] | None = None
    ratio: float | None = None
    either: Item | str | None = None
    table: dict[str, float] = {}
    anything: Any = None


def refuse(body: bytes) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        decode(body, Thing)
    assert caught.value.status == 400
    return caught.value


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b'{"items":',
        b'{"anything":NaN}',
        b'{"anything":"\\ud800"}',
        b'{"anything":"\xff"}',
        b"\xef\xbb\xbf{}",
        b'{"anything":"line\nbreak"}',
        b"{} {}",
        b'{"unknown":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"[" * 100_000,
    ],
)
def test_what_is_not_json_is_refused_in_a_sentence(body: bytes) -> None:
    error = refuse(body)
    assert error.param is None
    assert error.message.startswith("The request body is")
    assert error.message.endswith(".")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (b"\\ud800", "surrogate pair"),
        (b"\\uDBFF12", "surrogate pair"),
        (b"\\ud800 and more behind it", "surrogate pair"),
        (b"\\udc00", "surrogate pair"),
        (b"\\\\ud800\\", "truncated"),
    ],
)
def test_half_of_a_surrogate_pair_is_named_wherever_it_stands(value: bytes, words: str) -> None:
    assert words in refuse(b'{"anything":"%b"}' % value).message


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        (b'{"items":[{"count":1},{"count":"x"}]}', "items.1.count", "an integer, got a string"),
        (b'{"items":[{}]}', "items.0.count", "Missing required parameter"),
        (b'{"limit":0}', "limit", "an integer >= 1"),
        (b'{"limit":1.5}', "limit", "an integer, got a number"),
        (b'{"ratio":1e999}', "ratio", "out of range"),
        (b'{"either":[]}', "either", "a string or an object, got an array"),
        (b'{"table":{"a":"x"}}', "table", "a number, got a string"),
        (b'{"items":{}}', "items", "an array, got an object"),
        (b'{"anything":%b}' % (b"1" * 6000), "anything", "out of range"),
    ],
)
def test_a_wrong_field_is_named(body: bytes, param: str, words: str) -> None:
    error = refuse(body)
    assert error.param == param
    assert words in error.message
    assert param in error.message


def test_a_body_that_is_no_object_is_refused() -> None:
    assert refuse(b"[]").message == "The request body is invalid: expected an object, got an array."


def test_unknown_members_are_skipped_and_the_last_of_two_counts() -> None:
    assert decode(b'{"limit":1,"limit":2,"new":{"a":[1]}}', Thing).limit == 2


def test_converting_names_the_path_from_the_root() -> None:
    with pytest.raises(InvalidRequest) as caught:
        convert([{"count": None}], list[Item], "tools.3")
    assert caught.value.param == "tools.3.0.count"


def test_encoding_what_nests_too_deeply_is_refused() -> None:
    value: Any = 1
    for _ in range(100_000):
        value = [value]
    with pytest.raises(InvalidRequest):
        encode(value)


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(body: bytes) -> None:
    with contextlib.suppress(InvalidRequest):
        decode(body, Thing)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
NAMES = st.sampled_from(["items", "limit", "ratio", "either", "table", "count", "name"])


@given(st.dictionaries(NAMES, VALUES | st.lists(st.dictionaries(NAMES, VALUES), max_size=3)))
def test_no_value_raises_anything_else(value: dict[str, Any]) -> None:
    try:
        body = msgspec.json.encode(value)
    except (OverflowError, UnicodeEncodeError):
        return
    with contextlib.suppress(InvalidRequest):
        assert isinstance(decode(body, Thing), Thing)
