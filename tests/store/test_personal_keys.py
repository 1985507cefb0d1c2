"""Keys that people make: each act is true for the next charge, and a row in the log."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text

from gateway.core.actor import Actor
from gateway.core.console_spec import ConsoleKeys, ConsoleSpec, LongestDays
from gateway.core.errors import (
    InvalidRequest,
    NotFound,
    PermissionDenied,
    RateLimited,
    StateConflict,
)
from gateway.core.key_policy import KeyPolicy, key_policy_of
from gateway.core.keys import MANAGE, generate_key, generate_key_id
from gateway.core.principal import ALL, AccountSet, Principal, Role, RoleBinding
from gateway.core.spec_fields import SpecError
from gateway.store.cached_keys import read_changes
from gateway.store.change_log import read_account_changes, read_all_changes
from gateway.store.key_list import KeyFilter, ShownKey, list_shown_keys, show_key
from gateway.store.key_origins import people_of
from gateway.store.key_rows import KeyState, find_key, list_keys
from gateway.store.key_uses import note_use
from gateway.store.keys import apply_key
from gateway.store.personal_keys import (
    KeySettings,
    NewKey,
    change_key,
    issue_key,
    revoke_personal_key,
    rotate_key,
)
from gateway.store.suspending import suspend_keys
from tests.harness.books import INSTALLATION, Books, credential, key_object
from tests.store.test_charges import open_ledger

TINA = Actor("tina", datetime(2026, 10, 1, 12, tzinfo=UTC))
EVERYTHING = AccountSet(frozenset({ALL}))
POLICY = KeyPolicy()


class People:
    """The keys of one database's people."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self._database = books.database

    def issue(self, account: str = "alice", policy: KeyPolicy = POLICY, **wanted: Any) -> KeyState:
        settings = KeySettings(**wanted.pop("settings", {"label": "mine"}))
        new = NewKey(
            key_id=wanted.pop("key_id", None) or generate_key_id(),
            namespace="team",
            account=account,
            settings=settings,
            **wanted,
        )
        secret = credential(generate_key())
        made = issue_key(self._database, INSTALLATION, new, secret, policy, TINA)
        return self.state(made.key_id)

    def rotate(
        self,
        key_id: str,
        overlap: int = 0,
        policy: KeyPolicy = POLICY,
        prefix: str | None = None,
    ) -> KeyState:
        secret = credential(generate_key())
        rotate_key(
            self._database, INSTALLATION, key_id, secret, overlap, policy, TINA, prefix=prefix
        )
        return self.state(key_id)

    def change(self, key_id: str, policy: KeyPolicy = POLICY, **settings: Any) -> KeyState:
        changed = KeySettings(**settings)
        change_key(self._database, INSTALLATION, key_id, changed, policy, TINA)
        return self.state(key_id)

    def revoke(self, key_id: str) -> ShownKey:
        return revoke_personal_key(self._database, INSTALLATION, key_id, TINA)

    def state(self, key_id: str) -> KeyState:
        found = find_key(self._database, people_of(INSTALLATION), "team", key_id)
        assert found is not None
        return found

    def show(self, key_id: str, reach: AccountSet = EVERYTHING) -> ShownKey:
        return show_key(self._database, INSTALLATION, reach, key_id)

    def names(self, reach: AccountSet = EVERYTHING, **wanted: Any) -> list[str]:
        page = list_shown_keys(self._database, INSTALLATION, reach, KeyFilter(**wanted), 100)
        return [key.label or key.name for key in page.keys]

    def age(self, table: str, moment: str, key: KeyState, by: timedelta) -> None:
        column = {"api_key": "id"}.get(table, "api_key_id")
        stamp = self.books.now() - by
        value: Any = stamp
        if self._database.is_sqlite:
            value = stamp.strftime("%Y-%m-%d %H:%M:%S.%f")
        statement = f"UPDATE {table} SET {moment} = :value WHERE {column} = :id"
        with self._database.write() as session:
            session.execute(text(statement), {"value": value, "id": key.id})

    def charge(self, *states: KeyState) -> list[str]:
        """The outcome of a charge by each."""

        async def run() -> list[str]:
            async with open_ledger(self._database) as ledger:
                charges = [self.books.charge(state) for state in states]
                return [(await ledger.charge(charge)).outcome for charge in charges]

        return asyncio.run(run())


@pytest.fixture
def people(books: Books) -> People:
    books.grant(credits=1000)
    return People(books)


def reason_of(act: Callable[[], object]) -> Any:
    with pytest.raises(StateConflict) as refused:
        act()
    assert refused.value.details is not None
    return refused.value.details["reason"]


def test_a_key_that_was_just_revoked_does_not_keep_the_others_alive(people: People) -> None:
    revoked, last = people.issue(), people.issue()
    people.revoke(revoked.key_id)
    asked = [revoked.key_id, "unknown", last.key_id]
    assert suspend_keys(people.books.database, INSTALLATION, asked, TINA) == 1
    assert people.charge(last) == ["dead"]


