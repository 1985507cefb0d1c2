"""PostgreSQL is verified by the system's certificate authorities, unless others are named."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from gateway.core.errors import DatabaseUnavailable
from gateway.store.certificate_authorities import roots_of, system_roots
from gateway.store.connections import connect_async
from gateway.store.database import Database
from tests.harness.apiserver import Authority
from tests.harness.postgres import PostgresServer, find_programs

BARE = "postgresql://a:b@db.example.com/t"


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home folder without a file of authorities."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("PGSSLROOTCERT", "PGSSLMODE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("mode", ["verify-full", "verify-ca"])
def test_a_url_that_wants_the_server_verified_gets_the_systems_authorities(mode: str) -> None:
    roots = system_roots()
    assert roots is not None
    assert roots_of(f"{BARE}?sslmode={mode}") == {"sslrootcert": roots}


@pytest.mark.parametrize(
    "url", [BARE, f"{BARE}?sslmode=require", f"{BARE}?sslmode=verify-full&sslrootcert=/mine.crt"]
)
def test_any_other_url_stays_as_it_is(url: str) -> None:
    assert roots_of(url, "/roots.crt") == {}


def test_the_word_system_verifies_fully() -> None:
    expected = {"sslrootcert": "/r", "sslmode": "verify-full"}
    assert roots_of(f"{BARE}?sslrootcert=system", "/r") == expected
    assert roots_of(f"{BARE}?sslrootcert=system&sslmode=verify-full", "/r") == expected


def test_what_libpq_is_given_otherwise_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{BARE}?sslmode=verify-full"
    monkeypatch.setenv("PGSSLROOTCERT", "/mine.crt")
    assert roots_of(url, "/r") == {}
    monkeypatch.delenv("PGSSLROOTCERT")
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    assert roots_of(BARE, "/r") == {"sslrootcert": "/r"}
    (tmp_path / ".postgresql").mkdir()
    (tmp_path / ".postgresql/root.crt").touch()
    assert roots_of(url, "/r") == {}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate authority, and a server's certificate by it."""
    folder = tmp_path_factory.mktemp("authority")
    Authority(folder).issue("server", "postgres", ())
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[PostgresServer]:
    """A PostgreSQL that speaks TLS."""
    programs = find_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    server = PostgresServer(programs)
    server.start()
    with psycopg.connect(server.url(), autocommit=True) as connection:
        for name in ("server.crt", "server.key"):
            lines = (folder / name).read_text().splitlines()
            written = psycopg.sql.SQL("COPY (SELECT unnest({}::text[])) TO PROGRAM {}").format(
                lines, f"umask 077; cat > {name}"
            )
            connection.execute(written)
        connection.execute("ALTER SYSTEM SET ssl = on")
        connection.execute("SELECT pg_reload_conf()")
        deadline = time.monotonic() + 30
        while connection.execute("SHOW ssl").fetchone() != ("on",):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    yield server
    server.remove()


def test_a_server_of_an_authority_that_is_named_is_trusted_and_no_other(
    server: PostgresServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{server.url()}?sslmode=verify-full"
    asked = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"

    def ask() -> object:
        database = Database(url)
        try:
            return database.glance(asked)[0]
        finally:
            database.close()

    async def ask_by_a_connection() -> object:
        connection = await connect_async(url)
        async with connection:
            found = await (await connection.execute(asked.encode())).fetchone()
            assert found is not None
            return found[0]

    with pytest.raises(DatabaseUnavailable, match="certificate verify failed"):
        ask()
    with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
        asyncio.run(ask_by_a_connection())
    monkeypatch.setenv("PGSSLROOTCERT", str(folder / "ca.crt"))
    assert ask() is True
    assert asyncio.run(ask_by_a_connection()) is True


def test_the_systems_authorities_are_no_worse_than_others(
    server: PostgresServer, folder: Path
) -> None:
    url = f"{server.url()}?sslmode=verify-full"
    found = make_conninfo(url, **roots_of(url, str(folder / "ca.crt")))
    with psycopg.connect(found) as connection:
        assert connection.pgconn.ssl_in_use
