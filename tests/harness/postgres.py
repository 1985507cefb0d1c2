"""A throw-away PostgreSQL server: real programs, a folder of its own, loopback only."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from gateway.store.database import Database
from gateway.store.migrate import migrate
from tests.harness.ports import free_port

_PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
_DEADLINE_SECONDS = 30
#: no database lives for long enough to need a vacuum, of which hundreds of them would cause many
_OPTIONS = {
    "max_connections": "200",
    "autovacuum": "off",
}


@contextmanager
def running_server() -> Iterator["PostgresServer"]:
    """A server for as long as the block lasts; without PostgreSQL the test is skipped."""
    programs = find_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    server = PostgresServer(programs)
    server.start()
    yield server
    server.remove()


def find_programs() -> Path | None:
    """The folder with `initdb` and `postgres`, or None where PostgreSQL is not installed."""
    for folder in _PROGRAMS:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    found = shutil.which("initdb")
    return Path(found).parent if found else None


class PostgresServer:
    """One server; `kill` and `start` may be called again and again."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._folder = Path(tempfile.mkdtemp(prefix="faregate-postgres-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0
        self._migrated: str | None = None
        self.port = free_port()
        self._as_owner: list[str] = []
        if os.geteuid() == 0:  # the server refuses to run as root
            self._as_owner = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
            shutil.chown(self._folder, "postgres", "postgres")
        self._run(
            "initdb", "-D", str(self._data), "-A", "trust", "-U", "postgres", "--no-sync",
            "--locale=C.UTF-8", "-E", "UTF8",
        )  # fmt: skip

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server was started"
        return self._process.pid

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        options = [part for name, value in _OPTIONS.items() for part in ("-c", f"{name}={value}")]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *self._as_owner, str(self._programs / "postgres"), "-D", str(self._data),
                    "-p", str(self.port), "-k", str(self._folder), "-h", "127.0.0.1", *options,
                ],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        deadline = time.monotonic() + _DEADLINE_SECONDS
        while True:
            try:
                psycopg.connect(self.url(), connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise
                time.sleep(0.05)

    def kill(self) -> None:
        """End it as a power cut would: no shutdown, no checkpoint."""
        self._signal(signal.SIGQUIT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "the server was started"
        self._process.send_signal(number)
        self._process.wait(_DEADLINE_SECONDS)

    def remove(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def create_database(self, template: str = "template1") -> str:
        """A new database, empty unless it copies another; its URL."""
        self._databases += 1
        name = f"test_{self._databases}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'.encode())
        return self.url(name)

    def create_migrated(self) -> str:
        """A new database with its tables, a copy of one that is migrated once; its URL."""
        if self._migrated is None:
            database = Database(self.create_database())
            migrate(database)
            database.close()
            self._migrated = database.url.rpartition("/")[2]
        return self.create_database(self._migrated)

    def log_text(self) -> str:
        return (self._folder / "log").read_text(errors="replace")

    def dump(self, database: str) -> bytes:
        """The whole content of a database as text."""
        return subprocess.run(
            [str(self._programs / "pg_dump"), self.url(database)],
            check=True,
            capture_output=True,
        ).stdout

    def restore(self, url: str, dump: bytes) -> None:
        """Put a dump into an empty database."""
        subprocess.run(
            [str(self._programs / "psql"), "-q", "-v", "ON_ERROR_STOP=1", url],
            input=dump,
            check=True,
            capture_output=True,
        )

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [*self._as_owner, str(self._programs / program), *arguments],
            check=True,
            capture_output=True,
            cwd=self._folder,
        )
