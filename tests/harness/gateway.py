"""Gateway processes and simulated upstreams for the tests, over HTTP and on loopback only."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from gateway.core.spec import API_VERSION
from gateway.process.standalone.secret_files import SecretFiles
from gateway.store.database import Database
from tests.harness.books import check_books
from tests.harness.migrated import write_migrated
from tests.harness.plain import NO_TLS, get, post
from tests.harness.ports import free_port
from tests.harness.postgres import PostgresServer
from tests.harness.proxy import Proxy

ROOT = Path(__file__).parents[2]
DEADLINE_SECONDS = 60.0
NAMESPACE = "team"
#: every plaintext that a test was given, for the canary at the suite's end
PLAINTEXTS: set[str] = set()
#: what the processes of the suite printed and exposed, for the canary too
LOGS: list[Path] = []
#: every database that the suite made, for the audit at its end
DATABASES: set[str] = set()


def _refuse_canary(response: httpx.Response) -> None:
    """No answer may hold a key, in its headers or, where it is whole, in its body."""
    shown = str(response.headers)
    if response.status_code >= 400:
        shown += response.read().decode(errors="replace")
    assert not any(plaintext in shown for plaintext in PLAINTEXTS)


def wait_until(condition: Callable[[], bool], what: str, seconds: float = DEADLINE_SECONDS) -> None:
    """Poll a condition; fail with a sentence when it does not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"still waiting for {what} after {seconds} s"
        time.sleep(0.05)


def api_key(name: str, account: str = "alice", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": "ApiKey",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"account": account, "secretName": f"{name}-secret", **spec},
    }


def credit_grant(name: str, account: str = "alice", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": "CreditGrant",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"account": account, "credits": 1000, **spec},
    }


def fleet(upstream_url: str, **spec: Any) -> dict[str, Any]:
    """A fleet whose `kimi-k2.5` is the strict family and `open` the lenient one.

    Its upstream is asked no matter what happened before, since most tests let it fail.
    """
    upstream = {"name": "main", "url": upstream_url, "dialect": "chat", "circuitFailures": 0}
    return {
        "apiVersion": API_VERSION,
        "kind": "GatewayFleet",
        "metadata": {"name": "fleet", "namespace": NAMESPACE},
        "spec": {
            "pricing": {"chatCreditsPerMessage": 2, "chatCreditsReasoningSurcharge": 3},
            "upstreams": [upstream],
            "models": [
                {
                    "id": "kimi-k2.5",
                    "aliases": ["claude-*"],
                    "upstream": "main",
                    "upstreamModel": "kimi-k2.6",
                },
                {"id": "open", "upstream": "main", "upstreamModel": "open-weights"},
                {"id": "dead", "upstream": "main", "upstreamModel": "kimi-gone"},
                {"id": "k3", "upstream": "main", "upstreamModel": "kimi-k3"},
                {"id": "coder", "upstream": "main", "upstreamModel": "kimi-k2.7-code"},
                {"id": "thinker", "upstream": "main", "upstreamModel": "kimi-k2-thinking"},
            ],
            **spec,
        },
    }


class Process:
    """A child process with a log, ended for certain."""

    def __init__(self, log: Path) -> None:
        self.log = log
        LOGS.append(log)
        #: a command that runs it
        self.under: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None

    def spawn(self, arguments: list[str], environment: dict[str, str] | None = None) -> None:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("FAREGATE_", "UPSTREAM"))}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self.under, sys.executable, "-m", "gateway", *arguments],
                cwd=ROOT,
                env={**clean, **(environment or {})},
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self, seconds: float = DEADLINE_SECONDS) -> int:
        assert self._process is not None
        return self._process.wait(seconds)

    def kill(self) -> None:
        """End it without a chance to take its leave."""
        if self.is_running:
            self.send(signal.SIGKILL)
            self.wait()

    def stop(self) -> int:
        """End it as an administrator does; its exit code."""
        if self.is_running:
            self.send(signal.SIGTERM)
        return self.wait()

    def log_text(self) -> str:
        return self.log.read_text(errors="replace")


