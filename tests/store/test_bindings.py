"""Accounts that people are given: they count at the next look, and take their keys along."""

import pytest
from msgspec.structs import replace
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from gateway.console.identity.sign_up import sign_in_of
from gateway.core.actor import Actor
from gateway.core.console_spec import ConsoleSpec
from gateway.core.key_policy import KeyPolicy
from gateway.core.keys import generate_key, generate_key_id
from gateway.core.principal import AccountSet
from gateway.store.bindings import bind_person, find_person, unbind_person
from gateway.store.change_log import read_account_changes
from gateway.store.database import Database
from gateway.store.people import NamespaceRole, OwnAccount
from gateway.store.people_list import live_keys_of
from gateway.store.personal_keys import KeySettings, NewKey, issue_key
from gateway.store.sign_ins import OwnAccountRule, begin_session, find_session
from tests.harness.books import INSTALLATION, Books, credential

ADA = Actor("ada")
SPEC = ConsoleSpec(accounts="shared", signup=False)
TINA = sign_in_of("i", {"sub": "tina"}, [], SPEC)


@pytest.fixture
def alice(books: Books) -> OwnAccount:
    books.grant(credits=5)
    return OwnAccount(books.account_id(), "team", "alice")


def known(database: Database) -> int:
    """The row of Tina, who has tried to sign in."""
    begin_session(database, INSTALLATION, TINA)
    person_id = find_person(database, INSTALLATION, "i", "tina")
    assert person_id is not None
    return person_id


def make_key(database: Database, person_id: int) -> None:
    wanted = NewKey(
        key_id=generate_key_id(),
        namespace="team",
        account="alice",
        settings=KeySettings(label="hers"),
        person_id=person_id,
    )
    issue_key(
        database, INSTALLATION, wanted, credential(generate_key()), KeyPolicy(), Actor("tina")
    )


def live(database: Database, person_id: int) -> int:
    reach = AccountSet(frozenset({"team"}))
    return len(live_keys_of(database, INSTALLATION, reach, person_id))


def test_an_account_is_given_and_taken_once_and_each_is_an_event(
    books: Books, alice: OwnAccount
) -> None:
    database = books.database
    assert find_person(database, INSTALLATION, "i", "tom") is None
    assert find_person(database, INSTALLATION, "another", "tina") is None
    tina = known(database)
    assert find_person(database, "another", "i", "tina") is None
    given = [bind_person(database, INSTALLATION, tina, alice, ADA) for _ in range(2)]
    begun = begin_session(database, INSTALLATION, TINA)
    assert begun is not None, "that lets her in"
    make_key(database, tina)
    taken = [unbind_person(database, INSTALLATION, tina, alice, ADA) for _ in range(2)]
    assert given == taken == [True, False]
    found = find_session(database, INSTALLATION, begun.secret)
    assert found is not None
    assert found.accounts == ()
    assert live(database, tina) == 0
    events = read_account_changes(database, alice.id, 9)
    kinds = ["person.unbound", "key.suspended", "key.made", "session.begun", "person.bound"]
    assert [each["kind"] for each in events][:5] == kinds
    assert [(each["subject"], each["actor"]) for each in (events[0], events[4])] == [
        ("tina of i", "ada")
    ] * 2


def test_keys_go_on_where_a_group_gives_the_account_too(books: Books, alice: OwnAccount) -> None:
    database = books.database
    tina = known(database)
    bind_person(database, INSTALLATION, tina, alice, ADA)
    roles = (NamespaceRole("team", "member", "alice"),)
    begun = begin_session(database, INSTALLATION, replace(TINA, is_admitted=True, roles=roles))
    assert begun is not None
    make_key(database, tina)
    assert unbind_person(database, INSTALLATION, tina, alice, ADA)
    assert live(database, tina) == 1
    found = find_session(database, INSTALLATION, begun.secret)
    assert found is not None
    assert [each.id for each in found.accounts] == [alice.id]


def test_the_account_of_one_s_own_stays(books: Books) -> None:
    database = books.database
    begun = begin_session(
        database, INSTALLATION, sign_in_of("i", {"sub": "tina"}, [], ConsoleSpec())
    )
    assert begun is not None
    found = find_session(database, INSTALLATION, begun.secret)
    assert found is not None
    assert found.person_id is not None
    (own,) = found.accounts
    assert not bind_person(database, INSTALLATION, found.person_id, own, ADA)
    assert not unbind_person(database, INSTALLATION, found.person_id, own, ADA)


def test_a_given_account_that_stands_for_her_own_is_taken_whole(
    books: Books, alice: OwnAccount
) -> None:
    database = books.database
    tina = known(database)
    bind_person(database, INSTALLATION, tina, alice, ADA)
    rule = OwnAccountRule("team", "tina")
    begun = begin_session(database, INSTALLATION, replace(TINA, is_admitted=True, own_account=rule))
    assert begun is not None
    assert begun.own_account == NamespaceRole("team", "member", "alice"), "she gets no second one"
    make_key(database, tina)
    assert unbind_person(database, INSTALLATION, tina, alice, ADA)
    assert live(database, tina) == 0
    found = find_session(database, INSTALLATION, begun.secret)
    assert found is not None
    assert found.accounts == ()


def test_an_account_whose_taking_fails_is_taken_once_more(books: Books, alice: OwnAccount) -> None:
    database = books.database
    tina = known(database)
    bind_person(database, INSTALLATION, tina, alice, ADA)
    for _ in range(2):
        make_key(database, tina)
    with database.write() as session:  # only one key can be suspended now
        session.execute(text("CREATE UNIQUE INDEX one ON api_key (suspended) WHERE suspended"))
    with pytest.raises(IntegrityError):
        unbind_person(database, INSTALLATION, tina, alice, ADA)
    assert live(database, tina) == 1, "it broke off in between"
    with database.write() as session:
        session.execute(text("DROP INDEX one"))
    assert unbind_person(database, INSTALLATION, tina, alice, ADA)
    assert live(database, tina) == 0
