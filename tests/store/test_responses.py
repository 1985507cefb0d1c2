"""Stored responses on both databases."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import psycopg
import pytest
from msgspec import Raw

from gateway.core.errors import DatabaseUnavailable
from gateway.core.seal import Sealer
from gateway.dialects.base import Caller
from gateway.dialects.responses.stored_responses import StoredResponse
from gateway.store import response_store
from gateway.store.database import Database
from gateway.store.opening import RESPONSES_FILE, open_responses
from gateway.store.response_store import WAITING_MAX, ResponseStore
from tests.harness.postgres import PostgresServer

ALICE, BOB, CAROL = Caller(1, "team/alice"), Caller(2, "team/bob"), Caller(3, "other/carol")
SEALER = Sealer(b"k" * 32)
INPUT = [Raw(b'{"type":"message","id":"msg_in","role":"user","content":"a secret question"}')]
T = TypeVar("T")


def stored(id: str = "resp_1", text: str = "a secret answer") -> StoredResponse:
    message = f'{{"type":"message","id":"msg_{id}","text":"{text}"}}'
    reasoning = f'{{"type":"reasoning","id":"rs_{id}"}}'
    body = f'{{"id":"{id}","output":[{reasoning},{message}]}}'
    return StoredResponse(id, INPUT, Raw(body.encode()), created=1)


def store_at(url: str, sealer: Sealer = SEALER, bytes_max: int = 4096) -> ResponseStore:
    store = open_responses(url, sealer, retention_days=30, bytes_max=bytes_max)
    assert store is not None
    return store


def run(url: str, story: Callable[[ResponseStore], Awaitable[T]], **settings: object) -> T:
    """Act one story on a store of its own."""

    async def act() -> T:
        store = store_at(url, **settings)  # type: ignore[arg-type]  # handed down as they are
        try:
            return await story(store)
        finally:
            await store.close()

    return asyncio.run(act())


@pytest.fixture
def url(database: Database) -> str:
    return database.url


def execute(url: str, statement: str) -> list[tuple[object, ...]]:
    """Look at, or change, what is stored behind the store's back."""
    if url.startswith("sqlite:"):
        path = Path(url.removeprefix("sqlite:///")).with_name(RESPONSES_FILE)
        with sqlite3.connect(path) as connection:
            rows = connection.execute(statement).fetchall()
        connection.close()
        return rows
    with psycopg.connect(url, autocommit=True) as postgres:
        cursor = postgres.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def test_nothing_is_kept_where_nothing_is_to_be_kept(url: str) -> None:
    assert open_responses(url, SEALER, retention_days=0, bytes_max=1) is None


def test_what_is_kept_comes_back_whole(url: str) -> None:
    async def story(store: ResponseStore) -> None:
        assert await store.get(ALICE, "resp_1") is None
        assert await store.save(ALICE, stored())
        found = await store.get(ALICE, "resp_1")
        assert found is not None
        assert (found.id, found.input, found.response) == ("resp_1", INPUT, stored().response)
        days = (found.expires - datetime.now(UTC).timestamp()) / 86400
        assert 29.9 < days <= 30
        ids = ["msg_resp_1", "rs_resp_1", "msg_none", "rs_resp_1"]
        items = await store.items(ALICE, ids, 10_000)
        assert items == {
            "rs_resp_1": Raw(b'{"type":"reasoning","id":"rs_resp_1"}'),
            "msg_resp_1": stored().output[1],
        }

    run(url, story)

    async def later(store: ResponseStore) -> None:
        assert await store.get(ALICE, "resp_1") is not None

    run(url, later)


def test_another_account_sees_nothing_even_of_the_same_ids(url: str) -> None:
    async def story(store: ResponseStore) -> None:
        assert await store.save(ALICE, stored())
        assert await store.get(BOB, "resp_1") is None
        assert await store.items(BOB, ["msg_resp_1"], 10_000) == {}
        assert await store.delete(BOB, "resp_1") is False
        assert await store.save(BOB, stored(text="mine"))
        found = await store.get(ALICE, "resp_1")
        assert found is not None
        assert found.response == stored().response

    run(url, story)


