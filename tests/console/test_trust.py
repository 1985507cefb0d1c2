"""The identity provider's word: where it has to be a new one, and what does not pass for it.

Tokens are signed here, for an issuer that serves its documents and nothing else.
"""

import hmac
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from fastapi.dependencies.models import Dependant

from gateway.console.access import signed_in_recently
from gateway.console.application import routed_app
from gateway.console.granting import grant_of, post_grant
from gateway.console.rendering import FORM_TOKEN
from gateway.console.services import ConsoleServices
from gateway.console.site import BASE
from gateway.core.actor import Actor
from gateway.core.principal import ALL, AccountSet
from gateway.store.change_log import read_all_changes
from gateway.store.database import Database
from gateway.store.grant_lots import list_lots
from gateway.store.people import Identity, NamespaceRole
from gateway.store.sign_ins import SignIn, begin_session, find_session
from tests.console.test_tokens import (
    EC,
    EVENT,
    LOGOUT_CLAIMS,
    RSA,
    STRANGE,
    by_rsa,
    signed,
    signed_by,
)
from tests.console.vouching import (
    HEADERS,
    Documents,
    with_console,
)

LOGOUT = "/console/backchannel-logout"
EVERYTHING = AccountSet(frozenset({ALL}))


def oidc(documents: Documents) -> dict[str, Any]:
    """The settings for an issuer, whose documents are served from now on."""
    url = documents.url
    documents.documents["/keys"] = {"keys": [key.as_dict(private=False) for key in (RSA, EC)]}
    documents.documents["/.well-known/openid-configuration"] = {
        "issuer": url,
        "authorization_endpoint": f"{url}/authorize",
        "token_endpoint": f"{url}/token",
        "jwks_uri": f"{url}/keys",
    }
    return {"issuer": url, "clientID": "console"}


def begin(database: Database, issuer: str, ago: timedelta = timedelta()) -> str:
    """A session of the treasurer Tina, who has authenticated so long ago; its secret."""
    sign_in = SignIn(
        identity=Identity(issuer, "tina"),
        roles=(NamespaceRole(ALL, "treasurer"),),
        issuer_session="a session",
        authenticated_at=datetime.now(UTC) - ago,
    )
    begun = begin_session(database, "default", sign_in)
    assert begun is not None
    return begun.secret


def forged(issuer: str) -> dict[str, str]:
    """Logout tokens that are refused, each for one reason."""
    good = {**LOGOUT_CLAIMS, "iss": issuer, "iat": time.time()}

    def without(name: str) -> dict[str, Any]:
        return {each: value for each, value in good.items() if each != name}

    header = {"alg": "RS256", "kid": "rsa"}
    public = RSA.as_pem(private=False)
    return {
        "another issuer": signed({**good, "iss": "https://other.example"}),
        "another audience": signed({**good, "aud": "other"}),
        "no event": signed(without("events")),
        "another event": signed({**good, "events": {"http://other.example": {}}}),
        "an event that is no object": signed({**good, "events": {EVENT: True}}),
        "a nonce": signed({**good, "nonce": "n"}),
        "expired": signed({**good, "exp": time.time() - 100}),
        "old": signed({**good, "iat": time.time() - 301}),
        "of the future": signed({**good, "iat": time.time() + 120}),
        "no time": signed(without("iat")),
        "no id": signed(without("jti")),
        "nobody": signed({**without("sub"), "sid": None}),
        "an ID token": signed({**without("events"), "nonce": "n", "exp": time.time() + 60}),
        "another kind": signed(good, typ="at+jwt"),
        "no signature": signed_by(lambda _: b"", good, alg="none"),
        "a signature that is cut off": signed(good).rpartition(".")[0] + ".",
        "another key of that name": signed(good, STRANGE),
        "the public key as a secret": signed_by(
            lambda data: hmac.digest(public, data, "sha256"), good, **{**header, "alg": "HS256"}
        ),
        "another algorithm": signed_by(by_rsa, good, **{**header, "alg": "RS512"}),
        "a key that is not known": signed_by(by_rsa, good, alg="RS256", kid="who"),
        "too long": signed({**good, "more": "x" * 20_000}),
        "no token": "logout",
        "empty": "",
    }


