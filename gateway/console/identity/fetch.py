"""HTTP to an identity provider: in bounded time and size, without redirects."""

from typing import Any

import httpx
import msgspec

from gateway.core.tls import client_context

_SECONDS_MAX = 10.0
_BYTES_MAX = 1024 * 1024


class IssuerUnavailable(Exception):
    """The identity provider does not answer, or not as it should. The message is for the log."""


class IssuerRefused(IssuerUnavailable):
    """It answers that it will not do this."""


def open_client(issuer: str) -> httpx.AsyncClient:
    """A client for one issuer; a proxy of the environment is used for TLS only."""
    return httpx.AsyncClient(
        timeout=_SECONDS_MAX,
        follow_redirects=False,
        trust_env=issuer.startswith("https:"),
        verify=client_context(),
    )


async def fetch_object(
    client: httpx.AsyncClient, method: str, url: str, **request: Any
) -> dict[str, Any]:
    """The JSON object of an answer. Raises `IssuerRefused` for 4xx, else `IssuerUnavailable`."""
    headers = {"accept": "application/json", **request.pop("headers", {})}
    try:
        async with client.stream(method, url, headers=headers, **request) as response:
            body = bytearray()
            async for part in response.aiter_bytes():
                body += part
                if len(body) > _BYTES_MAX:
                    raise IssuerUnavailable("its answer is too long")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise IssuerUnavailable(f"{type(error).__name__}: {error}") from None
    if 400 <= response.status_code < 500:
        raise IssuerRefused(f"it answers {response.status_code} ({_error_name(bytes(body))})")
    if response.status_code != 200:
        raise IssuerUnavailable(f"it answers {response.status_code}")
    try:
        return msgspec.json.decode(bytes(body), type=dict[str, Any])
    except msgspec.DecodeError:
        raise IssuerUnavailable("its answer is no JSON object") from None


def _error_name(body: bytes) -> str:
    """The name of OAuth's error (RFC 6749, 5.2); never the rest, which may hold secrets."""
    try:
        name = msgspec.json.decode(body, type=dict[str, Any]).get("error")
    except msgspec.DecodeError:
        return "no reason"
    is_name = isinstance(name, str) and name.isidentifier() and len(name) <= 64
    return str(name) if is_name else "no reason"
