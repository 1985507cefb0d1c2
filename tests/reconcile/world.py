"""A team, an operator's namespace, one database, and operators as processes."""

import copy
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import httpx
from sqlalchemy import text

from gateway.core.keys import PEPPER, InstallationSecret, hash_key
from gateway.store.audit import audit
from gateway.store.database import Database
from gateway.store.key_rows import KeyState, find_key
from tests.harness.apiserver import ApiServer
from tests.harness.gateway import DATABASES, PLAINTEXTS, ROOT, Process, wait_until
from tests.harness.plain import get
from tests.harness.ports import free_port
from tests.harness.postgres import PostgresServer
from tests.reconcile.objects import Objects, condition, fleet, is_up_to_date
from tests.reconcile.resources import allow

_NUMBERS = itertools.count(1)
FLEET = "gateways"
INSTALLATION = "default"


class Operator(Process):
    """One operator process."""

    def __init__(self, log: Path, environment: dict[str, str]) -> None:
        super().__init__(log)
        self._liveness, self._readiness = free_port(), free_port()
        self._environment = {
            **environment,
            "FAREGATE_LIVENESS_PORT": str(self._liveness),
            "FAREGATE_READINESS_PORT": str(self._readiness),
        }

    def start(self, *command: str) -> "Operator":
        """Start it, or a module that behaves like it, and wait until it is ready."""
        clean = {key: value for key, value in os.environ.items() if not key.startswith("FAREGATE_")}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *(command or ("gateway_operator", "run"))],
                cwd=ROOT,
                env={**clean, **self._environment, "PYTHONPATH": f"{ROOT}:{ROOT / 'operator'}"},
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        wait_until(self._is_ready, "the operator to be ready", 60)
        return self

    def _is_ready(self) -> bool:
        assert self.is_running, self.log_text()[-4000:]
        return self.probe("readyz") == httpx.codes.OK

    @property
    def port(self) -> int:
        """Of readiness and metrics."""
        return self._readiness

    def probe(self, path: str) -> int | None:
        """The answer of a probe's path; None where nothing answers."""
        port = self._liveness if path == "healthz" else self._readiness
        try:
            return get(f"http://127.0.0.1:{port}/{path}").status_code
        except httpx.TransportError:
            return None


class Databases(Protocol):
    """The place from which a world has its database."""

    def create_migrated(self) -> str: ...


class World:
    """Everything that one story needs, apart from what other stories have."""

    def __init__(
        self, server: ApiServer, postgres: Databases, folder: Path, *, whole: bool = False
    ) -> None:
        number = next(_NUMBERS)
        self.server = server
        self.folder = folder
        self.url = postgres.create_migrated()
        self._database: Database | None = None
        self.team = Objects(server, f"team-{number}")
        self.system = Objects(server, f"system-{number}")
        #: its operators serve the whole cluster
        self._whole = whole
        self.operators: list[Operator] = []
        self.furnish()

    def with_team(self) -> "World":
        """The same world, with another team in it."""
        other = copy.copy(self)
        other._database = None
        other.team = Objects(self.server, f"team-{next(_NUMBERS)}")
        other.team.create_namespace()
        return other

    def furnish(self) -> None:
        """The objects before an operator comes: namespaces, the database's Secret, a fleet."""
        for place in (self.team, self.system):
            place.create_namespace()
        self.change_url(self.url)
        self.system.apply(fleet(FLEET))

    def change_url(self, url: str) -> None:
        """Put another URL into the database's Secret; the same database by another password."""
        self.system.apply(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "database"},
                "stringData": {"url": url},
            }
        )

    @property
    def environment(self) -> dict[str, str]:
        return {
            "KUBECONFIG": str(allow(self.server, "operator")),
            "FAREGATE_DATABASE_URL": self.url,
            "FAREGATE_DATABASE_SECRET_NAME": "database",
            "FAREGATE_NAMESPACE": self.system.namespace,
            "FAREGATE_WATCH_NAMESPACES": "" if self._whole else self.team.namespace,
            "FAREGATE_IMAGE": "registry.example/faregate:test",
            "FAREGATE_SWEEP_SECONDS": "5",
            "FAREGATE_LOG_LEVEL": "INFO",
        }

    def operator(self, *command: str, kubeconfig: Path | None = None, **settings: str) -> Operator:
        """Start one; `settings` are variables without their prefix."""
        given = {f"FAREGATE_{name.upper()}": value for name, value in settings.items()}
        if kubeconfig is not None:
            given["KUBECONFIG"] = str(kubeconfig)
        log = self.folder / f"operator-{len(self.operators)}.log"
        operator = Operator(log, {**self.environment, **given})
        self.operators.append(operator)
        operator.start(*command)
        DATABASES.add(self.url)  # from now on it has books
        return operator

    def release_finalizers(self, **variables: str) -> None:
        """The job before the chart is uninstalled; it must succeed, without a database."""
        keys = ("KUBECONFIG", "FAREGATE_NAMESPACE", "FAREGATE_WATCH_NAMESPACES")
        clean = {key: value for key, value in os.environ.items() if not key.startswith("FAREGATE_")}
        done = subprocess.run(
            [sys.executable, "-m", "gateway_operator", "release-finalizers"],
            cwd=ROOT,
            env={
                **clean,
                **{key: self.environment[key] for key in keys},
                **variables,
                "PYTHONPATH": f"{ROOT}:{ROOT / 'operator'}",
            },
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    @property
    def database(self) -> Database:
        """The database as it is reached now; a story may put another one in its place."""
        if self._database is None or self._database.url != self.url:
            self._forget_database()
            self._database = Database(self.url)
        return self._database

    def _forget_database(self) -> None:
        if self._database is not None:
            self._database.close()

    def row(self, name: str) -> KeyState | None:
        return find_key(self.database, INSTALLATION, self.team.namespace, name)

    def scalar(self, statement: str, **values: Any) -> Any:
        with self.database.read() as session:
            return session.execute(text(statement), values).scalar_one()

    def execute(self, statement: str) -> None:
        with self.database.write() as session:
            session.execute(text(statement))

    def balance(self, account: str = "alice") -> int:
        asked = "SELECT balance FROM account WHERE namespace = :namespace AND name = :name"
        return int(self.scalar(asked, namespace=self.team.namespace, name=account))

    def plaintext(self, secret: str) -> str:
        """The key in a Secret."""
        found = self.team.values(secret)["OPENAI_API_KEY"]
        PLAINTEXTS.add(found)
        return found

    def hash_of(self, plaintext: str) -> bytes:
        """The database's row of a key."""
        (secret,) = self.system.values("faregate-installation").values()
        return hash_key(InstallationSecret(secret).pepper(PEPPER), plaintext.encode())

    def is_usable(self, name: str, plaintext: str) -> bool:
        """True if a gateway would charge by this key now."""
        row = self.row(name)
        if row is None or row.revoked or row.suspended or row.expired:
            return False
        return self.hash_of(plaintext) in row.live_hashes

    def wait_up_to_date(self, seconds: float = 60.0) -> None:
        """Until every key and grant is Ready, or Stalled with a reason."""

        def unsettled() -> list[str]:
            found = [*self.team.list("ApiKey"), *self.team.list("CreditGrant")]
            return [one["metadata"]["name"] for one in found if not is_up_to_date(one)]

        self.team.eventually(lambda: unsettled() == [], "every object to be settled", seconds)

    def check(self) -> None:
        """The books are right, every object is settled, and every issued key works."""
        self.wait_up_to_date()
        assert audit(self.database) == []
        for found in self.team.list("ApiKey"):
            name = found["metadata"]["name"]
            if condition(found, "Ready").get("reason") != "Issued":
                continue
            row = self.row(name)
            assert row is not None
            assert not row.revoked
            if "secretName" in found["spec"]:
                plaintext = self.plaintext(found["spec"]["secretName"])
                assert self.hash_of(plaintext) == row.newest_hash, f"{name} gives out another key"
                assert found["status"]["prefix"] == plaintext[:10]
        known = {one["metadata"]["name"] for one in self.team.list("ApiKey")}
        asked = (
            "SELECT coalesce(string_agg(name, ' '), '') FROM api_key"
            " WHERE namespace = :namespace AND revoked_at IS NULL AND NOT suspended"
        )
        usable = set(self.scalar(asked, namespace=self.team.namespace).split())
        assert usable <= known, "no key of an object that is gone can be used"

    def close(self) -> None:
        for operator in self.operators:
            operator.kill()
        self._forget_database()
        for place in (self.team, self.system):
            place.close()

    def leave(self) -> None:
        """The world that `with_team` made; the operators run on."""
        self._forget_database()
        self.team.close()


MakeWorld = Callable[[ApiServer, PostgresServer], World]


def later(seconds: float) -> str:
    """A moment from now, as the API writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
