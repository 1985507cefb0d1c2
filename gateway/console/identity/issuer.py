"""An issuer as this process knows it: its metadata and its public keys, fetched off the request
path, once for all who wait.

    first use ─▶ fetch ─▶ kept for an hour ─▶ fetched again behind a request, which does not wait
    unknown key ─▶ keys are fetched again, every 10 s at most

Sources: OpenID Connect Discovery 1.0; OWASP ASVS 5.0, 10.5.3.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

import httpx
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from msgspec import Struct

from gateway.console.identity.fetch import IssuerUnavailable, fetch_object

_FRESH_SECONDS = 3600.0
#: after a failure, and between two looks for an unknown key
_RETRY_SECONDS = 10.0

T = TypeVar("T")


class Endpoints(Struct, frozen=True):
    """The endpoints of an issuer."""

    authorization: str
    token: str
    jwks: str
    userinfo: str | None
    end_session: str | None
    #: it names itself in its answers (RFC 9207)
    names_itself: bool
    #: the client may authenticate with its secret in the body only
    secret_in_body: bool


class Fetched(Generic[T]):
    """A value that is fetched once for all who wait, and again when it is old."""

    def __init__(self, fetch: Callable[[], Awaitable[T]]) -> None:
        self._fetch = fetch
        self._value: T | None = None
        self._fetched_at = self._tried_at = -_FRESH_SECONDS
        self._task: asyncio.Task[T] | None = None
        self._failure: IssuerUnavailable | None = None

    async def get(self, *, again: bool = False) -> T:
        """The value; with `again`, one that is not older than some seconds.

        Raises `IssuerUnavailable`; a failure is remembered for some seconds.
        """
        now = time.monotonic()
        is_due = now - self._fetched_at >= _FRESH_SECONDS or again
        if is_due and self._task is None and now - self._tried_at >= _RETRY_SECONDS:
            self._tried_at = now
            self._task = asyncio.create_task(self._refresh())
        if self._value is not None and not (again and self._task):
            return self._value
        if self._task is None:
            assert self._failure is not None, "without a value the last try has failed"
            raise self._failure
        return await asyncio.shield(self._task)

    async def _refresh(self) -> T:
        try:
            self._value = await self._fetch()
            self._fetched_at = time.monotonic()
        except IssuerUnavailable as error:
            self._failure = error
            if self._value is None:
                raise
        finally:
            self._task = None
        return self._value


class Issuer:
    """One identity provider; its metadata must name the configured issuer."""

    def __init__(self, url: str, client: httpx.AsyncClient) -> None:
        self.url = url
        self.client = client
        self.metadata = Fetched(self._discover)
        self.keys = Fetched(self._fetch_keys)

    async def _discover(self) -> Endpoints:
        address = f"{self.url.rstrip('/')}/.well-known/openid-configuration"
        found = await fetch_object(self.client, "GET", address)
        if found.get("issuer") != self.url:
            raise IssuerUnavailable("its metadata name another issuer")
        methods = found.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        return Endpoints(
            authorization=_url(found, "authorization_endpoint"),
            token=_url(found, "token_endpoint"),
            jwks=_url(found, "jwks_uri"),
            userinfo=_url(found, "userinfo_endpoint") if "userinfo_endpoint" in found else None,
            end_session=_url(found, "end_session_endpoint")
            if "end_session_endpoint" in found
            else None,
            names_itself=found.get("authorization_response_iss_parameter_supported") is True,
            secret_in_body="client_secret_basic" not in methods,
        )

    async def _fetch_keys(self) -> KeySet:
        return await fetch_keys(self.client, (await self.metadata.get()).jwks)


async def fetch_keys(client: httpx.AsyncClient, url: str) -> KeySet:
    """The public keys at a URL; shared secrets among them count for nothing.

    Raises `IssuerUnavailable`.
    """
    found = await fetch_object(client, "GET", url)
    listed = found.get("keys")
    if not isinstance(listed, list):
        raise IssuerUnavailable("it has no keys")
    public = [each for each in listed if isinstance(each, dict) and _may_verify(each)]
    try:
        return KeySet.import_key_set({"keys": public})
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise IssuerUnavailable(f"its keys cannot be read: {type(error).__name__}") from None


def _may_verify(key: dict[str, Any]) -> bool:
    return key.get("kty") in ("RSA", "EC", "OKP") and key.get("use", "sig") == "sig"


def _url(found: dict[str, Any], name: str) -> str:
    value = found.get(name)
    if not isinstance(value, str) or not value.startswith(("https://", "http://")):
        raise IssuerUnavailable(f"its metadata have no {name}")
    return value