def test_each_act_is_true_for_the_next_charge_and_in_the_log(people: People) -> None:
    made = people.issue(person_id=7)
    assert people.charge(made) == ["charged"]
    people.change(made.key_id, label="for the build", credits_per_day=1, models=["kimi-*"])
    assert people.charge(made, made) == ["charged", "capped"]
    people.change(made.key_id, credits_per_day=None)
    rotated = people.rotate(made.key_id, overlap=3600)
    assert people.charge(made, rotated) == ["charged", "charged"]
    last = people.rotate(made.key_id)
    assert people.charge(made, rotated, last) == ["dead", "dead", "charged"]
    people.change(made.key_id, suspended=True)
    assert people.charge(last) == ["dead"]
    people.change(made.key_id, suspended=False)
    assert people.charge(last) == ["charged"]
    assert people.revoke(made.key_id) == people.revoke(made.key_id)
    assert people.charge(last) == ["dead"]
    log = read_account_changes(people.books.database, people.books.account_id(), 100)[::-1]
    assert [each["kind"].removeprefix("key.") for each in log if "key" in each["kind"]] == [
        "made",
        "changed",
        "changed",
        "rotated",
        "rotated",
        "suspended",
        "resumed",
        "revoked",
    ]
    mine = log[1:]
    assert {each["actor"] for each in mine} == {"tina"}
    assert {each["subject"] for each in mine} == {f"team/{made.key_id}"}
    assert mine[1]["detail"]["label"] == {"from": "mine", "to": "for the build"}
    assert read_all_changes(people.books.database, INSTALLATION, 100) == log[::-1]
    shown = people.show(made.key_id)
    assert (shown.label, shown.origin, shown.status) == ("for the build", "person", "revoked")
    assert (shown.person_id, shown.account, shown.used_today) == (7, "team/alice", 1)


def test_asking_again_makes_no_second_key(people: People) -> None:
    key_id = generate_key_id()

    def ask(_: int) -> str:
        try:
            return people.issue(key_id=key_id).key_id
        except StateConflict as error:
            return str(error.details)

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(ask, range(4)))
    again = str({"reason": "already_created", "key_id": key_id})
    assert sorted(answers) == sorted([key_id, again, again, again])
    assert people.names() == ["mine"]


def test_an_account_has_so_many_keys_and_no_more(people: People) -> None:
    few = KeyPolicy(live_max=3, hourly_max=100)
    first, second, _ = (people.issue(policy=few) for _ in range(3))
    assert reason_of(lambda: people.issue(policy=few)) == "too_many_keys"
    assert people.issue("bob", policy=few).account == "bob"
    people.revoke(first.key_id)
    people.issue(policy=few)
    people.age("api_key", "expires_at", second, timedelta(seconds=1))
    people.issue(policy=few)
    # One that has expired cannot come back beside as many others.
    assert reason_of(lambda: people.change(second.key_id, few, expires_at=None)) == "too_many_keys"
    people.change(second.key_id, few, label="over")
    assert len(people.names(account="team/alice", status="active")) == 3


def test_an_account_gets_so_many_secrets_an_hour(people: People) -> None:
    slow = KeyPolicy(hourly_max=3)
    first = people.issue(policy=slow)
    people.issue(policy=slow)
    people.rotate(first.key_id, policy=slow)
    for act in (people.issue, partial(people.rotate, first.key_id)):
        with pytest.raises(RateLimited) as refused:
            act(policy=slow)
        assert 3500 < (refused.value.retry_after_seconds or 0) <= 3600
        assert refused.value.details == {"limit": "hourly_max", "level": "account"}
    people.issue("bob", policy=slow)
    people.age("api_key_hash", "created_at", first, timedelta(hours=1, seconds=1))
    people.issue(policy=slow)


def test_a_secret_lives_no_longer_than_it_may(people: People) -> None:
    short = KeyPolicy(longest_days=30)
    now = people.books.now()
    made = people.issue(policy=short)
    assert made.expires_at is not None
    assert timedelta(days=30) - timedelta(minutes=1) < made.expires_at - now < timedelta(days=31)
    for expires_at in (None, now + timedelta(days=31)):
        with pytest.raises(PermissionDenied, match="30 days"):
            people.change(made.key_id, short, expires_at=expires_at)
        with pytest.raises(PermissionDenied, match="30 days"):
            people.issue(policy=short, settings={"label": "long", "expires_at": expires_at})
    # Ten days later there are twenty left, and a new secret has thirty again.
    people.age("api_key_hash", "created_at", made, timedelta(days=10))
    with pytest.raises(PermissionDenied):
        people.change(made.key_id, short, expires_at=now + timedelta(days=25))
    people.rotate(made.key_id)
    people.change(made.key_id, short, expires_at=now + timedelta(days=25))
    assert people.rotate(made.key_id, policy=short).expires_at == now + timedelta(days=25)
    endless = people.issue()
    ends = people.rotate(endless.key_id, policy=short).expires_at
    assert ends is not None
    assert ends < now + timedelta(days=31)


