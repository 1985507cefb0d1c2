"""Any bytes to any route by any method: refused in the right envelope, or served, and free."""

import json
from typing import Any

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.fuzz.support import Prober, bounded
from tests.harness.dialects import PATHS
from tests.harness.postgres import PostgresServer

ROUTES = (
    *PATHS.values(),
    "/api/openai/v1/models",
    "/api/openai/v1/models/kimi-k2.5",
    "/api/openai/v1/responses/resp_1",
    "/api/openai/v1/responses/resp_1/input_items",
    "/api/anthropic/v1/messages/count_tokens",
    "/api/anthropic/v1/models",
    "/api/anthropic/v1/models/open",
    "/api/v1/account",
    "/api/v1/entries/req_1",
    "/api/v1/entries?kind=charge",
    "/api/v1/events?limit=5&after=9",
    "/api/v1/statement?month=2026-10",
    "/api/v1/usage?group_by=key,tag:team",
    "/api/v1/usage?tag:team=search",
    "/api/openai/v1/v1/responses",
    "/api/anthropic/v1/v1/models",
    "/api/openai",
    "/api/anthropic",
    "/",
)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")

json_texts = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner),
    max_leaves=10,
)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def database_of_module(request: pytest.FixtureRequest) -> str | None:
    """Both: what one takes as text the other may not."""
    if request.param == "sqlite":
        return None
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return server.create_migrated()


@bounded
@given(st.sampled_from(ROUTES), st.sampled_from(METHODS), st.binary(max_size=200))
@example("/api/openai/v1/responses", "POST", b"\xef\xbb\xbf{}")
@example("/api/anthropic/v1/messages/count_tokens", "POST", b'{"messages":[]}')
def test_any_bytes_to_any_route(prober: Prober, path: str, method: str, content: bytes) -> None:
    prober.check(path, prober.http.request(method, path, content=content))


@bounded
@given(st.sampled_from(ROUTES), st.sampled_from(METHODS), json_texts)
def test_any_json_to_any_route(prober: Prober, path: str, method: str, value: Any) -> None:
    content = json.dumps(value).encode()
    prober.check(path, prober.http.request(method, path, content=content))


@bounded
@given(
    st.sampled_from(
        (
            "/api/openai/v1/responses/{}",
            "/api/openai/v1/responses/{}/input_items",
            "/api/openai/v1/models/{}",
            "/api/anthropic/v1/models/{}",
            "/api/anthropic/{}",
            "/{}",
        )
    ),
    st.sampled_from(("GET", "DELETE", "POST")),
    st.binary(max_size=40),
)
@example("/api/openai/v1/responses/{}", "GET", b"\x00")
@example("/api/openai/v1/responses/{}", "DELETE", b"resp_\x00")
@example("/api/openai/v1/responses/{}/input_items", "GET", b"\xff\xfe")
@example("/api/openai/v1/responses/{}", "GET", b"resp_1/")
@example("/api/openai/v1/models/{}", "GET", b"\x00")
@example("/api/openai/v1/models/{}", "GET", b"x" * 5000)
@example("/api/anthropic/v1/models/{}", "GET", b"../../v1/account")
def test_any_name_in_a_path(prober: Prober, path: str, method: str, name: bytes) -> None:
    path = path.format("".join(f"%{byte:02x}" for byte in name))
    response = prober.http.request(method, path)
    prober.check(response.request.url.path, response)


@bounded
@given(
    st.sampled_from(ROUTES),
    st.dictionaries(
        st.sampled_from(["limit", "order", "after", "before_id", "beta", "stream", "include"]),
        st.text(max_size=20) | st.integers().map(str) | st.sampled_from(["asc", "desc", "true"]),
        max_size=4,
    ),
)
@example("/api/openai/v1/responses/resp_1/input_items", {"limit": "1" * 5000})
@example("/api/openai/v1/responses/resp_1/input_items", {"after": "\x00", "order": "\x00"})
def test_any_query(prober: Prober, path: str, query: dict[str, str]) -> None:
    prober.check(path, prober.http.get(path, params=query))


@bounded
@given(st.text(max_size=30))
@example("\x00")
@example("resp_\x00")
@example("é" * 3000)
def test_any_name_of_a_stored_response(prober: Prober, name: str) -> None:
    """By which a body may ask for what is in the database."""
    for content in (
        {"model": "kimi-k2.5", "input": "Hi", "previous_response_id": name},
        {"model": "kimi-k2.5", "input": [{"type": "item_reference", "id": name}]},
    ):
        response = prober.http.post(PATHS["responses"], json=content)
        prober.check(PATHS["responses"], response)
        assert response.status_code == 400


@bounded
@given(
    st.sampled_from(ROUTES),
    st.sampled_from(("GET", "POST")),
    st.dictionaries(
        st.sampled_from(
            [
                "authorization",
                "x-api-key",
                "anthropic-auth-token",
                "idempotency-key",
                "x-stainless-retry-count",
                "traceparent",
                "tracestate",
                "content-type",
                "content-encoding",
                "anthropic-version",
                "anthropic-beta",
                "accept",
                "expect",
                "cookie",
            ]
        ),
        st.binary(max_size=60).map(lambda value: value.translate(None, b"\r\n\x00").strip(b" \t")),
        max_size=4,
    ),
)
def test_any_value_of_a_header_we_read(
    prober: Prober, path: str, method: str, headers: dict[str, bytes]
) -> None:
    raw = [(name.encode(), value) for name, value in headers.items()]
    try:
        response = prober.anonymous.request(method, path, headers=raw, content=b"{}")
    except httpx.LocalProtocolError:
        return  # the client itself refuses to send it
    if response.headers.get("x-request-id") is None:
        assert response.status_code == 400
        assert response.text == "Invalid HTTP request received."
        return
    prober.check(path, response)


def test_a_key_in_an_odd_place_is_no_key(prober: Prober) -> None:
    key, http = prober.key, prober.anonymous
    for headers in (
        {"authorization": key},
        {"authorization": f"Basic {key}"},
        {"authorization": f"Bearer Bearer {key}"},
        {"authorization": f"Bearer {key} x"},
        {"x-api-key": f"Bearer {key}"},
        {"x-api-key": f'"{key}"'},
        {"api-key": key},
        {"cookie": f"x-api-key={key}"},
    ):
        response = http.get("/api/v1/account", headers=headers)
        assert response.status_code == 401, headers
        assert key not in response.text
    assert http.get("/api/v1/account", params={"x-api-key": key}).status_code == 401
    for scheme in ("bearer", "BEARER", "Bearer  "):
        headers = {"authorization": f"{scheme} {key}"}
        assert http.get("/api/v1/account", headers=headers).status_code == 200, headers
