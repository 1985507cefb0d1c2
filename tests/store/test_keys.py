"""Keys as rows: issue, rotate, re-issue, revoke, and what the gateway reads of them."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from secrets import token_urlsafe
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import text

from gateway.core.keys import (
    PEPPER,
    InstallationSecret,
    generate_key,
    has_checksum,
    problem_of_brought_key,
)
from gateway.pipeline.key_cache import KeyCache
from gateway.store.cached_keys import KeyChanges, LiveKey, read_by_hash, read_changes
from gateway.store.database import Database
from gateway.store.installation import WrongSecret, check_secret
from gateway.store.key_errors import DuplicateCredential, KeyMoved
from gateway.store.key_rows import find_key, list_keys
from gateway.store.keys import apply_key, revoke_key, suspend_key
from gateway.telemetry.metrics import Metrics
from tests.harness.books import INSTALLATION, SECRET, Books, credential, key_object, somebody_else
from tests.harness.gateway import wait_until
from tests.harness.postgres import PostgresServer


def names(keys: list[LiveKey]) -> list[str]:
    return [key.name for key in keys]


def live_hashes(books: Books) -> int:
    return len(read_changes(books.database, -1).keys[0].hashes)


def test_a_generated_key_has_a_checksum_and_a_typo_is_noticed() -> None:
    key = generate_key()
    assert len(key) == 51
    assert has_checksum(key)
    swapped = key[:5] + ("a" if key[5] != "a" else "b") + key[6:]
    assert not has_checksum(swapped)
    assert problem_of_brought_key(key) is None
    assert problem_of_brought_key("x" * 31) is not None
    assert problem_of_brought_key("sk-" + token_urlsafe(16)) is None
    assert problem_of_brought_key("sk-" + "x" * 21) is not None
    assert problem_of_brought_key("sk-" + "x" * 21 + ".") is not None
    assert problem_of_brought_key("x" * 40 + " ") is not None


def test_every_change_has_a_version_and_is_read_once(books: Books) -> None:
    first = read_changes(books.database, -1)
    books.issue("one")
    second = read_changes(books.database, first.version)
    assert [key.name for key in second.keys] == ["team/one"]
    assert read_changes(books.database, second.version).keys == ()
    state, _ = books.issue("two")
    revoke_key(books.database, state.id)
    third = read_changes(books.database, second.version)
    assert [(key.name, key.revoked) for key in third.keys] == [("team/two", True)]


def test_a_database_that_is_older_than_a_moment_ago_is_read_anew(books: Books) -> None:
    """After a restore, a key made since is gone, and one that was revoked since is back."""
    books.issue("old")
    backup = read_changes(books.database, -1)
    revoke_key(books.database, backup.keys[0].id)
    books.issue("new")
    newest = read_changes(books.database, -1)
    answers = [newest, backup, backup]

    async def read(since: int) -> KeyChanges:
        return answers.pop(0)

    async def nobody(hashes: list[bytes]) -> LiveKey | None:
        return None

    async def act() -> None:
        key_cache = KeyCache({PEPPER: SECRET.pepper(PEPPER)}, read, nobody, Metrics())
        await key_cache.poll()
        assert names(key_cache.keys()) == ["team/new"]
        await key_cache.poll()
        assert names(key_cache.keys()) == ["team/old"]
        assert answers == []

    asyncio.run(act())


def test_at_most_two_hashes_live_and_no_overlap_kills_at_once(books: Books) -> None:
    books.issue()
    for generation in (1, 2, 3):
        books.issue(rotation={"generation": generation, "overlap": "1h"})
    assert live_hashes(books) == 2
    books.issue(rotation={"generation": 4, "overlap": "0s"})
    assert live_hashes(books) == 1


def test_the_same_credential_again_is_no_rotation(books: Books) -> None:
    _, plaintext = books.issue()
    for _ in range(3):
        apply_key(books.database, INSTALLATION, key_object(), credential(plaintext))
    assert live_hashes(books) == 1


def test_what_the_row_holds_already_is_not_written(books: Books) -> None:
    first, plaintext = books.issue()
    for _ in range(3):
        again = apply_key(books.database, INSTALLATION, key_object(), credential(plaintext))
        spec_only = apply_key(books.database, INSTALLATION, key_object(), None)
        assert again == spec_only == first
    assert read_changes(books.database, first.version).keys == ()
    specs: list[dict[str, Any]] = [{"suspended": True}, {"models": ["a"]}, {"limits": {}}]
    for number, spec in enumerate(specs, start=1):
        changed = apply_key(books.database, INSTALLATION, key_object(**spec), None)
        assert changed.version == first.version + number


def test_a_change_that_was_decided_by_an_older_row_is_refused(books: Books) -> None:
    with pytest.raises(KeyMoved):
        apply_key(books.database, INSTALLATION, key_object(), credential("x" * 40), seen_version=3)
    first, plaintext = books.issue()
    suspended = key_object(suspended=True)
    for seen in (0, first.version - 1):
        with pytest.raises(KeyMoved):
            apply_key(books.database, INSTALLATION, suspended, None, seen_version=seen)
    second = apply_key(books.database, INSTALLATION, suspended, None, seen_version=first.version)
    assert second.suspended
    assert second.newest_hash == credential(plaintext).hash


def test_a_key_that_moves_locks_both_accounts_like_a_charge(
    postgres_server: PostgresServer,
) -> None:
    """While it waits for the first of two accounts, the one that has it gets the second."""
    database = Database(postgres_server.create_migrated(), timeouts=False)
    books = Books(database)
    books.issue("one", "first")
    books.issue("two", "second")
    lock = text("SELECT id FROM account WHERE name = :name FOR UPDATE NOWAIT")
    with ThreadPoolExecutor() as threads, somebody_else(database) as charge:
        charge.execute(lock, {"name": "first"})
        moved = threads.submit(books.issue, "one", "second")
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        wait_until(lambda: books.scalar(waiting) == 1, "the key to wait for its account")
        charge.execute(lock, {"name": "second"})
        charge.commit()
        state, _ = moved.result()
    assert state.account == "second"
    database.close()


def test_a_rotation_without_a_new_key_stays_due(books: Books) -> None:
    first, _ = books.issue()
    asked = key_object(rotation={"generation": 3, "overlap": "1h"}, suspended=True)
    state = apply_key(books.database, INSTALLATION, asked, None)
    assert (state.generation, state.suspended) == (first.generation, True)
    assert state.matches(asked, rotated=False)
    assert not state.matches(asked)
    rotated = apply_key(books.database, INSTALLATION, asked, credential(generate_key()))
    assert rotated.generation == 3
    assert rotated.live_hashes == {first.newest_hash, rotated.newest_hash}


def test_an_overlap_that_is_taken_back_ends_at_once(books: Books) -> None:
    first, _ = books.issue()
    rotation = {"generation": 1, "overlap": "1h"}
    second, _ = books.issue(rotation=rotation)
    at_once = key_object(rotation={**rotation, "overlap": "0s"})
    third = apply_key(books.database, INSTALLATION, at_once, None)
    assert third.live_hashes == {second.newest_hash}
    assert third.dead_hashes == {first.newest_hash}


def test_a_fleet_of_keys_is_listed_as_each_is_found(books: Books) -> None:
    for number in range(5):
        books.issue(f"key-{number}", account=f"account-{number % 2}")
    rotated, _ = books.issue("key-1", account="account-1", rotation={"generation": 1})
    suspend_key(books.database, rotated.id)
    revoke_key(books.database, rotated.id - 1)
    listed = {state.name: state for state in list_keys(books.database, INSTALLATION)}
    assert sorted(listed) == ["key-1", "key-2", "key-3", "key-4"]
    for name, state in listed.items():
        assert state == find_key(books.database, INSTALLATION, "team", name)
    assert list_keys(books.database, "another") == []


def test_an_object_of_another_uid_is_issued_anew(books: Books) -> None:
    first, old = books.issue()
    key = key_object()
    twin = replace(key, metadata=replace(key.metadata, uid="another"))
    second = apply_key(books.database, INSTALLATION, twin, credential(generate_key()))
    assert second.id == first.id
    assert live_hashes(books) == 1
    found = read_by_hash(books.database, [credential(old).hash])
    assert found is not None
    assert credential(old).hash not in {issued.hash for issued in found.hashes}


def test_a_revoked_key_comes_back_only_with_a_new_credential(books: Books) -> None:
    state, _ = books.issue()
    revoke_key(books.database, state.id)
    again, _ = books.issue()
    assert (again.id, again.revoked) == (state.id, False)
    assert live_hashes(books) == 1


def test_two_keys_cannot_share_a_plaintext(books: Books) -> None:
    _, plaintext = books.issue("one")
    with pytest.raises(DuplicateCredential, match="team/one"):
        apply_key(books.database, INSTALLATION, key_object("two"), credential(plaintext))


def test_a_wrong_installation_secret_is_noticed(books: Books) -> None:
    check_secret(books.database, INSTALLATION, SECRET)
    check_secret(books.database, INSTALLATION, SECRET)
    with pytest.raises(WrongSecret, match="give the gateway the old one back"):
        check_secret(books.database, INSTALLATION, InstallationSecret("x" * 32))
