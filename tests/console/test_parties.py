"""Signing in by a proxy's signed word and by an API key, and the rules of who gets what.

The console's application runs in this process, on a real database.
"""

import asyncio
import time
from functools import partial
from typing import Any

import httpx
import pytest
from joserfc.jwk import RSAKey
from msgspec.structs import replace
from sqlmodel import select

from gateway.console.identity.fetch import IssuerUnavailable
from gateway.console.identity.issuer import Issuer
from gateway.console.identity.sign_up import account_label, sign_in_of
from gateway.console.services import ConsoleServices
from gateway.console.session import Session
from gateway.core.console_spec import ConsoleSpec
from gateway.core.keys import Credential, credential_of, generate_key
from gateway.core.principal import AccountSet, Right
from gateway.core.spec import GatewayFleet, parse_document
from gateway.store.console_tables import BindingRow
from gateway.store.database import Database
from gateway.store.key_rows import find_key
from gateway.store.keys import apply_key, revoke_key
from gateway.store.people import NamespaceRole
from gateway.store.people_list import list_people
from gateway.store.sign_ins import Begun, begin_by_key, begin_session, find_session
from gateway.store.sign_outs import end_sessions_by_issuer
from tests.console.vouching import HEADERS, NEW_KEY, SECRET, Documents, proxy, with_console, word_of
from tests.harness.gateway import api_key, fleet


def test_a_proxy_s_signed_word_signs_in_for_as_long_as_it_comes(
    documents: Documents, url_of_database: str
) -> None:
    async def act(client: httpx.AsyncClient, _: ConsoleServices) -> None:
        tina = word_of(documents)
        assert (await client.get("/console/sign-in")).status_code == 200
        answer = await client.get("/console/sign-in", headers=tina)
        assert answer.status_code == 303
        (cookie,) = answer.headers.get_list("set-cookie")
        assert cookie.startswith("__Host-faregate=")
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=lax"} <= set(cookie.split("; "))
        assert "strict-transport-security" in answer.headers
        page = await client.get("/console", headers=tina)
        assert page.status_code == 200
        assert "Tina" in page.text
        # The cookie alone is nothing, nor with the proxy's word for somebody else.
        assert (await client.get("/console")).status_code == 303
        tom = word_of(documents, sub="tom")
        assert (await client.get("/console", headers=tom)).status_code == 303
        assert (await client.get("/console", headers=tina)).status_code == 200

    with_console(url_of_database, act, proxy=proxy(documents))


def test_a_header_that_is_not_the_proxy_s_is_nothing(
    documents: Documents, url_of_database: str
) -> None:
    async def act(client: httpx.AsyncClient, _: ConsoleServices) -> None:
        for headers in (
            {"x-forwarded-user": "tina", "x-auth-request-email": "tina@example.com"},
            {"authorization": "Bearer tina"},
            {"authorization": "Basic dGluYTp0aW5h"},
            word_of(documents, iss="https://other.example"),
            word_of(documents, aud="other"),
            word_of(documents, exp=time.time() - 100),
            word_of(documents, RSAKey.generate_key(2048, {"kid": "one"})),
        ):
            assert (await client.get("/console/sign-in", headers=headers)).status_code == 200
            assert (await client.get("/console", headers=headers)).status_code == 303

    with_console(url_of_database, act, proxy=proxy(documents))


def test_a_new_key_of_the_proxy_is_looked_for_seldom(
    documents: Documents, url_of_database: str
) -> None:
    async def act(client: httpx.AsyncClient, _: ConsoleServices) -> None:
        assert (await client.get("/console/sign-in", headers=word_of(documents))).status_code == 303
        headers = word_of(documents, NEW_KEY)
        for _each in range(5):
            assert (await client.get("/console/sign-in", headers=headers)).status_code == 200
        assert documents.asked == ["/keys"], "it was asked just now"

    with_console(url_of_database, act, proxy=proxy(documents))


def test_an_api_key_signs_in_to_read_and_to_end_itself(url_of_database: str) -> None:
    database = Database(url_of_database)
    plaintext = generate_key()
    document = parse_document(api_key("leaked"))
    credential = credential_of(SECRET.pepper(1), plaintext)
    apply_key(database, "default", document, credential)  # type: ignore[arg-type]

    async def act(client: httpx.AsyncClient, _: ConsoleServices) -> None:
        post = partial(client.post, headers=HEADERS)
        assert (await post("/console/sign-in/key", data={"key": "x"})).status_code == 403
        answer = await post("/console/sign-in/key", data={"key": f" {plaintext}\n"})
        assert answer.status_code == 303
        page = await client.get("/console/this-key")
        assert "team/alice" in page.text
        assert plaintext not in page.text
        token = page.text.split('name="form_token" value="')[1].split('"')[0]
        assert (await post("/console/this-key/revoke", data={})).status_code == 403
        ended = await post("/console/this-key/revoke", data={"form_token": token})
        assert ended.headers["location"] == "/console/signed-out"
        assert (await post("/console/sign-in/key", data={"key": plaintext})).status_code == 403

    with_console(url_of_database, act)
    database.close()


