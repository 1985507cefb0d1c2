"""Why a database does not answer is reported in the driver's words, once; a password never is."""

import asyncio
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from gateway.core.errors import DatabaseBusy, DatabaseUnavailable
from gateway.store.database import Database
from gateway.store.driver_errors import first_line
from gateway.store.hot_connection import HotConnection, StatementRefused
from gateway.store.migrate import migrate
from gateway.store.schema import check_schema
from tests.harness.books import Books
from tests.harness.ports import free_port
from tests.harness.postgres import PostgresServer, running_server
from tests.store.test_charges import with_ledger

PASSWORD = "s3cret:p/w@x"
WRITTEN = "s3cret%3Ap%2Fw%40x"
ENCODE = "the URL's user and password must be percent-encoded"


@pytest.fixture(scope="module")
def strict_server() -> Iterator[PostgresServer]:
    """A server with passwords, few connections, and a certificate of nobody's."""
    with running_server() as server:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute(f"CREATE USER clerk PASSWORD '{PASSWORD}'".encode())
            connection.execute("ALTER ROLE clerk CONNECTION LIMIT 2")
        (server._data / "pg_hba.conf").write_text(
            "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
        )
        _certify(server)
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET ssl = on")
            connection.execute("SELECT pg_reload_conf()")
        yield server


def _certify(server: PostgresServer) -> None:
    names = server._data / "server.crt", server._data / "server.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-out", str(names[0]), "-keyout", str(names[1])],
        check=True, capture_output=True,
    )  # fmt: skip
    names[1].chmod(0o600)
    if server._as_owner:
        for name in names:
            shutil.chown(name, "postgres", "postgres")


def wrong_password(server: PostgresServer, _: ExitStack) -> str:
    return f"postgresql://clerk:{WRITTEN}-not@127.0.0.1:{server.port}/postgres"


def no_such_user(server: PostgresServer, _: ExitStack) -> str:
    return f"postgresql://nobody:{WRITTEN}@127.0.0.1:{server.port}/postgres"


def no_such_database(server: PostgresServer, _: ExitStack) -> str:
    return f"postgresql://clerk:{WRITTEN}@127.0.0.1:{server.port}/nowhere"


def too_many_connections(server: PostgresServer, stack: ExitStack) -> str:
    url = f"postgresql://clerk:{WRITTEN}@127.0.0.1:{server.port}/postgres"
    for _ in range(2):
        stack.enter_context(psycopg.connect(url))
    return url


def unknown_host(server: PostgresServer, _: ExitStack) -> str:
    return f"postgresql://clerk:{WRITTEN}@nowhere.invalid:{server.port}/postgres"


def nobody_listens(_: PostgresServer, __: ExitStack) -> str:
    return f"postgresql://clerk:{WRITTEN}@127.0.0.1:{free_port()}/postgres"


def bad_certificate(server: PostgresServer, _: ExitStack) -> str:
    url = f"postgresql://clerk:{WRITTEN}@127.0.0.1:{server.port}/postgres"
    return f"{url}?sslmode=verify-full&sslrootcert=/etc/ssl/certs/ca-certificates.crt"


def password_that_is_not_encoded(server: PostgresServer, _: ExitStack) -> str:
    return f"postgresql://clerk:{PASSWORD}@127.0.0.1:{server.port}/postgres"


CAUSES = {
    wrong_password: "password authentication failed",
    no_such_user: "password authentication failed",
    no_such_database: 'database "nowhere" does not exist',
    too_many_connections: "too many connections",
    unknown_host: "nowhere.invalid",
    nobody_listens: "Connection refused",
    bad_certificate: "certificate",
    password_that_is_not_encoded: ENCODE,
}


