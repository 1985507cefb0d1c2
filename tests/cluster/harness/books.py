"""The database of the stories: stopping it, and what an administrator does with backups."""

from tests.cluster.harness.kube import Kube, wait_until
from tests.cluster.harness.objects import DATABASE

_POD = "postgres-0"


class Books:
    """PostgreSQL in its pod."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube

    def stop(self) -> None:
        """Take the pod away; returns when it is gone."""
        self._scale(0)
        wait_until(lambda: not self._kube.all("pod", DATABASE), "the database to be gone", 90)

    def start(self) -> None:
        """Have it back, on the same data; returns when it answers."""
        self._scale(1)
        wait_until(lambda: self._kube.pods(DATABASE, "app=postgres"), "the database", 120)

    def make(self, database: str) -> None:
        """Another database, empty."""
        self._run(f"dropdb --if-exists --force -h /tmp -U faregate {database}")
        self._run(f"createdb -h /tmp -U faregate {database}")

    def dump(self) -> str:
        """A backup, as SQL."""
        return self._run("pg_dump -h /tmp -U faregate faregate")

    def restore(self, dump: str) -> None:
        """The database as it was then; all that are connected are thrown out."""
        self._run("dropdb --force -h /tmp -U faregate faregate")
        self._run("createdb -h /tmp -U faregate faregate")
        self._run("psql -q -v ON_ERROR_STOP=1 -h /tmp -U faregate faregate", dump)

    def value(self, statement: str) -> str:
        """The one value that a statement selects, as text; empty for null."""
        return self._run("psql -q -A -t -v ON_ERROR_STOP=1 -h /tmp -U faregate faregate", statement)

    def _scale(self, replicas: int) -> None:
        self._kube("scale", "statefulset/postgres", "-n", DATABASE, f"--replicas={replicas}")

    def _run(self, line: str, given: str | None = None) -> str:
        enter = ["exec", "-i", _POD, "-n", DATABASE, "--", "sh", "-c", line]
        return self._kube(*enter, given=given or "")
