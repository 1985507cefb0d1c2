"""People's keys in a cluster: counted, and dead once they were revoked."""

import base64
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace
from sqlalchemy import text

from gateway.core.actor import UNKNOWN_ACTOR
from gateway.store.database import Database
from gateway.store.personal_keys import revoke_personal_key
from gateway.store.revocations import Revocation, find_living, read_revocations
from gateway_operator.apply.tombstones import TOMBSTONES_NAME, Tombstones, keep_dead
from gateway_operator.plan import tombstones
from gateway_operator.plan.tombstones import (
    AGE,
    format_tombstones,
    merge_tombstones,
    parse_tombstones,
)
from tests.harness.books import INSTALLATION, Books
from tests.reconcile.fleet.conftest import FleetWorld
from tests.store.test_personal_keys import People

NOW = datetime(2026, 11, 1, tzinfo=UTC)
CONSOLE = {"url": "https://llm.example"}


def revocation(key_id: str, account: int = 1, **ago: int) -> Revocation:
    return Revocation(key_id, account, NOW - timedelta(**ago))


def test_tombstones_are_written_as_they_are_read() -> None:
    found = [revocation("key_b"), revocation("key_a", 2, days=3)]
    written = format_tombstones(found)
    assert sorted(parse_tombstones(written), key=lambda one: one.key_id) == found[::-1]
    assert parse_tombstones(written + f"key_c\nkey_d x y\nkey_e 1 {10**20}\n") == parse_tombstones(
        written
    )


def test_they_go_with_the_backups_that_need_them() -> None:
    old, young = revocation("key_old", days=AGE.days), revocation("key_young", days=AGE.days - 1)
    assert merge_tombstones([old, young], [], NOW) == [young]
    again = Revocation(young.key_id, 1, NOW)  # what was revoked again is as old as it was
    assert merge_tombstones([young], [again], NOW) == [young]


def test_who_revokes_without_end_has_nobody_else_s_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tombstones, "TOMBSTONES_MAX", 10)
    others = [revocation(f"key_{account}", account, days=30) for account in (1, 2)]
    many = [revocation(f"key_many_{number:02}", 3, minutes=number) for number in range(50)]
    kept = merge_tombstones(others, many, NOW)
    assert len(kept) == 10
    assert set(others) < set(kept)
    assert [one for one in many if one in kept] == many[:8]


def test_no_more_is_read_than_is_kept_and_each_account_s_newest_first(database: Database) -> None:
    people = People(Books(database))
    keys = [people.issue(account) for account in ("alice", "alice", "alice", "bob")]
    for key in reversed(keys):
        revoke_personal_key(database, INSTALLATION, key.key_id, UNKNOWN_ACTOR)
    found, _ = read_revocations(database, INSTALLATION, AGE, 2)
    assert {one.key_id for one in found} == {keys[0].key_id, keys[3].key_id}


def test_a_key_that_was_made_after_the_revocation_of_its_id_lives(database: Database) -> None:
    people = People(Books(database))
    key, now = people.issue(), people.books.now()
    before, after = ([Revocation(key.key_id, 1, now + timedelta(hours=hours))] for hours in (-1, 1))
    assert find_living(database, INSTALLATION, before) == []
    assert find_living(database, INSTALLATION, after) == [key.key_id]


@pytest.fixture
def people(world: FleetWorld, database: Database) -> Iterator[People]:
    world.context = replace(world.context, database=database)
    yield People(Books(database))
    world.run(world.cluster.delete("Secret", world.namespace, TOMBSTONES_NAME))


def test_a_revoked_key_stays_dead_when_the_database_forgets_it(
    world: FleetWorld, people: People
) -> None:
    revoked, other = people.issue(), people.issue("bob")
    revoke_personal_key(people.books.database, INSTALLATION, revoked.key_id, UNKNOWN_ACTOR)
    world.run(keep_dead(world.context))
    made = world.run(world.cluster.get("Secret", world.namespace, TOMBSTONES_NAME))
    assert made is not None

    with people.books.database.write() as session:  # as it was before
        session.execute(text("UPDATE api_key SET revoked_at = NULL"))
    assert not people.state(revoked.key_id).revoked
    world.run(keep_dead(world.context))
    assert people.state(revoked.key_id).revoked
    assert not people.state(other.key_id).revoked
    again = world.run(world.cluster.get("Secret", world.namespace, TOMBSTONES_NAME))
    assert again is not None
    assert again["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


def test_a_revocation_is_remembered_at_the_next_look(world: FleetWorld, people: People) -> None:
    key, looks = people.issue(), Tombstones(world.context)

    def is_remembered() -> bool:
        world.run(looks.look())
        found = world.run(world.cluster.get("Secret", world.namespace, TOMBSTONES_NAME))
        text = base64.b64decode(((found or {}).get("data") or {}).get("keys", ""))
        return key.key_id.encode() in text

    assert not is_remembered()
    revoke_personal_key(people.books.database, INSTALLATION, key.key_id, UNKNOWN_ACTOR)
    assert is_remembered()
    world.run(world.cluster.delete("Secret", world.namespace, TOMBSTONES_NAME))
    looked = [is_remembered() for _ in range(10)]
    assert looked == [False] * 9 + [True], "without a change, each tenth look is a round"


def test_the_fleet_counts_living_keys_where_people_have_a_console(
    world: FleetWorld, people: People
) -> None:
    revoked, _ = people.issue(), people.issue("bob")
    revoke_personal_key(people.books.database, INSTALLATION, revoked.key_id, UNKNOWN_ACTOR)
    assert world.reconcile(console=CONSOLE)["keysOfPeople"] == 1
    assert "keysOfPeople" not in world.reconcile()
