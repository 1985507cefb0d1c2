"""A PostgreSQL cluster of the benchmark's own, in a temporary folder, gone afterwards.

It runs with the server's defaults (fsync on, so a commit is durable); it must never touch another
cluster of the machine.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.processes import Program, started
from tests.bench.programs import BenchError
from tests.harness.ports import free_port

_SUPERUSER = "postgres"
_START_TIMEOUT_SECONDS = 30


class Database:
    """A running cluster: its server's process tree and the URL of its database."""

    def __init__(self, server: Program, url: str) -> None:
        self.server = server
        self.url = url


def find_postgresql() -> Path | None:
    """The folder of the newest PostgreSQL server's programs, or None."""
    packaged = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"),
        key=lambda folder: float(folder.parent.name),
        reverse=True,
    )
    on_path = [Path(folder) for folder in os.get_exec_path()]
    for folder in [*packaged, *on_path]:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    return None


@contextmanager
def temporary_database(programs: Path, log: Path) -> Iterator[Database]:
    """Make a cluster, start it and yield it; stop and remove it at the end.

    PostgreSQL refuses to run as root, so root runs it under the system's own `postgres`.
    """
    run_as = _SUPERUSER if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="faregate-bench-pg-"))
    try:
        if run_as is not None:
            shutil.chown(folder, run_as, run_as)
        _make_cluster(programs, folder, run_as)
        port = free_port()
        command = [str(programs / "postgres"), "-D", str(folder / "data"), "-p", str(port)]
        command += ["-c", "listen_addresses=127.0.0.1", "-k", str(folder)]
        server = Program(
            "PostgreSQL",
            command,
            log=log,
            run_as=run_as,
            folder=folder,
            stop_signal=signal.SIGINT,  # fast shutdown: does not wait for clients to leave
        )
        with started(server):
            _wait_until_up(programs, port, server)
            yield Database(server, f"postgresql://{_SUPERUSER}@127.0.0.1:{port}/postgres")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _make_cluster(programs: Path, folder: Path, run_as: str | None) -> None:
    command = [str(programs / "initdb"), "-D", str(folder / "data"), "-U", _SUPERUSER]
    command += ["-A", "trust", "-E", "UTF8", "--locale=C"]
    made = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        user=run_as,
        group=run_as,
        extra_groups=None if run_as is None else [],
    )
    if made.returncode != 0:
        raise BenchError(f"initdb failed:\n{made.stderr.strip()}")


def _wait_until_up(programs: Path, port: int, server: Program) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_SECONDS
    command = [str(programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
    while subprocess.run(command, check=False).returncode != 0:
        if time.monotonic() > deadline:
            raise BenchError(f"PostgreSQL did not start:\n{server.last_lines()}")
        time.sleep(0.02)
