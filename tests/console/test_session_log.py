"""Events of sessions: each sign-in, refusal and end of one, and never too many rows."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest
from msgspec.structs import replace
from sqlalchemy import update

from gateway.console.client_address import network_of
from gateway.console.identity.sign_up import sign_in_of
from gateway.console.parties import SIGN_INS
from gateway.console.refusals import AT_ONCE, Refusals
from gateway.console.services import ConsoleServices
from gateway.core.actor import Actor
from gateway.core.console_spec import ConsoleSessions, ConsoleSpec
from gateway.core.errors import DatabaseUnavailable
from gateway.core.keys import credential_of, generate_key
from gateway.core.principal import ALL, AccountSet
from gateway.store.change_log import read_account_changes, read_all_changes, read_changes_within
from gateway.store.console_tables import SessionRow
from gateway.store.database import Database
from gateway.store.keys import apply_key
from gateway.store.people import NamespaceRole
from gateway.store.people_list import list_people
from gateway.store.session_log import Origin
from gateway.store.sign_ins import (
    begin_by_key,
    begin_by_link,
    begin_session,
    find_session,
    list_sessions,
    make_link,
)
from gateway.store.sign_outs import end_session, end_sessions_by_issuer, end_sessions_of
from tests.console.browser import Browser
from tests.console.steps import link
from tests.console.vouching import (
    HEADERS,
    SECRET,
    Documents,
    proxy,
    with_console,
    word_of,
)
from tests.harness.books import INSTALLATION, Books, credential, key_object
from tests.harness.gateway import GatewayProcess


def test_a_session_s_life_is_in_the_log_with_its_actor(books: Books) -> None:
    database = books.database
    made = sign_in_of("i", {"sub": "tina", "name": "Tina"}, [], ConsoleSpec())
    made = replace(made, origin=Origin("identity provider", "192.0.2.0/24", step_up=True))
    for there in ("a", "b"):
        begun = begin_session(database, INSTALLATION, replace(made, issuer_session=there))
    assert begun is not None
    found = find_session(database, INSTALLATION, begun.secret)
    assert found is not None
    assert found.person_id is not None
    assert end_sessions_by_issuer(database, INSTALLATION, "i", "tina", "a", b"1" * 32) == 1
    end_session(database, found.id, Actor("Tina"))
    end_session(database, found.id, Actor("nobody"))
    begin_session(database, INSTALLATION, made)
    begin_session(database, INSTALLATION, made)
    assert end_sessions_of(database, found.person_id, Actor("ada")) == 2
    assert end_sessions_of(database, found.person_id, Actor("nobody")) == 0
    (account,) = found.accounts
    events = read_account_changes(database, account.id, 9)[::-1]
    assert {event["subject"] for event in events} == {"tina of i"}
    assert [(event["kind"], event["actor"].split(",")[0]) for event in events] == [
        ("session.begun", "person Tina (tina of i)"),
        ("session.begun", "person Tina (tina of i)"),
        ("sessions.ended", "identity provider i"),
        ("session.signed_out", "Tina"),
        ("session.begun", "person Tina (tina of i)"),
        ("session.begun", "person Tina (tina of i)"),
        ("sessions.ended", "ada"),
    ]
    assert events[1]["detail"] == {
        "way": "identity provider",
        "network": "192.0.2.0/24",
        "step_up": True,
        "session": found.id,
    }
    assert events[1]["actor"].endswith(f", session {found.id}")
    assert events[-1]["detail"] == {"sessions": 2}
    assert begun.secret not in str(events)


def test_a_name_that_somebody_chose_is_cut_to_what_is_shown(books: Books) -> None:
    name = "\x1b[2JTina\n" + "a" * 9999
    made = sign_in_of("i", {"sub": "tina", "name": name}, [], ConsoleSpec())
    assert begin_session(books.database, INSTALLATION, made) is not None
    (event,) = read_all_changes(books.database, INSTALLATION, 1)
    assert event["actor"].startswith("person [2JTinaaaa")
    assert len(event["actor"]) < 300


def test_keys_and_links_that_sign_in_are_events_where_they_belong(books: Books) -> None:
    database, plaintext = books.database, generate_key()
    apply_key(database, INSTALLATION, key_object(), credential(plaintext))
    begun = begin_by_key(database, INSTALLATION, [credential(plaintext).hash], "2001:db8::/48")
    assert begun is not None
    (event,) = read_account_changes(database, books.account_id(), 1)
    assert (event["kind"], event["subject"]) == ("session.begun", "team/key")
    assert event["detail"]["way"] == "API key"
    assert plaintext not in str(event)
    code = make_link(database, INSTALLATION, [NamespaceRole("team", "manager")])
    assert begin_by_link(database, INSTALLATION, code) is not None
    (event,) = read_all_changes(database, INSTALLATION, 1)
    assert (event["subject"], event["detail"]["way"]) == ("manager:team of one-time link", "link")
    # It is about no account, so it is no namespace's.
    of_team = read_changes_within(database, INSTALLATION, AccountSet(frozenset({"team"})), 9)
    assert event not in of_team


def test_refusals_that_come_too_fast_are_one_event() -> None:
    written: list[tuple[str, dict[str, Any]]] = []

    async def write(subject: str, facts: dict[str, Any]) -> None:
        written.append((subject, facts))

    async def refuse() -> None:
        refusals = Refusals(write)
        for number in range(AT_ONCE + 100):
            await refusals.add(f"reason {number}", Origin("link", "192.0.2.0/24"), "", 1000.0)
        assert len(written) == AT_ONCE
        await refusals.close()
        await refusals.add("later", Origin("API key"), "tina of i", 1060.0)
        await refusals.add("sooner", Origin("API key"), "tom of i", 1060.0)
        await refusals.close()

    asyncio.run(refuse())
    assert written[0] == (
        "",
        {"way": "link", "network": "192.0.2.0/24", "reason": "reason 0"},
    )
    (_, summed), later, (_, sooner) = written[AT_ONCE:]
    assert (summed["times"], summed["networks"]) == (100, {"192.0.2.0/24": 100})
    assert len(summed["reasons"]) == 9
    assert summed["reasons"]["others"] == 92
    assert later == ("tina of i", {"way": "API key", "reason": "later"})
    assert sooner == {"times": 1, "reasons": {"API key: sooner": 1}, "networks": {"": 1}}


def test_a_refusal_that_cannot_be_written_hinders_nobody() -> None:
    async def write(subject: str, facts: dict[str, Any]) -> None:
        raise DatabaseUnavailable("away")

    asyncio.run(Refusals(write).add("a reason", Origin("link"), "", 0.0))


def test_too_many_sign_ins_are_an_event_that_names_the_person_but_no_key(
    documents: Documents, url_of_database: str
) -> None:
    database = Database(url_of_database)
    plaintext = generate_key()
    apply_key(database, INSTALLATION, key_object(), credential_of(SECRET.pepper(1), plaintext))

    async def act(client: httpx.AsyncClient, _: ConsoleServices) -> None:
        for _each in range(SIGN_INS + 1):
            client.cookies.clear()
            by_proxy = await client.get("/console/sign-in", headers=word_of(documents))
            client.cookies.clear()
            key = {"key": plaintext}
            by_key = await client.post("/console/sign-in/key", data=key, headers=HEADERS)
        assert (by_proxy.status_code, by_key.status_code) == (429, 429)

    with_console(url_of_database, act, proxy=proxy(documents))
    events = read_all_changes(database, INSTALLATION, 2)[::-1]
    database.close()
    assert [each["kind"] for each in events] == ["session.refused"] * 2
    assert [each["subject"] for each in events] == [f"tina of {documents.url}", "unknown"]


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("", ""),
        ("testclient", ""),
    ],
)
def test_an_event_names_a_network(address: str, network: str) -> None:
    assert network_of(address) == network


def test_sign_ins_and_refusals_are_shown_without_what_was_sent(
    gateway: GatewayProcess, treasurer: Browser
) -> None:
    with Browser(gateway.url) as other:
        page = other.get("/console/sign-in")
        assert other.submit(page, "/console/sign-in/key", {"key": "sk-wrong"}).status_code == 403
        used = link(gateway, "member", "team")
        for status in (303, 410):
            assert other.submit(other.get(used), used).status_code == status
        other.submit(other.get("/console"), "/console/sign-out")
    shown = treasurer.get("/console/events").text
    for words in ("Signed in", "Signed out", "Sign-in refused", "127.0.0.0/24", "way API key"):
        assert words in shown
    assert "reason no such API key" in shown
    assert "reason the link is unknown, used or over" in shown
    for secret in ("sk-wrong", used.rpartition("/")[2]):
        assert secret not in shown


def test_a_session_ends_at_the_times_that_are_set(books: Books) -> None:
    database, times = books.database, ConsoleSessions(idle_minutes=5, longest_hours=1)
    made = replace(sign_in_of("i", {"sub": "tina"}, [], ConsoleSpec()), times=times)
    begun = begin_session(database, INSTALLATION, made)
    assert begun is not None
    found = find_session(database, INSTALLATION, begun.secret, times.idle)
    assert found is not None
    assert found.person_id is not None
    (line,) = list_sessions(database, found.person_id)
    assert line.ends_at - line.made_at == timedelta(hours=1)
    with database.write() as session:
        past = line.seen_at - timedelta(minutes=6)
        session.execute(update(SessionRow).values(seen_at=past))
    assert find_session(database, INSTALLATION, begun.secret, times.idle) is None
    assert list_sessions(database, found.person_id, times.idle) == []
    everybody = AccountSet(frozenset({ALL}))
    ((tina,), _) = list_people(database, INSTALLATION, everybody, idle=times.idle)
    assert tina.sessions == 0
    assert find_session(database, INSTALLATION, begun.secret) is not None, "an hour is usual"
