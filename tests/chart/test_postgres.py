"""The script that starts the trial's PostgreSQL, with the real programs and as their user."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.chart.helm import CHART
from tests.harness.ports import free_port
from tests.harness.postgres import find_programs

SCRIPT = CHART / "files/postgres.sh"
DEADLINE_SECONDS = 60
#: one of your own may hold any character
PASSWORD = 'it\'s 100% s3cret, \\ and "all"'


class Trial:
    """PostgreSQL as the pod starts it, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data/faregate"
        self.port = free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        shutil.copy(SCRIPT, folder / "start.sh")
        (folder / "password").write_text(PASSWORD)
        self.data.parent.mkdir()
        self._as_owner: list[str] = []
        if os.geteuid() == 0:  # the server refuses to run as root
            self._as_owner = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
            for path in (folder, *folder.rglob("*")):
                shutil.chown(path, "postgres", "postgres")

    def start(self) -> None:
        environment = {
            "PATH": "/usr/bin:/bin",
            "PGDATA": str(self.data),
            "PGPORT": str(self.port),
            "PASSWORD_FILE": str(self._folder / "password"),
            "MAX_CONNECTIONS": "37",
        }
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._as_owner, "sh", str(self._folder / "start.sh")],
                env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=self._folder,
            )  # fmt: skip
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            try:
                self.connect().close()
                return
            except psycopg.OperationalError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise
                time.sleep(0.05)

    def connect(
        self, user: str = "faregate", password: str = PASSWORD, database: str = "faregate"
    ) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user=user,
            password=password,
            dbname=database,
            connect_timeout=5,
        )

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(DEADLINE_SECONDS)

    def log_text(self) -> str:
        return (self._folder / "log").read_text(errors="replace")


@pytest.fixture
def trial() -> Iterator[Trial]:
    if find_programs() is None:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="faregate-trial-"))
    trial = Trial(folder)
    yield trial
    trial.stop()
    shutil.rmtree(folder)


def test_it_makes_a_database_with_an_owner_who_is_no_superuser_and_keeps_it(trial: Trial) -> None:
    half_made = trial.data.with_name("faregate.new")
    half_made.mkdir()  # as a start that was cut off leaves it
    trial.start()
    with trial.connect() as connection:
        row = connection.execute(
            "SELECT usesuper, current_setting('max_connections') FROM pg_user"
            " WHERE usename = current_user"
        ).fetchone()
        assert row == (False, "37")
        connection.execute("CREATE TABLE kept (value int)")
    assert not half_made.exists()
    trial.stop()
    trial.start()
    with trial.connect() as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)


def test_nobody_else_gets_in_from_outside(trial: Trial) -> None:
    trial.start()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        trial.connect(password="wrong")
    with pytest.raises(psycopg.OperationalError, match="no pg_hba"):
        trial.connect(user="postgres")
    with pytest.raises(psycopg.OperationalError, match="no pg_hba"):
        trial.connect(database="postgres")
    assert "s3cret" not in trial.log_text()