@pytest.mark.parametrize(
    ("roles", "longest"),
    [
        (["member"], 30),
        (["manager"], None),
        (["member", "manager"], 30),
        (["member", "treasurer"], 90),
        (["member", "auditor"], 30),
        ([], None),
    ],
)
def test_the_longest_lifetime_is_that_of_the_roles_there(
    roles: list[Role], longest: int | None
) -> None:
    spec = ConsoleSpec(keys=ConsoleKeys(longest_days=LongestDays(member=30, treasurer=90)))
    here = [RoleBinding(role, "team") for role in roles]
    elsewhere = RoleBinding("treasurer", "other")
    asker = Principal(identity="i", actor=TINA, holder=("a", "b"), bindings=(*here, elsewhere))
    assert key_policy_of(spec, asker, "team/alice").longest_days == longest


def test_reconcilers_see_the_keys_of_objects_only(people: People) -> None:
    """Those of releases that know no origin, too: they look by the installation's name."""
    made = people.issue()
    of_object, _ = people.books.issue("bot")
    database = people.books.database
    assert [each.name for each in list_keys(database, INSTALLATION)] == ["bot"]
    assert find_key(database, INSTALLATION, "team", made.name) is None
    seen = "SELECT count(*) FROM api_key WHERE installation = 'default' AND revoked_at IS NULL"
    assert people.books.scalar(seen) == 1
    with pytest.raises(SpecError):
        key_object(made.name)
    assert [each.key_id for each in read_changes(database, -1).keys] == [
        made.key_id,
        of_object.key_id,
    ]
    acts: list[Callable[[str], object]] = [people.rotate, people.revoke, people.change]
    for act in acts:
        assert reason_of(partial(act, of_object.key_id)) == "managed_by_object"
        with pytest.raises(NotFound):
            act(generate_key_id())


def test_a_page_that_is_sent_twice_at_once_rotates_once(people: People) -> None:
    made = people.issue()

    def rotate(_: int) -> str:
        try:
            people.rotate(made.key_id, prefix=made.prefix)
        except StateConflict as refused:
            return str((refused.details or {})["reason"])
        return "rotated"

    with ThreadPoolExecutor(3) as threads:
        outcomes = sorted(threads.map(rotate, range(3)))
    assert outcomes == ["already_rotated", "already_rotated", "rotated"]
    assert people.state(made.key_id).generation == 1


def test_what_is_revoked_stays_so(people: People) -> None:
    made = people.issue()
    people.revoke(made.key_id)
    assert reason_of(lambda: people.rotate(made.key_id)) == "revoked"
    assert reason_of(lambda: people.change(made.key_id, suspended=False)) == "revoked"


def test_a_key_that_manages_is_never_charged(people: People) -> None:
    """By the charge itself: a replica of a release that knows no scope lets it through to there."""
    made = people.issue(scope=MANAGE, settings={"label": "m", "credits_per_day": 100})
    assert people.charge(made) == ["capped"]
    changed = people.change(made.key_id, credits_per_day=100)
    assert people.charge(changed) == ["capped"]


def test_keys_are_listed_by_reach_state_and_use(people: People) -> None:
    database = people.books.database
    old = people.issue(settings={"label": "old"})
    used = people.issue("bob", settings={"label": "used"})
    people.books.issue("bot")
    note_use(database, [used.id])
    people.age("api_key", "created_at", old, timedelta(days=100))
    people.age("api_key", "created_at", used, timedelta(days=100))
    assert people.names() == ["team/bot", "used", "old"]
    assert people.names(AccountSet(frozenset({"team"}))) == ["team/bot", "used", "old"]
    assert people.names(AccountSet(accounts=frozenset({"team/bob"}))) == ["used"]
    assert people.names(AccountSet(frozenset({"other"}))) == people.names(AccountSet()) == []
    assert people.names(unused_days=90) == ["old"]
    assert people.names(account="team/bob") == ["used"]
    assert people.names(status="suspended") == []
    people.change(old.key_id, suspended=True)
    assert people.names(status="suspended") == ["old"]
    assert people.names(status="active") == ["team/bot", "used"]
    first = list_shown_keys(database, INSTALLATION, EVERYTHING, KeyFilter(), 2)
    assert (len(first.keys), first.has_more) == (2, True)
    last = first.keys[-1].key_id
    rest = list_shown_keys(database, INSTALLATION, EVERYTHING, KeyFilter(), 2, last)
    assert ([key.label for key in rest.keys], rest.has_more) == (["old"], False)
    with pytest.raises(InvalidRequest):
        list_shown_keys(database, INSTALLATION, EVERYTHING, KeyFilter(), 2, "key_none")
    with pytest.raises(NotFound):
        people.show(used.key_id, AccountSet(accounts=frozenset({"team/alice"})))


def test_an_object_s_key_beside_them_is_as_before(people: People) -> None:
    people.issue()
    state, plaintext = people.books.issue("bot", limits={"creditsPerDay": 5})
    again = key_object("bot", limits={"creditsPerDay": 5})
    applied = apply_key(people.books.database, INSTALLATION, again, credential(plaintext))
    assert applied == state
    assert people.charge(state) == ["charged"]