@pytest.mark.parametrize("hinder", CAUSES, ids=lambda hinder: hinder.__name__)
def test_each_cause_is_reported_in_the_drivers_words(
    strict_server: PostgresServer,
    hinder: Callable[[PostgresServer, ExitStack], str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with ExitStack() as stack:
        url = hinder(strict_server, stack)
        database = Database(url)
        stack.callback(database.close)
        connection = HotConnection(url, database.outage)
        found = []
        for _ in range(2):
            with pytest.raises(DatabaseUnavailable) as caught:
                database.glance("SELECT 1")
            found.append(caught.value)
            with pytest.raises(DatabaseUnavailable) as caught:
                asyncio.run(connection.run("SELECT 1", {}))
            found.append(caught.value)
    for error in found:
        assert type(error) is DatabaseUnavailable
        assert CAUSES[hinder] in error.cause
        assert error.message == "the database does not answer", "all that a client is told"
        assert error.cause
    (line,) = caplog.messages
    assert line == str(found[0])
    for secret in (PASSWORD, WRITTEN, "s3cret", "w@x"):
        assert secret not in caplog.text
        assert not any(secret in str(error) for error in found)


def test_a_user_without_rights_is_waited_for_like_a_server_that_is_away(
    strict_server: PostgresServer,
) -> None:
    """Since PostgreSQL 15 nobody but its owner may make tables in a new database."""
    url = strict_server.create_database()
    name = url.rpartition("/")[2]
    closed = Database(f"postgresql://clerk:{WRITTEN}@127.0.0.1:{strict_server.port}/{name}")
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        with pytest.raises(DatabaseUnavailable, match="permission denied for schema public"):
            migrate(closed)
        owner.execute("GRANT CREATE ON SCHEMA public TO clerk")
    migrate(closed)
    check_schema(closed)
    closed.close()


def test_the_password_may_come_from_a_file_that_changes(
    strict_server: PostgresServer, tmp_path: Path
) -> None:
    """As tokens of a cloud's identity do, which expire within minutes."""
    file = tmp_path / "password"
    host = f"127.0.0.1:{strict_server.port}"
    database = Database(f"postgresql://teller@{host}/postgres?passfile={file}")
    with psycopg.connect(strict_server.url(), autocommit=True) as owner:
        for password in ("first", "second"):
            owner.execute(
                f"DROP ROLE IF EXISTS teller; CREATE ROLE teller LOGIN PASSWORD '{password}'"
            )
            file.write_text(f"*:*:*:*:{password}\n")
            file.chmod(0o600)
            assert database.glance("SELECT 1") == (1,)
            database.close()
        owner.execute("DROP ROLE teller")


def test_a_server_that_is_full_reports_it(
    strict_server: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    with ExitStack() as stack:
        with pytest.raises(psycopg.OperationalError):
            while True:
                stack.enter_context(psycopg.connect(strict_server.url()))
        database = Database(strict_server.url())
        stack.callback(database.close)
        with pytest.raises(DatabaseUnavailable):
            database.glance("SELECT 1")
    (line,) = caplog.messages
    assert "too many clients" in line
    with database.write() as session:
        database.now(session)
    assert caplog.messages[1].startswith("the database answers again")
    assert not database.outage.is_on
    database.close()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:pass@host/db", "no … of host key word or key%20word"),
        ("postgresql://u@host/db?sslpassword=key%20word", "no pass of host … or …"),
        ("postgresql://u:a@pass@host/db", ENCODE),
        ("postgresql://u:a/pass@host/db", ENCODE),
        ("postgresql://u:a?pass@host/db", ENCODE),
    ],
)
def test_no_part_of_a_password_is_in_a_first_line(url: str, shown: str) -> None:
    found = RuntimeError("no pass of host key word or key%20word\nand more")
    assert first_line(found, url) == shown


def test_an_outage_is_over_when_something_could_be_written(
    postgres_server: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    database = Database(postgres_server.create_database())
    database.outage.failed(DatabaseUnavailable("the database does not answer", cause="one"))
    database.outage.failed(DatabaseUnavailable("the database does not answer", cause="two"))
    with database.read() as session:
        database.now(session)
    assert database.outage.is_on, "a standby, and a full disk, can be read from"
    with database.write() as session:
        database.outage.failed(DatabaseUnavailable("the database does not answer"))
    assert database.outage.is_on, "that was asked before the last failure"
    with database.write() as session:
        database.now(session)
    assert not database.outage.is_on
    assert len(caplog.messages) == 2
    database.close()


def test_every_session_has_its_limits(postgres_server: PostgresServer) -> None:
    url = postgres_server.create_database()
    wanted = {
        "lock_timeout": "1s",
        "statement_timeout": "5s",
        "idle_in_transaction_session_timeout": "5s",
        "max_parallel_workers_per_gather": "0",
        "jit": "off",
    }
    database, connection = Database(url), HotConnection(url)
    for name, value in wanted.items():
        assert database.glance(f"SHOW {name}") == (value,)

    async def ask() -> None:
        for name, value in wanted.items():
            assert list(await connection.run(f"SHOW {name}", {})) == [(value,)]
        await connection.close()

    asyncio.run(ask())
    database.close()


def test_a_silent_server_is_waited_for_no_longer_than_that(
    postgres_server: PostgresServer,
) -> None:
    """It is the client that gives up, however long the server would have waited."""
    database = Database(postgres_server.create_database(), answer_seconds=0.3)
    with pytest.raises(DatabaseUnavailable, match=r"no answer within 0\.3 s"):
        database.glance("SELECT pg_sleep(4)")
    assert database.glance("SELECT 1") == (1,)
    database.close()


def test_a_transaction_that_is_idle_for_too_long_is_ended_and_no_bug(
    postgres_server: PostgresServer,
) -> None:
    database = Database(postgres_server.create_database())
    with pytest.raises(DatabaseUnavailable, match="idle-in-transaction"), database.read() as idle:
        pid = idle.execute(text("SELECT pg_backend_pid()")).scalar_one()
        idle.execute(text("SET LOCAL idle_in_transaction_session_timeout = '10ms'"))
        while database.glance(f"SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}")[0]:
            pass
        database.now(idle)
    assert not database.outage.is_on, "the next connection is good"
    assert database.glance("SELECT 1") == (1,)
    database.close()


@pytest.fixture
def pooler(
    request: pytest.FixtureRequest, postgres_server: PostgresServer, tmp_path: Path
) -> Iterator[int]:
    """PgBouncer in session or the given mode, otherwise as it is shipped; its port."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        pytest.skip("PgBouncer is not installed (apt-get install pgbouncer)")
    port, mode = free_port(), getattr(request, "param", "session")
    settings = postgres_server._folder / "pgbouncer.ini"
    users = settings.with_suffix(".users")
    users.write_text('"postgres" ""\n')
    settings.write_text(
        f"[databases]\n* = host=127.0.0.1 port={postgres_server.port}\n"
        f"[pgbouncer]\nlisten_addr=127.0.0.1\nlisten_port={port}\nunix_socket_dir=\n"
        f"auth_type=trust\nauth_file={users}\npool_mode={mode}\n"
    )
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [*postgres_server._as_owner, program, str(settings)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    for _ in range(200):
        try:
            psycopg.connect(f"postgresql://postgres@127.0.0.1:{port}/postgres").close()
            break
        except psycopg.OperationalError:
            assert process.poll() is None, (tmp_path / "log").read_text()
    yield port
    process.terminate()
    process.wait(10)


def test_pgbouncer_in_session_mode_serves_all_connections(
    postgres_server: PostgresServer, pooler: int
) -> None:
    url = postgres_server.create_database()
    through = url.replace(f":{postgres_server.port}/", f":{pooler}/")
    database = Database(through)
    migrate(database)
    books = Books(database)
    books.grant(credits=10)
    key, _ = books.issue()

    async def act(ledger) -> None:  # type: ignore[no-untyped-def]
        for _ in range(3):
            assert (await ledger.charge(books.charge(key))).outcome == "charged"

    for _ in range(2):  # the second time on sessions that the pooler has cleaned
        with_ledger(database, act)
        assert database.glance("SHOW lock_timeout") == ("1s",)
        database.close()
    assert books.balance() == 4
    database.close()


@pytest.mark.parametrize("pooler", ["transaction"], indirect=True)
def test_behind_a_pooler_in_transaction_mode_nobody_runs_the_statement_of_another(
    pooler: int,
) -> None:
    url = f"postgresql://postgres@127.0.0.1:{pooler}/postgres"

    async def act() -> None:
        first, second = HotConnection(url), HotConnection(url)
        assert await first.run("SELECT %(a)s::int + 1", {"a": 5}) == [(6,)]
        with psycopg.connect(url) as occupant:
            occupant.execute("SELECT 1")  # on the session that the first one was served by
            assert await second.run("SELECT %(a)s::int * 9", {"a": 5}) == [(45,)]
            with pytest.raises(StatementRefused) as caught:
                await first.run("SELECT %(a)s::int + 1", {"a": 5})
        assert "session mode" in caught.value.cause
        assert await first.run("SELECT %(a)s::int + 1", {"a": 5}) == [(6,)], "prepared again"
        await first.close()
        await second.close()

    asyncio.run(act())


def test_a_pool_without_a_free_connection_is_busy_and_no_outage(
    postgres_server: PostgresServer,
) -> None:
    database = Database(postgres_server.create_database(), connections=1)
    with database.engine.connect(), pytest.raises(DatabaseBusy):
        database.glance("SELECT 1")
    assert not database.outage.is_on
    database.close()