def test_what_is_written_is_sealed_for_its_account(url: str) -> None:
    async def save(store: ResponseStore) -> None:
        assert await store.save(ALICE, stored())

    async def read_as_bob(store: ResponseStore) -> None:
        assert await store.get(BOB, "resp_1") is None
        assert await store.items(BOB, ["msg_resp_1"], 10_000) == {}

    async def read_with_another_secret(store: ResponseStore) -> None:
        assert await store.get(BOB, "resp_1") is None

    run(url, save)
    for table in ("response", "response_item"):
        for (sealed,) in execute(url, f"SELECT sealed FROM {table}"):
            assert str(sealed).startswith("tg1_")
            assert "secret" not in str(sealed)
    # Somebody who can write to the database still cannot hand a response to another account.
    execute(url, "DELETE FROM response_item RETURNING id")
    execute(url, f"UPDATE response SET account_id = {BOB.account_id} RETURNING id")
    run(url, read_as_bob)
    run(url, read_with_another_secret, sealer=Sealer(b"x" * 32))


def test_too_large_a_response_is_not_kept(url: str) -> None:
    async def story(store: ResponseStore) -> None:
        assert await store.save(ALICE, stored("resp_2", "x" * 5000)) is False
        assert await store.get(ALICE, "resp_2") is None
        assert await store.save(ALICE, stored("resp_3", "x" * 3000)) is True

    run(url, story)


def test_a_deleted_response_takes_its_items_with_it(url: str) -> None:
    async def story(store: ResponseStore) -> None:
        assert await store.save(ALICE, stored())
        assert await store.delete(ALICE, "resp_1") is True
        assert await store.delete(ALICE, "resp_1") is False
        assert await store.get(ALICE, "resp_1") is None
        assert await store.items(ALICE, ["msg_resp_1"], 10_000) == {}

    run(url, story)


def test_an_expired_response_reads_as_gone_and_is_purged(url: str) -> None:
    async def save(store: ResponseStore) -> None:
        assert await store.save(ALICE, stored())
        assert await store.save(ALICE, stored("resp_2"))
        assert await store.purge() == 0

    async def read(store: ResponseStore) -> None:
        assert await store.get(ALICE, "resp_1") is None
        assert await store.items(ALICE, ["msg_resp_1"], 10_000) == {}
        assert await store.delete(ALICE, "resp_2") is True
        assert await store.purge() == 1

    run(url, save)
    for table, name in (("response", "id"), ("response_item", "response_id")):
        execute(
            url,
            f"UPDATE {table} SET expires_at = '2020-01-01 00:00:00.000000'"
            f" WHERE {name} = 'resp_1' RETURNING id",
        )
    run(url, read)
    assert execute(url, "SELECT id FROM response") == []
    assert execute(url, "SELECT id FROM response_item") == []


def test_saving_the_same_response_at_once_keeps_one(url: str) -> None:
    async def story(store: ResponseStore) -> None:
        assert all(await asyncio.gather(*(store.save(ALICE, stored()) for _ in range(5))))
        assert await store.get(ALICE, "resp_1") is not None

    run(url, story)
    assert len(execute(url, "SELECT id FROM response")) == 1
    assert len(execute(url, "SELECT id FROM response_item")) == 2


def test_what_is_saved_at_once_is_committed_at_once(url: str) -> None:
    async def story(store: ResponseStore) -> None:
        assert await store.save(ALICE, stored())
        before = commits(url)
        saves = [store.save(ALICE, stored(f"resp_{number}", "x")) for number in range(2, 22)]
        assert all(await asyncio.gather(*saves))
        assert commits(url) - before == 1
        assert await store.get(ALICE, "resp_21") is not None

    run(url, story)


def commits(url: str) -> int:
    """Commits that stored a response so far."""
    if not url.startswith("sqlite:"):
        [(number,)] = execute(url, "SELECT count(DISTINCT xmin::text) FROM response")
        assert isinstance(number, int)
        return number
    log = Path(url.removeprefix("sqlite:///")).with_name(f"{RESPONSES_FILE}-wal").read_bytes()
    # "WAL Frame Header Format" in SQLite's file format: a commit's frame holds the file's size.
    frame = 24 + int.from_bytes(log[8:12], "big")
    return sum(log[at + 4 : at + 8] != bytes(4) for at in range(32, len(log), frame))


def test_a_response_that_the_database_refuses_does_not_take_others_with_it(url: str) -> None:
    taken = Raw(b'{"id":"resp_3","output":[{"type":"message","id":"msg_resp_1"}]}')

    async def story(store: ResponseStore) -> None:
        assert await store.save(ALICE, stored())
        kept = await asyncio.gather(
            store.save(ALICE, stored("resp_2")),
            store.save(ALICE, StoredResponse("resp_3", INPUT, taken, created=1)),
            store.save(ALICE, stored("resp_4")),
        )
        assert list(kept) == [True, False, True]
        assert await store.get(ALICE, "resp_3") is None
        items = await store.items(ALICE, ["msg_resp_1", "msg_resp_2", "msg_resp_4"], 10_000)
        assert items["msg_resp_1"] == stored().output[1]
        assert len(items) == 3

    run(url, story)


