"""A proxy in front of the console that signs who has come; a header without a signature is nothing.

The token comes with each request, and each is verified: a session lasts as long as the proxy's.
"""

import time
from collections.abc import Mapping

from joserfc.jwk import KeySet

from gateway.console.identity.fetch import IssuerUnavailable, open_client
from gateway.console.identity.issuer import Fetched, fetch_keys
from gateway.console.identity.tokens import (
    Claims,
    Expected,
    TokenRefused,
    UnknownSigner,
    read_id_token,
)
from gateway.core.console_spec import SigningProxy

_BEARER = "bearer "


class ProxySigner:
    """One proxy. Made inside the running loop."""

    def __init__(self, settings: SigningProxy) -> None:
        self.settings = settings
        self._expected = Expected(settings.issuer, settings.audience)
        self._client = open_client(settings.jwks_url)
        self._keys = Fetched(self._fetch)

    async def claims(self, headers: Mapping[str, str]) -> Claims | None:
        """The claims of the request's token, or None where it has none.

        Raises `TokenRefused` and `IssuerUnavailable`.
        """
        token = headers.get(self.settings.header.lower(), "")
        if self.settings.header.lower() == "authorization":
            token = token[len(_BEARER) :] if token.lower().startswith(_BEARER) else ""
        if not token:
            return None
        try:
            return self._read(token, await self._keys.get())
        except UnknownSigner:
            return self._read(token, await self._keys.get(again=True))

    async def subject(self, headers: Mapping[str, str]) -> str | None:
        """The person that has come, or None for one that the proxy does not vouch for."""
        try:
            claims = await self.claims(headers)
        except (TokenRefused, IssuerUnavailable):
            return None
        return None if claims is None else str(claims["sub"])

    async def close(self) -> None:
        await self._client.aclose()

    def _read(self, token: str, keys: KeySet) -> Claims:
        return read_id_token(token, keys, self._expected, time.time(), nonce=None)

    async def _fetch(self) -> KeySet:
        return await fetch_keys(self._client, self.settings.jwks_url)
