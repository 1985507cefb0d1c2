"""The console's side of OpenID Connect: the code flow with PKCE, and both ways of signing out.

Sources: OpenID Connect Core 1.0, 3.1; RFC 7636; RFC 9207; OpenID Connect RP-Initiated Logout 1.0.
"""

import asyncio
import time
from base64 import b64encode
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from joserfc.jwk import KeySet
from msgspec import Struct

from gateway.console.identity.attempt import Attempt
from gateway.console.identity.fetch import IssuerRefused, fetch_object, open_client
from gateway.console.identity.issuer import Endpoints, Issuer
from gateway.console.identity.tokens import (
    Claims,
    Expected,
    TokenRefused,
    UnknownSigner,
    read_groups,
    read_id_token,
    read_logout_token,
)
from gateway.core.console_spec import OpenIdConnect

#: codes that are exchanged at once; others wait
_EXCHANGES_AT_ONCE = 8

T = TypeVar("T")


class SignedInPerson(Struct, frozen=True):
    """Somebody whom the issuer has vouched for."""

    claims: Claims
    #: None where no claim lists any
    groups: list[str] | None
    id_token: str


class RelyingParty:
    """One client at one issuer. Made inside the running loop."""

    def __init__(self, settings: OpenIdConnect, secret: str | None, redirect_uri: str) -> None:
        self._settings = settings
        self._secret = secret
        self._redirect_uri = redirect_uri
        self._expected = Expected(settings.issuer, settings.client_id)
        self._client = open_client(settings.issuer)
        self._exchanges = asyncio.Semaphore(_EXCHANGES_AT_ONCE)
        self.issuer = Issuer(settings.issuer, self._client)

    async def authorization_url(self, attempt: Attempt) -> str:
        """The page of the issuer to send a browser to. Raises `IssuerUnavailable`."""
        metadata = await self.issuer.metadata.get()
        asked = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": self._redirect_uri,
            "scope": " ".join(self._settings.scopes),
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": attempt.challenge,
            "code_challenge_method": "S256",
        }
        if attempt.max_age is not None:
            asked["max_age"] = str(attempt.max_age)
        return _with_query(metadata.authorization, asked)

    async def finish(self, attempt: Attempt, code: str, answered_by: str | None) -> SignedInPerson:
        """Exchange the code; `answered_by` is the issuer that the answer names, if it names one.

        Raises `TokenRefused`, and `IssuerUnavailable`.
        """
        metadata = await self.issuer.metadata.get()
        if answered_by != self._settings.issuer and (metadata.names_itself or answered_by):
            raise TokenRefused("another issuer has answered")
        async with self._exchanges:
            tokens = await self._exchange(metadata, attempt, code)
            id_token = tokens.get("id_token")
            if not isinstance(id_token, str):
                raise TokenRefused("there is no ID token")
            claims = await self._verified(
                lambda keys: read_id_token(
                    id_token,
                    keys,
                    self._expected,
                    time.time(),
                    nonce=attempt.nonce,
                    max_age=attempt.max_age,
                )
            )
            claims, groups = await self._with_groups(metadata, claims, tokens.get("access_token"))
        return SignedInPerson(claims, groups, id_token)

    async def read_logout(self, token: str) -> Claims:
        """The claims of a logout token. Raises `TokenRefused` and `IssuerUnavailable`."""
        return await self._verified(
            lambda keys: read_logout_token(token, keys, self._expected, time.time())
        )

    async def end_session_url(self, id_token: str, back: str) -> str | None:
        """The page that signs out at the issuer too, if it has one. Raises `IssuerUnavailable`."""
        metadata = await self.issuer.metadata.get()
        if metadata.end_session is None:
            return None
        asked = {
            "id_token_hint": id_token,
            "client_id": self._settings.client_id,
            "post_logout_redirect_uri": back,
        }
        return _with_query(metadata.end_session, asked)

    async def close(self) -> None:
        await self._client.aclose()

    async def _exchange(self, metadata: Endpoints, attempt: Attempt, code: str) -> dict[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "code_verifier": attempt.verifier,
        }
        client_id, secret, headers = self._settings.client_id, self._secret, {}
        if secret is None or metadata.secret_in_body:
            form["client_id"] = client_id
        if secret is not None and metadata.secret_in_body:
            form["client_secret"] = secret
        elif secret is not None:
            headers["authorization"] = _basic(client_id, secret)
        try:
            return await fetch_object(
                self._client, "POST", metadata.token, data=form, headers=headers
            )
        except IssuerRefused as error:
            raise TokenRefused(f"the code was refused: {error}") from None

    async def _with_groups(
        self, metadata: Endpoints, claims: Claims, access_token: object
    ) -> tuple[Claims, list[str] | None]:
        """The claims, with those of the issuer's page about the person where they lack something.

        Raises `TokenRefused` where the issuer left the groups out since they are too many (Entra
        ID, above 200): a person must not be signed in without the roles of these groups.
        """
        name = self._settings.groups_claim
        groups = read_groups(claims, name)
        elsewhere = claims.get("_claim_names")
        if groups is None and isinstance(elsewhere, dict) and name in elsewhere:
            raise TokenRefused("the issuer leaves out the groups, as they are too many")
        is_whole = groups is not None and claims.get("name")
        if is_whole or metadata.userinfo is None or not isinstance(access_token, str):
            return claims, groups
        headers = {"authorization": f"Bearer {access_token}"}
        more = await fetch_object(self._client, "GET", metadata.userinfo, headers=headers)
        if more.get("sub") != claims["sub"]:
            raise TokenRefused("the issuer answers about another person")
        merged = {**more, **claims}
        return merged, read_groups(merged, name)

    async def _verified(self, read: Callable[[KeySet], T]) -> T:
        """Read a token; where its key is unknown, with the keys as they are now."""
        try:
            return read(await self.issuer.keys.get())
        except UnknownSigner:
            return read(await self.issuer.keys.get(again=True))


def _with_query(url: str, asked: dict[str, str]) -> str:
    return f"{url}{'&' if '?' in url else '?'}{urlencode(asked)}"


def _basic(client_id: str, secret: str) -> str:
    """RFC 6749, 2.3.1: both are encoded as in a form first."""
    pair = f"{quote(client_id, safe='')}:{quote(secret, safe='')}"
    return f"Basic {b64encode(pair.encode()).decode()}"
