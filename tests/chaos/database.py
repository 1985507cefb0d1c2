"""A PostgreSQL with a synchronous standby, and everything that befalls databases.

A commit that was confirmed is on both, so a failover loses none. Settings that change while a
server runs stand in a file that the servers include.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psycopg

from tests.harness.ports import free_port

_DEADLINE_SECONDS = 60.0
_INCLUDED = "chaos.conf"
#: processes are killed here, never the machine, so nothing needs to reach a disk
_OPTIONS = {
    "fsync": "off",
    "max_connections": "200",
    "wal_retrieve_retry_interval": "100ms",
    "wal_keep_size": "128MB",
    "listen_addresses": "127.0.0.1",
}


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"still waiting for {what}"
        time.sleep(0.05)


class Server:
    """One PostgreSQL of the pair. Its calls wait; run them in a thread."""

    def __init__(self, programs: Path, folder: Path, number: int) -> None:
        self.environment: dict[str, str] = {}
        self._programs = programs
        self._folder = folder
        self.data = folder / f"server-{number}"
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._as_owner: list[str] = []
        if os.geteuid() == 0:  # the server refuses to run as root
            self._as_owner = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]

    def initialize(self) -> None:
        self._run(
            "initdb", "-D", str(self.data), "-A", "trust", "-U", "postgres", "--no-sync",
            "--locale=C.UTF-8", "-E", "UTF8",
        )  # fmt: skip
        with (self.data / "postgresql.conf").open("a") as settings:
            settings.write(f"include_if_exists '{_INCLUDED}'\n")

    def copy(self, primary: "Server") -> None:
        """Become a standby of another."""
        self._run(
            "pg_basebackup", "-D", str(self.data), "-h", "127.0.0.1", "-p", str(primary.port),
            "-U", "postgres", "-c", "fast", "-X", "stream", "-R", "--no-sync",
        )  # fmt: skip
        self.set_synchronous(False)

    def start(self) -> None:
        options = [part for name, value in _OPTIONS.items() for part in ("-c", f"{name}={value}")]
        with (self._folder / f"{self.data.name}.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    # By `env`: what is preloaded must not begin as another user.
                    *self._as_owner, "env", *(f"{k}={v}" for k, v in self.environment.items()),
                    str(self._programs / "postgres"), "-D", str(self.data),
                    "-p", str(self.port), "-k", str(self._folder), *options,
                ],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        wait_for(self._answers, f"PostgreSQL on {self.data.name}")

    def _answers(self) -> bool:
        with suppress(psycopg.OperationalError):
            psycopg.connect(self.url(), connect_timeout=2).close()
            return True
        assert self._process is not None
        assert self._process.poll() is None, f"PostgreSQL on {self.data.name} has ended"
        return False

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def ask(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        with psycopg.connect(self.url(database), autocommit=True, connect_timeout=5) as connection:
            cursor = connection.execute(statement.encode())
            return list(cursor.fetchall()) if cursor.description else []

    def set_synchronous(self, synchronous: bool) -> None:
        """True if a commit waits for the standby."""
        names = "*" if synchronous else ""
        (self.data / _INCLUDED).write_text(f"synchronous_standby_names = '{names}'\n")
        if self._process is not None:
            self._process.send_signal(signal.SIGHUP)

    def processes(self) -> list[int]:
        """Of this server, the first one first."""
        assert self._process is not None
        found = [self._process.pid]
        with suppress(OSError):
            children = Path(f"/proc/{found[0]}/task/{found[0]}/children").read_text()
            found += [int(child) for child in children.split()]
        return found

    def freeze(self, frozen: bool) -> None:
        for process in self.processes():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGSTOP if frozen else signal.SIGCONT)

    def kill_one(self, which: int) -> None:
        """Kill one process that serves a connection; the server ends all of them and recovers."""
        serving = self.ask(
            "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'"
            " AND pid <> pg_backend_pid() ORDER BY pid"
        )
        if serving:
            with suppress(ProcessLookupError):
                os.kill(int(str(serving[which % len(serving)][0])), signal.SIGKILL)
        wait_for(self._answers, "PostgreSQL to recover")

    def stop(self) -> None:
        """End it as an administrator does who will not wait for its clients."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        self._process.wait(_DEADLINE_SECONDS)

    def kill(self) -> None:
        """End all of its processes in one blow, also frozen ones."""
        assert self._process is not None
        self.freeze(True)  # so that none is made meanwhile
        for process in self.processes():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self._process.wait(_DEADLINE_SECONDS)

    def remove(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()
        shutil.rmtree(self.data, ignore_errors=True)

    def dump(self, database: str) -> bytes:
        return self._run("pg_dump", self.url(database))

    def restore(self, database: str, dump: bytes) -> None:
        """Put a dump in the place of a database, which nobody may use meanwhile."""
        self.ask(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')
        self.ask(f'CREATE DATABASE "{database}"')
        self._run("psql", "-q", "-1", "-v", "ON_ERROR_STOP=1", self.url(database), given=dump)

    def _run(self, program: str, *arguments: str, given: bytes | None = None) -> bytes:
        return subprocess.run(
            [*self._as_owner, str(self._programs / program), *arguments],
            check=True, capture_output=True, cwd=self._folder, input=given,
        ).stdout  # fmt: skip


class Pair:
    """A primary and its synchronous standby."""

    DATABASE = "chaos"

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs = programs
        self._folder = folder
        self._count = 0
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        self.primary = self._server()
        self.standby = self._server()

    def _server(self) -> Server:
        self._count += 1
        return Server(self._programs, self._folder, self._count)

    def start(self) -> None:
        self.primary.initialize()
        self.primary.start()
        self.primary.ask(f'CREATE DATABASE "{self.DATABASE}"')
        self._attach()

    def _attach(self) -> None:
        self.standby.copy(self.primary)
        self.standby.start()
        wait_for(self._streams, "the standby to follow")
        self.primary.set_synchronous(True)
        wait_for(lambda: self._state("sync_state") == "sync", "commits to wait for the standby")

    def _streams(self) -> bool:
        return self._state("state") == "streaming"

    def _state(self, column: str) -> object:
        found = self.primary.ask(f"SELECT {column} FROM pg_stat_replication")
        return found[0][0] if found else None

    def fail_over(self) -> None:
        """The primary is lost in one blow, the standby takes its place; it has none then."""
        lost, self.primary = self.primary, self.standby
        lost.kill()
        self.primary.ask("SELECT pg_promote()")
        wait_for(
            lambda: self.primary.ask("SELECT pg_is_in_recovery()") == [(False,)],
            "the standby to be promoted",
        )
        lost.remove()

    def renew_standby(self) -> None:
        self.standby = self._server()
        self._attach()

    def remove(self) -> None:
        for server in (self.primary, self.standby):
            server.remove()
