"""Tokens: counted, and estimated."""

import json
import struct
from base64 import b64encode
from typing import Any

import pytest

from gateway.core.errors import InvalidRequest
from gateway.core.request import Tool
from gateway.core.tokens import TokenCounter
from gateway.dialects.messages.images import TOKENS_MAX, UNREADABLE_TOKENS, image_size, image_tokens
from gateway.dialects.messages.token_count import CountableContent, counting, estimate, read_counted
from gateway.dialects.messages.tool_declaration import declare
from tests.dialects.messages.support import assistant, call_block, result_block, tool, user

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 640, 480)
GIF = b"GIF89a" + struct.pack("<HH", 640, 480)
JPEG = (
    b"\xff\xd8\xff\xe1\x00\x08Exif\0\0"
    b"\xff\xc4\x00\x04\0\0"
    b"\xff\xc0\x00\x11\x08" + struct.pack(">HH", 480, 640) + b"\x03"
)
WEBP_LOSSY = b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 640, 480)
WEBP_LOSSLESS = b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f" + struct.pack("<I", 639 | 479 << 14)
WEBP_EXTENDED = b"RIFF\0\0\0\0WEBPVP8X\0\0\0\0\0\0\0\0\x7f\x02\x00\xdf\x01\x00"


@pytest.fixture(scope="module")
def counter() -> TokenCounter:
    return TokenCounter()


def count(counter: TokenCounter, *messages: Any, **fields: Any) -> int:
    return sum(counting(counted(*messages, **fields), counter))


def counted(*messages: Any, **fields: Any) -> CountableContent:
    body = {"model": "kimi-k2.5", "messages": list(messages), **fields}
    return read_counted(json.dumps(body).encode())


def picture(data: bytes) -> dict[str, Any]:
    source = {"type": "base64", "media_type": "image/png", "data": b64encode(data).decode()}
    return {"type": "image", "source": source}


def test_one_word_is_counted(counter: TokenCounter) -> None:
    assert count(counter, user("foo")) == 9


def test_everything_that_a_model_reads_counts(counter: TokenCounter) -> None:
    plain = count(counter, user("foo"))
    word = "counterintuitively " * 50

    assert count(counter, user("foo"), system=word) > plain + 50
    assert count(counter, user("foo"), tools=[tool("A", description=word)]) > plain + 50
    assert count(counter, user("foo"), assistant(call_block("A", "a", text=word))) > plain + 50
    assert count(counter, user(result_block("a", word))) > plain + 50
    assert count(counter, user(result_block("a", [picture(PNG)]))) > plain + 50
    for source in (
        {"type": "text", "media_type": "text/plain", "data": word},
        {"type": "content", "content": word},
    ):
        assert count(counter, user({"type": "document", "source": source})) > plain + 50


def test_what_no_model_reads_does_not_count(counter: TokenCounter) -> None:
    plain = count(counter, user({"type": "text", "text": "foo"}))
    noise = "noise " * 100

    assert plain == count(
        counter,
        user({"type": "text", "text": "foo"}, {"type": "hologram", "text": noise}, {"type": 5}),
        tools=[{"type": "web_search_20250305", "name": noise}],
        metadata={"user_id": noise},
        thinking={"type": "enabled", "budget_tokens": 10_000},
        system="x-anthropic-billing-header: " + noise,
    )


def test_thinking_counts_since_the_user_last_spoke(counter: TokenCounter) -> None:
    thinking = {"type": "thinking", "thinking": "hm " * 100, "signature": "s" * 1000}
    loop = (
        user("Go"),
        assistant(thinking, call_block("A", "a")),
        user(result_block("a")),
    )

    under_way = count(counter, *loop)
    over = count(counter, *loop, assistant("Done."), user("Thanks"))
    assert under_way > 100
    assert over < under_way