def test_a_session_of_a_key_ends_with_its_key(url_of_database: str) -> None:
    database = Database(url_of_database)
    plaintext = generate_key()
    document = parse_document(api_key("brief"))
    credential = credential_of(SECRET.pepper(1), plaintext)
    apply_key(database, "default", document, credential)  # type: ignore[arg-type]

    async def act(client: httpx.AsyncClient, _: ConsoleServices) -> None:
        await client.post("/console/sign-in/key", data={"key": plaintext}, headers=HEADERS)
        assert (await client.get("/console/this-key")).status_code == 200
        state = find_key(database, "default", "team", "brief")
        assert state is not None
        revoke_key(database, state.id)
        assert (await client.get("/console/this-key")).status_code == 303

    with_console(url_of_database, act)
    database.close()


def test_keys_are_tried_ten_times_a_minute(url_of_database: str) -> None:
    async def act(client: httpx.AsyncClient, _: ConsoleServices) -> None:
        statuses = [
            (await client.post("/console/sign-in/key", data={"key": "x"}, headers=HEADERS))
            for _each in range(11)
        ]
        assert [each.status_code for each in statuses] == [403] * 10 + [429]
        assert 0 < int(statuses[-1].headers["retry-after"]) <= 60

    with_console(url_of_database, act)


def test_keys_sign_in_only_where_that_is_allowed(url_of_database: str) -> None:
    async def act(client: httpx.AsyncClient, _: ConsoleServices) -> None:
        assert "API key" not in (await client.get("/console/sign-in")).text
        answer = await client.post("/console/sign-in/key", data={"key": "x"}, headers=HEADERS)
        assert answer.status_code == 404

    with_console(url_of_database, act, keySignIn=False)


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        (None, "500"),
        (b"<html>", "no JSON"),
        (b"x" * 1_100_000, "too long"),
        ({"issuer": "https://other.example"}, "another issuer"),
        ({"issuer": "SELF"}, "authorization_endpoint"),
    ],
    ids=["away", "page", "long", "other", "empty"],
)
def test_an_issuer_whose_word_is_not_right_is_not_used(
    documents: Documents, document: Any, sentence: str
) -> None:
    if isinstance(document, dict) and document["issuer"] == "SELF":
        document = {"issuer": documents.url}
    documents.documents["/.well-known/openid-configuration"] = document

    async def ask() -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            issuer = Issuer(documents.url, client)
            together = [issuer.metadata.get() for _ in range(20)]
            failures = await asyncio.gather(*together, return_exceptions=True)
            failures += await asyncio.gather(issuer.metadata.get(), return_exceptions=True)
            assert all(isinstance(each, IssuerUnavailable) for each in failures)
            assert all(sentence in str(each) for each in failures)

    asyncio.run(ask())
    assert len(documents.asked) == 1, "once for all who wait, and not again at once"


ROLES = [
    {"group": "staff", "namespaces": ["team", "*"], "role": "member"},
    {"group": "finance", "namespaces": ["*"], "role": "treasurer"},
]


def roles_of(groups: list[str], **console: Any) -> tuple[Any, ...]:
    document = parse_document(fleet("http://x.example", console={"roles": ROLES, **console}))
    assert isinstance(document, GatewayFleet)
    spec = document.spec.console or ConsoleSpec()
    made = sign_in_of("https://login.example", {"sub": "1", "email": "Tina@x.org"}, groups, spec)
    own = made.own_account and f"{made.own_account.namespace}/{made.own_account.label}"
    return made.is_admitted, own, made.roles