def test_large_responses_of_one_account_let_another_s_go_between(url: str) -> None:
    """A response is not lost because another account keeps much at once."""
    order: list[str] = []

    async def save(store: ResponseStore, caller: Caller, number: int) -> bool:
        kept = await store.save(caller, stored(f"resp_{number}", "x" * 3000))
        order.append(caller.account)
        return kept

    async def story(store: ResponseStore) -> None:
        mine = [save(store, ALICE, number) for number in range(25)]
        assert all(await asyncio.gather(*mine, save(store, BOB, 0)))

    run(url, story)
    # Ten fit into a batch.
    assert order.index("team/bob") < 10


def test_an_account_that_keeps_too_much_at_once_takes_no_room_from_others(url: str) -> None:
    async def story(store: ResponseStore) -> None:
        mine = [store.save(ALICE, stored(f"resp_{number}")) for number in range(WAITING_MAX)]
        kept = await asyncio.gather(*mine, store.save(CAROL, stored()))
        assert kept[-1] is True
        assert 200 < sum(kept[:-1]) <= WAITING_MAX / 3 + 1

    run(url, story)


def test_a_file_that_cannot_be_opened_is_an_outage_until_it_can(tmp_path: Path) -> None:
    folder = tmp_path / "away"

    async def story(store: ResponseStore) -> None:
        assert await store.save(ALICE, stored()) is False
        with pytest.raises(DatabaseUnavailable):
            await store.get(ALICE, "resp_1")
        folder.mkdir()
        assert await store.save(ALICE, stored()) is True
        assert await store.get(ALICE, "resp_1") is not None

    run(f"sqlite:///{folder / 'faregate.db'}", story)


@contextmanager
def locked(url: str) -> Iterator[None]:
    """No response can be written within."""
    if url.startswith("sqlite:"):
        path = Path(url.removeprefix("sqlite:///")).with_name(RESPONSES_FILE)
        with closing(sqlite3.connect(path, isolation_level=None)) as file:
            file.execute("BEGIN IMMEDIATE")
            yield
        return
    with psycopg.connect(url) as server:
        server.execute("LOCK TABLE response")
        yield


def test_nobody_waits_longer_than_the_limit_for_a_response_to_be_kept(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(store: ResponseStore) -> None:
        assert await store.save(ALICE, stored())
        with locked(url), monkeypatch.context() as short:
            short.setattr(response_store, "CALL_TIMEOUT_SECONDS", 0.1)
            assert await store.save(ALICE, stored("resp_2")) is False
            assert await store.save(ALICE, stored("resp_3")) is False
        # What was being written then is written; what still waited is not.
        assert await store.get(ALICE, "resp_2") is not None
        assert await store.get(ALICE, "resp_3") is None

    run(url, story)


def test_an_outage_is_reported_and_over_when_the_server_is_back(own_server: PostgresServer) -> None:
    url = own_server.create_migrated()

    async def story(store: ResponseStore) -> None:
        assert await store.save(ALICE, stored())
        own_server.kill()
        assert await store.save(ALICE, stored("resp_2")) is False
        for call in (store.get(ALICE, "resp_1"), store.delete(ALICE, "resp_1"), store.purge()):
            with pytest.raises(DatabaseUnavailable) as caught:
                await call
            assert type(caught.value) is DatabaseUnavailable
        own_server.start()
        assert await store.get(ALICE, "resp_1") is not None
        own_server.kill()
        own_server.start()
        # The connection was lost in between; nobody but the store knows.
        assert await store.save(ALICE, stored("resp_3")) is True

    run(url, story)


def test_a_locked_table_does_not_hold_a_response_up_for_long(
    postgres_server: PostgresServer,
) -> None:
    url = postgres_server.create_migrated()

    async def story(store: ResponseStore) -> None:
        with psycopg.connect(url) as connection:
            connection.execute("LOCK TABLE response")
            started = asyncio.get_running_loop().time()
            assert await store.save(ALICE, stored()) is False
            assert asyncio.get_running_loop().time() - started < 5.5
            connection.rollback()
        assert await store.save(ALICE, stored()) is True

    run(url, story)