def test_a_pdf_is_left_to_be_read_and_counted_as_text() -> None:
    source = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}
    found = counted(user(result_block("a", [{"type": "document", "source": source}])))

    assert found.documents == ["JVBERi0="]
    assert found.texts == ["[document untitled]"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"messages": 5}', b'{"messages": [5]}'])
def test_only_a_body_without_messages_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        read_counted(body)


def test_documents_count_as_the_model_sees_them(counter: TokenCounter) -> None:
    away = {"type": "url", "url": "https://example.test/a.png"}
    picture_away = {"type": "image", "source": away}
    content = {"type": "content", "content": [{"type": "text", "text": "word " * 50}, picture_away]}

    assert count(counter, user({"type": "document", "source": content})) > 50
    assert count(counter, user({"type": "document", "source": away})) > 0


def test_tools_are_declared_as_types() -> None:
    schema = {
        "type": "object",
        "properties": {
            "path": {"type": "string", "description": "Where."},
            "mode": {"enum": ["r", "w"]},
            "tags": {"type": "array", "items": {"type": "string"}},
            "size": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
            "more": {"type": "object", "properties": {"deep": True}},
        },
        "required": ["path"],
    }

    assert declare([Tool("Open", "Opens.\nAnd reads.", schema)]) == (
        "# Tools\n\n## functions\nnamespace functions {\n"
        "// Opens.\n// And reads.\n"
        "type Open = (_: {\n// Where.\npath: string,\n"
        'mode?: "r" | "w",\ntags?: Array<string>,\nsize?: integer | null,\n'
        "more?: {\ndeep?: any,\n},\n}) => any;\n}\n"
    )
    assert declare([]) == ""


def test_a_schema_without_end_is_declared(counter: TokenCounter) -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(200):
        schema = {"type": "array", "items": schema}

    assert count(counter, user("Hi"), tools=[{"name": "A", "input_schema": schema}]) > 0


@pytest.mark.parametrize(
    "head", [PNG, GIF, JPEG, WEBP_LOSSY, WEBP_LOSSLESS, WEBP_EXTENDED], ids=repr
)
def test_the_size_of_an_image_is_read_from_its_header(head: bytes) -> None:
    assert image_size(head) == (640, 480)
    assert image_tokens(b64encode(head).decode()) == 23 * 18
    for length in range(len(head)):
        image_size(head[:length])


def test_an_image_that_cannot_be_read_has_a_flat_count() -> None:
    assert image_tokens("") == UNREADABLE_TOKENS
    assert image_tokens("not base64!") == UNREADABLE_TOKENS
    assert image_tokens(b64encode(b"BM" * 40).decode()) == UNREADABLE_TOKENS
    huge = PNG[:16] + struct.pack(">II", 100_000, 100_000)
    assert image_tokens(b64encode(huge).decode()) == TOKENS_MAX


# The estimate


def test_the_estimate_follows_the_length() -> None:
    body = json.dumps({"messages": [user("word " * 7_000)]}).encode()

    assert estimate(body) == pytest.approx(10_000, rel=0.01)
    assert estimate(b"{}") == 1


def test_the_estimate_leaves_out_images_and_signatures() -> None:
    plain = json.dumps({"messages": [user({"type": "text", "text": "Hi"})]}).encode()
    thinking = {"type": "thinking", "thinking": "", "signature": "c2ln" * 50_000}
    image = picture(b"\0" * 500_000)
    reversed_image = {"type": "image", "source": dict(reversed(image["source"].items()))}
    body = {"messages": [user(image, reversed_image), assistant(thinking)]}

    for separators in ((",", ":"), (", ", ": ")):
        encoded = json.dumps(body, separators=separators).encode()
        tokens = estimate(encoded) - 2 * UNREADABLE_TOKENS
        assert 0 < tokens < estimate(plain) + 100


@pytest.mark.parametrize(
    "body", [b'"data":', b'"data":"', b'"data":"x', b'"signature":', b'"data":5}"data":']
)
def test_the_estimate_of_a_broken_body_is_some_number(body: bytes) -> None:
    assert estimate(body) >= 1
