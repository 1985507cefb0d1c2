"""The end of a person's rights: sessions that others end, and keys without their role."""

from msgspec.structs import replace

from gateway.console.identity.sign_up import sign_in_of
from gateway.core.actor import Actor
from gateway.core.console_spec import ConsoleSpec
from gateway.core.key_policy import KeyPolicy
from gateway.core.keys import generate_key, generate_key_id
from gateway.core.principal import ALL, AccountSet
from gateway.store.key_list import KeyFilter, list_shown_keys
from gateway.store.people import NamespaceRole
from gateway.store.people_list import list_people
from gateway.store.personal_keys import KeySettings, NewKey, issue_key
from gateway.store.sign_ins import begin_session, find_session
from gateway.store.suspending import suspend_lost_keys
from tests.harness.books import INSTALLATION, Books, credential


def test_keys_stop_where_their_maker_makes_none_any_more(books: Books) -> None:
    database = books.database
    sign_in = sign_in_of("i", {"sub": "tina"}, [], ConsoleSpec())
    begin_session(database, INSTALLATION, sign_in)
    ((tina,), _) = list_people(database, INSTALLATION, AccountSet(frozenset({ALL})))
    for account in ("one", "two"):
        wanted = NewKey(
            key_id=generate_key_id(),
            namespace="team",
            account=account,
            settings=KeySettings(label=account),
            person_id=tina.id,
        )
        secret = credential(generate_key())
        issue_key(database, INSTALLATION, wanted, secret, KeyPolicy(), Actor("tina"))
    reach = AccountSet(accounts=frozenset({"team/one"}))
    who = sign_in.identity
    assert suspend_lost_keys(database, INSTALLATION, replace(who, subject="tom"), reach) == 0
    assert suspend_lost_keys(database, INSTALLATION, who, reach) == 1
    assert suspend_lost_keys(database, INSTALLATION, who, reach) == 0
    listed = list_shown_keys(
        database, INSTALLATION, AccountSet(frozenset({"team"})), KeyFilter(), 9
    )
    assert {key.label: key.status for key in listed.keys} == {"one": "active", "two": "suspended"}


def test_an_account_by_sign_up_is_lost_with_the_role_and_found_again(books: Books) -> None:
    database, spec = books.database, ConsoleSpec(signup=False)
    sign_in = sign_in_of("i", {"sub": "tina"}, [], ConsoleSpec())
    first = begin_session(database, INSTALLATION, sign_in)
    assert begin_session(database, INSTALLATION, sign_in_of("i", {"sub": "tina"}, [], spec)) is None
    assert first is not None
    older = find_session(database, INSTALLATION, first.secret)
    assert older is not None
    assert older.accounts == ()
    again = begin_session(database, INSTALLATION, sign_in)
    assert again is not None
    assert first.own_account == again.own_account
    found = find_session(database, INSTALLATION, again.secret)
    assert found is not None
    assert [account.shown for account in found.accounts] == ["people/person"]


def test_an_older_session_has_the_roles_of_the_newest_sign_in(books: Books) -> None:
    database = books.database
    newest = sign_in_of("i", {"sub": "tina"}, [], ConsoleSpec(accounts="shared"))
    newest = replace(newest, is_admitted=True)
    manager, auditor = NamespaceRole("team", "manager"), NamespaceRole("team", "auditor")
    tom = replace(newest, identity=replace(newest.identity, subject="tom"))
    begun = [
        begin_session(database, INSTALLATION, replace(who, roles=(role,)))
        for who, role in ((newest, manager), (tom, manager), (newest, auditor))
    ]
    found = [find_session(database, INSTALLATION, each.secret) for each in begun if each]
    assert [each.roles for each in found if each] == [(auditor,), (manager,), (auditor,)]