def test_a_forged_logout_token_ends_nothing_and_a_right_one_counts_once(
    documents: Documents, url_of_database: str
) -> None:
    settings, database = oidc(documents), Database(url_of_database)
    secret = begin(database, documents.url)

    def is_in() -> bool:
        return find_session(database, "default", secret) is not None

    async def act(client: httpx.AsyncClient, _: ConsoleServices) -> None:
        for name, token in forged(documents.url).items():
            answer = await client.post(LOGOUT, data={"logout_token": token})
            assert (answer.status_code, answer.headers["cache-control"]) == (400, "no-store"), name
            assert is_in(), name
        right = signed({**LOGOUT_CLAIMS, "iss": documents.url, "iat": time.time()})
        for odd in (
            {"json": {"logout_token": right}},
            {"content": right},
            {"params": {"logout_token": right}},
            {"data": {"token": right}},
        ):
            assert (await client.post(LOGOUT, **odd)).status_code == 400
        assert (await client.get(LOGOUT, params={"logout_token": right})).status_code == 405
        assert is_in()
        assert (await client.post(LOGOUT, data={"logout_token": right})).status_code == 200
        assert not is_in()
        begin(database, documents.url)
        assert (await client.post(LOGOUT, data={"logout_token": right})).status_code == 400
        people = [each["kind"] for each in read_all_changes(database, "default", 2)]
        assert people == ["session.refused", "session.begun"], "the new session goes on"

    with_console(url_of_database, act, oidc=settings)
    events = read_all_changes(database, "default", 100)
    refused = [each["detail"] for each in events if each["kind"] == "session.refused"]
    assert {each["way"] for each in refused} == {"logout token"}
    assert len(refused) == len(forged(documents.url)) + 5
    assert "eyJ" not in str(events)
    (ended,) = (each for each in events if each["kind"] == "sessions.ended")
    assert ended["actor"] == f"identity provider {documents.url}"
    database.close()


#: what asks for a sign-in of just now
RECENT = {
    ("GET", "/console/grants/new"),
    ("POST", "/console/grants"),
    ("GET", "/console/grants/{grant_id}/void"),
    ("POST", "/console/grants/{grant_id}/void"),
    ("GET", "/console/people/bind"),
    ("POST", "/console/people/bind"),
    ("GET", "/console/people/{person}/unbind/{namespace}/{name}"),
    ("POST", "/console/people/{person}/unbind/{namespace}/{name}"),
}


def _asks(dependant: Dependant) -> bool:
    return dependant.call is signed_in_recently or any(map(_asks, dependant.dependencies))


def test_money_and_rights_ask_for_a_sign_in_of_just_now(
    documents: Documents, url_of_database: str
) -> None:
    asking = {
        (method, f"{BASE}{route.path}")
        for included in routed_app(None).routes
        for route in included.original_router.routes  # type: ignore[attr-defined]
        for method in route.methods
        if _asks(route.dependant)
    }
    assert asking == RECENT
    database = Database(url_of_database)
    grant = grant_of("team/alice", 70, "first")
    post_grant(database, "default", grant, 10, Actor("ada"))
    ((lot,), _) = list_lots(database, "default", EVERYTHING)
    names = {"grant_id": lot.id, "person": 1, "namespace": "team", "name": "alice"}

    async def act(client: httpx.AsyncClient, console: ConsoleServices) -> None:
        async def ask(method: str, path: str, ago: timedelta) -> httpx.Response:
            secret = begin(database, documents.url, ago)
            client.cookies.set("__Host-faregate", secret)
            form = {FORM_TOKEN: console.form_token(secret)} if method == "POST" else None
            return await client.request(method, path, data=form, headers=HEADERS)

        for method, path in sorted(RECENT):
            asked = path.format(**names)
            stale = await ask(method, asked, timedelta(minutes=16))
            assert stale.status_code == 303, path
            assert stale.headers["location"] == f"/console/sign-in/again?next={asked}"
        ((still,), _) = list_lots(database, "default", EVERYTHING)
        assert still.state == "live"
        fresh = await ask("POST", f"/console/grants/{lot.id}/void", timedelta(minutes=14))
        assert fresh.headers["location"] == "/console/accounts/team/alice?done=voided"
        ((void,), _) = list_lots(database, "default", EVERYTHING)
        assert void.state == "voided"

    with_console(url_of_database, act, oidc=oidc(documents), grants=True)
    database.close()