@pytest.mark.parametrize(
    ("groups", "console", "expected"),
    [
        ([], {}, (True, "people/tina", ())),
        ([], {"signup": False}, (False, None, ())),
        ([], {"accounts": "shared"}, (False, None, ())),
        (["staff"], {"signup": False}, (True, "people/tina", ())),
        (["staff"], {"namespace": "folk"}, (True, "folk/tina", ())),
        (
            ["staff"],
            {"accounts": "shared"},
            (True, None, (NamespaceRole("team", "member", "team"),)),
        ),
        (
            ["finance"],
            {"signup": False},
            (True, None, (NamespaceRole("*", "treasurer"),)),
        ),
        (["Staff", "finance "], {"signup": False}, (False, None, ())),
    ],
    ids=str,
)
def test_groups_give_roles_and_accounts(
    groups: list[str], console: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    assert roles_of(groups, **console) == expected


@pytest.mark.parametrize(
    ("claims", "label"),
    [
        ({"preferred_username": "Tina.Müller@example.com"}, "tina-m-ller"),
        ({"email": "tom@x.org"}, "tom"),
        ({"name": "李"}, "person"),
        ({}, "person"),
        ({"preferred_username": "-" * 9 + "a" * 99}, "a" * 40),
    ],
)
def test_an_account_s_label_looks_like_its_person(claims: dict[str, Any], label: str) -> None:
    assert account_label(claims) == label


def test_people_of_one_name_get_accounts_of_their_own(database: Database) -> None:
    spec = ConsoleSpec()
    begun = [
        begin_session(database, "default", sign_in_of("i", {"sub": s, "name": "Tina"}, [], spec))
        for s in ("1", "2", "2", "3")
    ]
    names = [each.own_account.account for each in begun if each and each.own_account]
    assert names == ["tina", "tina-2", "tina-2", "tina-3"]


def test_a_person_s_accounts_elsewhere_are_not_shown(database: Database) -> None:
    begin_session(database, "default", sign_in_of("i", {"sub": "tina"}, [], ConsoleSpec()))
    with database.write() as session:
        own = session.exec(select(BindingRow)).one()
        elsewhere = BindingRow(
            person_id=own.person_id,
            made_at=own.made_at,
            namespace="team",
            account="secret",
            role="member",
            made_by="ada",
        )
        session.add(elsewhere)
    ((tina,), _) = list_people(database, "default", AccountSet(frozenset({"people"})))
    assert tina.accounts == ["people/person"]


def test_a_logout_token_ends_its_sessions_once(database: Database) -> None:
    made = sign_in_of("i", {"sub": "tina"}, [], ConsoleSpec())
    for there in ("a", "b"):
        begin_session(database, "default", replace(made, issuer_session=there))
    end = partial(end_sessions_by_issuer, database, "default")
    assert end("other", "tina", None, b"1" * 32) == 0
    assert end("i", "tom", "a", b"2" * 32) == 0
    assert end("i", "tina", "a", b"3" * 32) == 1
    assert end("i", "tina", None, b"3" * 32) is None
    assert end("i", "tina", None, b"4" * 32) == 1


def test_a_session_has_the_rights_of_its_roles_and_accounts(database: Database) -> None:
    document = parse_document(fleet("http://x.example", console={"roles": ROLES, "grants": True}))
    assert isinstance(document, GatewayFleet)
    spec = document.spec.console or ConsoleSpec()
    rights = []
    for subject, groups in (("tina", ["staff"]), ("tess", ["finance"])):
        sign_in = sign_in_of("i", {"sub": subject, "name": subject}, groups, spec)
        begun = begin_session(database, "default", sign_in)
        assert begun is not None
        found = find_session(database, "default", begun.secret)
        assert found is not None
        principal = Session(found, "", spec.withheld).principal
        assert principal.actor.name.startswith(f"person {subject} ({subject} of i), session ")
        for account in (f"people/{subject}", "team/alice"):
            asked: tuple[Right, ...] = ("read", "keys", "grant")
            has = [each for each in asked if principal.may(each, account)]
            rights.append((subject, account, has))
    assert rights == [
        ("tina", "people/tina", ["read", "keys"]),
        ("tina", "team/alice", []),
        ("tess", "people/tess", ["read", "keys", "grant"]),
        ("tess", "team/alice", ["read", "grant"]),
    ]


def test_a_key_that_has_signed_in_may_only_read(url_of_database: str) -> None:
    database = Database(url_of_database)
    plaintext = generate_key()
    document = parse_document(api_key("leaked"))
    credential = credential_of(SECRET.pepper(1), plaintext)
    apply_key(database, "default", document, credential)  # type: ignore[arg-type]
    begun = begin_by_key(database, "default", [credential.hash])
    assert begun is not None
    found = find_session(database, "default", begun.secret)
    assert found is not None
    principal = Session(found, "").principal
    rights: tuple[Right, ...] = ("read", "keys", "stop", "grant")
    assert [each for each in rights if principal.may(each, "team/alice")] == ["read"]
    assert not principal.may("read", "team/bob")
    database.close()


def test_a_key_s_session_ends_with_the_secret_that_began_it(url_of_database: str) -> None:
    database = Database(url_of_database)

    def apply(**spec: Any) -> Credential:
        credential = credential_of(SECRET.pepper(1), generate_key())
        document = parse_document(api_key("leaked", **spec))
        apply_key(database, "default", document, credential)  # type: ignore[arg-type]
        return credential

    def is_in(begun: Begun | None) -> bool:
        assert begun is not None
        return find_session(database, "default", begun.secret) is not None

    leaked = begin_by_key(database, "default", [apply().hash])
    assert is_in(leaked)
    rotated = apply(rotation={"generation": 2, "overlap": "0s"})
    assert not is_in(leaked)
    begun = begin_by_key(database, "default", [rotated.hash])
    assert is_in(begun)
    apply(rotation={"generation": 3, "overlap": "24h"})
    assert is_in(begun), "the secret holds on"
    suspended = apply(rotation={"generation": 4, "overlap": "24h"}, suspended=True)
    assert not is_in(begun)
    assert begin_by_key(database, "default", [suspended.hash]) is None
    database.close()
