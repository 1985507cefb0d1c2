"""Fixtures that several folders use. Every database a test made is audited when the suite ends."""

import asyncio
import gc
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from gateway.store.audit import audit
from gateway.store.database import Database
from tests.harness.books import Books
from tests.harness.gateway import DATABASES, Simulated
from tests.harness.migrated import write_migrated
from tests.harness.postgres import PostgresServer, running_server

_NUMBERS = itertools.count()

# What the tests share a machine with makes anything slow; how slow, is measured elsewhere.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# Thousands of modules and tests are loaded, and none of them is let go.
gc.disable()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The server that most tests share; a test that kills one makes its own."""
    with running_server() as server:
        yield server


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """A PostgreSQL that a test may kill."""
    with running_server() as server:
        yield server
        DATABASES.difference_update({url for url in DATABASES if f":{server.port}/" in url})


@pytest.fixture(params=["sqlite", "postgres"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a new database without tables, once of each kind."""
    if request.param == "sqlite":
        return _sqlite_url(tmp_path)
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return server.create_database()


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a new database with its tables, once of each kind."""
    if request.param == "sqlite":
        url = _sqlite_url(tmp_path)
        write_migrated(Path(url.removeprefix("sqlite:///")))
        return url
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return server.create_migrated()


def _sqlite_url(folder: Path) -> str:
    return f"sqlite:///{folder / f'faregate-{next(_NUMBERS)}.db'}"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database with its tables; its books must be right in the end."""
    database = Database(database_url)
    yield database
    findings = audit(database)
    database.close()
    assert findings == []


@pytest.fixture
def books(database: Database) -> Books:
    return Books(database)


@pytest.fixture(autouse=True)
def _no_loop_left() -> Iterator[None]:
    """Tests run their own loops; none may leave one set. A browser that several share has one."""
    before = asyncio._get_running_loop()
    yield
    assert asyncio._get_running_loop() is before


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A folder's tests come together, so that what they share ends with them; their order stays.

    What looks at everything that the others left behind comes last.
    """
    items.sort(key=lambda item: (item.get_closest_marker("last") is not None, item.path.parent))


def pytest_collection_finish() -> None:
    """The loaded modules stay, as in a gateway: the collector looks at the tests' own objects."""
    gc.freeze()
    gc.set_threshold(10_000)
    gc.enable()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A skipped test fails the run where skips are not allowed."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("FAREGATE_TEST_NO_SKIPS") and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulated]:
    """One simulated upstream for the suite; tests that count reset it first."""
    process = Simulated(tmp_path_factory.mktemp("simulated")).start()
    yield process
    process.kill()


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def module_database_url(request: pytest.FixtureRequest) -> str | None:
    """None for SQLite in the gateway's own folder, else a migrated PostgreSQL database."""
    if request.param == "sqlite":
        return None
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return server.create_migrated()
