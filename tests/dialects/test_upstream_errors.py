"""An upstream's refusals become errors for our client: by type first, then by status."""

import json
from typing import Any

import pytest

from gateway.core.errors import (
    ContentFiltered,
    ContextOverflow,
    FaregateError,
    InvalidRequest,
    RequestTooLarge,
    UpstreamError,
    UpstreamMisconfigured,
    UpstreamOverloaded,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from gateway.dialects.retry_hints import read_headers
from gateway.dialects.upstream_error_body import read_body
from gateway.dialects.upstream_errors import read_error

NOW = 1_767_225_600.0
CREDENTIAL = "opaque credential/of+any=kind"


def read(status: int, body: Any = None, **headers: str) -> FaregateError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_error(status, raw, headers, CREDENTIAL, NOW)


def moonshot(status: int, kind: str, message: str = "what the upstream says") -> FaregateError:
    return read(status, {"error": {"type": kind, "message": message}})


@pytest.mark.parametrize(
    ("status", "kind", "expected"),
    [
        (400, "content_filter", ContentFiltered),
        (400, "invalid_request_error", InvalidRequest),
        (422, "unprocessable", InvalidRequest),
        (401, "invalid_authentication_error", UpstreamMisconfigured),
        (401, "incorrect_api_key_error", UpstreamMisconfigured),
        (400, "invalid_authentication_error", UpstreamMisconfigured),
        (402, "", UpstreamMisconfigured),
        (403, "permission_denied_error", UpstreamMisconfigured),
        (404, "resource_not_found_error", UpstreamMisconfigured),
        (404, "", UpstreamMisconfigured),
        (405, "", UpstreamMisconfigured),
        (413, "", RequestTooLarge),
        (429, "engine_overloaded_error", UpstreamOverloaded),
        (429, "rate_limit_reached_error", UpstreamOverloaded),
        (429, "exceeded_current_quota_error", UpstreamMisconfigured),
        (429, "insufficient_quota", UpstreamMisconfigured),
        (429, "", UpstreamOverloaded),
        (301, "", UpstreamMisconfigured),
        (408, "", UpstreamTimeout),
        (499, "client_closed_request", UpstreamError),
        (500, "server_error", UpstreamError),
        (500, "unexpected_output", UpstreamError),
        (502, "", UpstreamUnreachable),
        (503, "server_unavailable", UpstreamOverloaded),
        (504, "", UpstreamTimeout),
        (529, "overloaded_error", UpstreamOverloaded),
        (599, "", UpstreamError),
    ],
)
def test_type_before_status(status: int, kind: str, expected: type[FaregateError]) -> None:
    error = moonshot(status, kind)
    assert type(error) is expected
    is_the_clients = error.status < 500
    assert ("what the upstream says" in error.message) == is_the_clients


@pytest.mark.parametrize("status", [401, 402, 403, 404, 429])
def test_the_upstreams_refusal_of_us_never_looks_like_ours_of_the_client(status: int) -> None:
    assert moonshot(status, "").status in (502, 503)
    assert moonshot(status, "exceeded_current_quota_error").status == 502


@pytest.mark.parametrize(
    ("message", "given", "limit"),
    [
        (
            "Invalid request: Your request exceeded model token limit: 262144 (requested: 262200)",
            262200,
            262144,
        ),
        ("Your request exceeded model token limit: 262144", None, 262144),
        ("Input token length too long", None, None),
        (
            "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens"
            " (3000 in the messages, 2000 in the completion).",
            3000,
            4096,
        ),
        (
            "This model's maximum context length is 32768 tokens. However, your request has 40000"
            " input tokens.",
            40000,
            32768,
        ),
        ("prompt is too long: 210000 tokens > 200000 maximum", 210000, 200000),
        (
            "The input token count (1200000) exceeds the maximum number of tokens allowed"
            " (1048576).",
            1200000,
            1048576,
        ),
    ],
)
def test_an_overflow_keeps_its_numbers(message: str, given: int | None, limit: int | None) -> None:
    error = moonshot(400, "invalid_request_error", message)
    assert type(error) is ContextOverflow
    assert error.message == message
    details = error.details or {}
    assert details.get("context_window") == limit
    assert details.get("input_tokens") == given


def test_an_overflow_is_known_by_its_code_too() -> None:
    body = {"error": {"type": "invalid_request_error", "code": "context_length_exceeded"}}
    assert type(read(400, body)) is ContextOverflow


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": "bad"}, "bad"),
        ({"message": "bad", "type": "BadRequestError", "object": "error", "code": 400}, "bad"),
        ({"detail": "bad"}, "bad"),
        ({"error": {"message": {"a": 1}}}, None),
        ({"error": {}}, None),
        ([], None),
        (b"<html><h1>Bad Request</h1></html>", None),
        (b"", None),
        (b"\xff\xfe", None),
        (b"[" * 100_000, None),
    ],
)
def test_bodies_of_every_shape(body: Any, message: str | None) -> None:
    error = read(400, body)
    assert type(error) is InvalidRequest
    assert error.message == (message or "The upstream refused the request without a reason.")


def test_a_page_is_never_passed_on() -> None:
    error = read(504, b"<html><title>504 Gateway Time-out</title></html>")
    assert type(error) is UpstreamTimeout
    assert "<" not in error.message


def test_long_messages_are_cut_and_secrets_hidden() -> None:
    assert len(moonshot(400, "", "x" * 5000).message) == 1000
    verdict = moonshot(
        400, "", f"{CREDENTIAL} org-1234567890 <ak-f8a7b6> sk-abcdefgh12345 in org-x"
    )
    assert verdict.message == "[hidden] [hidden] [hidden] [hidden] in org-x"


def test_only_the_beginning_of_a_name_or_a_text_is_read() -> None:
    """Nobody waits for the search of a megabyte that an upstream calls the type of its error."""
    long = "RateLimit " * 2**17
    named = read_body(json.dumps({"error": {"type": long, "message": "what it says"}}).encode())
    assert named.kind.startswith("rate_limit")
    assert len(named.kind) < 400
    assert named.message == "what it says"
    assert len(read_body(long.encode()).message) < 5000


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("5", 5.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("99999999", 3600.0),
        ("inf", 3600.0),
        ("nan", None),
        ("Thu, 01 Jan 2026 00:00:30 GMT", 30.0),
        ("Thu, 01 Jan 2025 00:00:30 GMT", 0.0),
        ("soon", None),
        ("", None),
        ("7.66s", 7.66),
        ("2m59.5s", 179.5),
        ("1h1m1s", 3600.0),
        ("250ms", 0.25),
        ("5 s", None),
    ],
)
def test_how_long_to_wait(value: str, seconds: float | None) -> None:
    assert read_headers({"retry-after": value}, NOW) == seconds


@pytest.mark.parametrize("wait", [None, 30, [], {}, "soon", "s", "1.2.3s"])
def test_a_wait_that_is_none_means_nothing(wait: Any) -> None:
    body = {"error": {"type": "rate_limit", "details": [{"retryDelay": wait}]}}
    assert read(429, body).retry_after_seconds is None


def test_an_overloaded_upstream_states_how_long() -> None:
    error = read(429, {"error": {"type": "rate_limit_reached_error"}}, **{"retry-after": "7"})
    assert error.retry_after_seconds == 7.0
    assert error.retryable
    assert not moonshot(429, "exceeded_current_quota_error").retryable
    for status in (500, 502, 503, 504, 529):
        assert read(status, {}, **{"retry-after": "7"}).retry_after_seconds == 7.0