class Simulated(Process):
    """The simulated upstream as a process of its own, so that it survives its gateways."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "simulated.log")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> "Simulated":
        self.spawn(["simulate", "--port", str(self.port)])
        wait_until(self._answers, "the simulated upstream")
        return self

    def _answers(self) -> bool:
        try:
            return self.stats() is not None
        except httpx.TransportError:
            assert self.is_running, self.log_text()
            return False

    def stats(self) -> dict[str, Any]:
        found: dict[str, Any] = get(f"http://127.0.0.1:{self.port}/stats").json()
        return found

    def requests(self) -> list[dict[str, Any]]:
        """The last requests it received, oldest first."""
        found: list[dict[str, Any]] = get(f"http://127.0.0.1:{self.port}/stats/requests").json()
        return found

    def reset(self) -> None:
        post(f"http://127.0.0.1:{self.port}/stats/reset")

    def wait_held(self, requests: int = 1) -> None:
        """Wait until so many requests are where their script has `hold`."""
        wait_until(lambda: self.stats()["held"] == requests, f"{requests} held requests")

    def release(self) -> None:
        """Let every held request go on."""
        post(f"http://127.0.0.1:{self.port}/release")


class GatewayProcess(Process):
    """One gateway on one database; several may share a PostgreSQL."""

    def __init__(
        self,
        folder: Path,
        documents: list[dict[str, Any]],
        *,
        database_url: str | None = None,
        environment: dict[str, str] | None = None,
        name: str = "gateway",
        host: str = "127.0.0.1",
    ) -> None:
        super().__init__(folder / f"{name}.log")
        self._host = host
        self.data = folder / name
        self.config = folder / f"{name}.yaml"
        self.port = free_port()
        self.ops_port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {"FAREGATE_LOG_LEVEL": "INFO", **(environment or {})}
        if database_url is not None:
            self.environment["FAREGATE_DATABASE_URL"] = database_url
            self.environment["FAREGATE_INSTALLATION_SECRET"] = "tests only, " + "x" * 32
        self.http = self._client()
        self.write(documents)

    def _client(self) -> httpx.Client:
        return httpx.Client(
            base_url=self.url,
            timeout=DEADLINE_SECONDS,
            trust_env=False,
            verify=NO_TLS,
            event_hooks={"response": [_refuse_canary]},
        )

    def write(self, documents: list[dict[str, Any]]) -> None:
        self.config.write_text(yaml.safe_dump_all(documents))

    @property
    def database_url(self) -> str:
        return self.environment.get(
            "FAREGATE_DATABASE_URL", f"sqlite:///{self.data / 'faregate.db'}"
        )

    def start(self, *, apply: bool = True) -> "GatewayProcess":
        if self.http.is_closed:
            self.http = self._client()
        file = self.data / "faregate.db"
        if "FAREGATE_DATABASE_URL" not in self.environment and not file.exists():
            write_migrated(file)
        self.spawn(self._arguments(apply), self.environment)
        wait_until(self._is_ready, "the gateway to be ready")
        DATABASES.add(self.database_url)  # from now on it has books
        return self

    def _arguments(self, apply: bool) -> list[str]:
        arguments = ["serve", "--config", str(self.config), "--data", str(self.data)]
        arguments += [
            "--host",
            self._host,
            "--port",
            str(self.port),
            "--ops-port",
            str(self.ops_port),
        ]
        return [*arguments, "--apply"] if apply else arguments

    def _is_ready(self) -> bool:
        assert self.is_running, self.log_text()
        try:
            return self.readiness() == 200
        except httpx.TransportError:
            return False

    def readiness(self) -> int:
        """The status of its probe."""
        return get(f"http://127.0.0.1:{self.ops_port}/readyz").status_code

    def send(self, number: signal.Signals) -> None:
        if number == signal.SIGKILL:
            self.http.close()
        super().send(number)

    def stop(self) -> int:
        self._keep_metrics()
        self.http.close()  # an idle connection must not look like an open request
        return super().stop()

    def _keep_metrics(self) -> None:
        if self.is_running:
            kept = self.log.with_suffix(".metrics")
            kept.write_text(self.metrics())
            LOGS.append(kept)

    def wait(self, seconds: float = DEADLINE_SECONDS) -> int:
        self.http.close()
        return super().wait(seconds)

    def key(self, name: str, namespace: str = NAMESPACE) -> str:
        """The plaintext of a key, from its secret."""
        values = SecretFiles(self.data / "secrets").read(namespace, f"{name}-secret")
        PLAINTEXTS.add(values["OPENAI_API_KEY"])
        return values["OPENAI_API_KEY"]

    def metrics(self) -> str:
        return get(f"http://127.0.0.1:{self.ops_port}/metrics").text

    def account(self, key: str) -> dict[str, Any]:
        response = self.http.get("/api/v1/account", headers={"x-api-key": key})
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.json()
        return found

    def balance(self, key: str) -> int:
        return int(self.account(key)["balance"])


@contextmanager
def running_gateway(
    folder: Path, documents: list[dict[str, Any]], **settings: Any
) -> Iterator[GatewayProcess]:
    """A gateway for as long as the block lasts; it must drain then, and leave right books."""
    process = GatewayProcess(folder, documents, **settings).start()
    yield process
    assert process.stop() == 0, process.log_text()
    check_books(process.database_url)


def start_behind(
    proxy: Proxy,
    server: PostgresServer,
    folder: Path,
    documents: list[dict[str, Any]],
    **settings: Any,
) -> tuple[GatewayProcess, Database]:
    """A gateway that reaches a new database through a proxy, and the database without it."""
    url = server.create_migrated()
    through = url.replace(f":{server.port}/", f":{proxy.port}/")
    process = GatewayProcess(folder, documents, database_url=through, **settings).start()
    DATABASES.discard(through)
    DATABASES.add(url)
    return process, Database(url)


def run_command(*arguments: str, environment: dict[str, str] | None = None) -> tuple[int, str]:
    """Run one command of the gateway to its end; exit code and output."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("FAREGATE_", "UPSTREAM"))}
    done = subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        cwd=ROOT,
        env={**clean, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr
