"""An answer that is compressed, although that was not asked for, is read, or its coding named."""

import asyncio
import json
import zlib

import pytest

from gateway.core.errors import InvalidRequest, UpstreamBroken
from gateway.core.events import Text
from gateway.upstream.client import _ERROR_BYTES_MAX
from gateway.upstream.response import ANSWER_BYTES_MAX
from tests.dialects.support import chunk, stream
from tests.harness.codings import CODERS
from tests.upstream.talk import Serve, answer
from tests.upstream.test_connection import play

#: large enough for more than one piece
TEXT = "x" * 100_000
WHOLE = json.dumps({"choices": [{"message": {"content": TEXT}, "finish_reason": "stop"}]}).encode()
REFUSED = b'{"error": {"message": "max_tokens is too large", "type": "invalid_request_error"}}'


def sends(data: bytes) -> Serve:
    async def serve(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(data)

    return serve


@pytest.mark.parametrize("coding", CODERS)
def test_a_compressed_answer_and_a_compressed_refusal_are_read(coding: str) -> None:
    pack = CODERS[coding]
    whole = play(sends(answer(pack(WHOLE), coding=coding)), streaming=False)
    assert [event.text for event in whole.events() if isinstance(event, Text)] == [TEXT]
    refused = answer(pack(REFUSED), status="400 Bad Request", coding=coding)
    for streaming in (False, True):
        error = play(sends(refused), streaming=streaming)
        assert type(error) is InvalidRequest
        assert "max_tokens is too large" in str(error)


def test_a_body_that_is_not_what_its_coding_names_is_not_an_answer() -> None:
    gzip = CODERS["gzip"]
    for packed, coding, reason in (
        (b"\x1b" + WHOLE, "br", "compressed with 'br' are not supported"),
        (gzip(WHOLE)[:-9], "gzip", "ends before its gzip does"),
        (gzip(b"\0" * (ANSWER_BYTES_MAX + 1)), "gzip", "too large"),
    ):
        error = play(sends(answer(packed, coding=coding)), streaming=False)
        assert type(error) is UpstreamBroken
        assert reason in str(error)


def test_a_refusal_that_grows_too_large_is_known_by_its_status() -> None:
    large = zlib.compress(REFUSED.replace(b"max", b"m" * _ERROR_BYTES_MAX))
    error = play(sends(answer(large, status="400 Bad Request", coding="deflate")))
    assert type(error) is InvalidRequest
    assert "without a reason" in str(error)


@pytest.mark.parametrize("coding", ["gzip", "br"])
def test_a_compressed_stream_names_its_coding(coding: str) -> None:
    body = CODERS["gzip"](stream(chunk({"content": "x"}, "stop"), "[DONE]"))
    error = play(sends(answer(body, "text/event-stream", coding=coding)))
    assert type(error) is UpstreamBroken
    assert f"'{coding}'" in str(error)
