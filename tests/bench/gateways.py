"""The gateway as the benchmark runs it: configured, started, stopped and audited.

It knows the gateway by its command line, its files and its HTTP answers only.
"""

import http.client
import os
import secrets
import subprocess
import sys
from pathlib import Path

from tests.bench.load import CHAT, PUBLIC_MODEL, request_body
from tests.bench.processes import Program
from tests.bench.programs import BenchError
from tests.harness.ports import free_port

ROOT = Path(__file__).parents[2]
PATHS = {
    "chat": "/api/openai/v1/chat/completions",
    "responses": "/api/openai/v1/responses",
    "messages": "/api/anthropic/v1/messages",
}
_SECRETS = Path("secrets", "bench")
_COMMAND_TIMEOUT_SECONDS = 120


class Gateway:
    """One gateway process, with one key and one account, on a database of its own.

    Several on one database have the same `installation_secret`, and `more` documents for all.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        *,
        upstream_port: int,
        database_url: str | None,
        installation_secret: str = "",
        more: str = "",
    ) -> None:
        self.name = name
        self.port = free_port()
        self._ops_port = free_port()
        self._data = folder / "data"
        self._log = folder / "gateway.log"
        self._config = folder / "config.yaml"
        self._on_postgresql = database_url is not None
        # A setting of the person who runs the benchmark must not change what is measured.
        self._environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("FAREGATE_", "UPSTREAM_"))
        }
        if database_url is not None:
            self._environment["FAREGATE_DATABASE_URL"] = database_url
            secret = installation_secret or secrets.token_urlsafe(48)
            self._environment["FAREGATE_INSTALLATION_SECRET"] = secret
        self._data.mkdir(parents=True)
        template = Path(__file__).with_name("config.yaml").read_text()
        self._config.write_text(template.replace("UPSTREAM_PORT", str(upstream_port)) + more)

    def prepare(self) -> str:
        """Make the schema, the key and the grant in a first start, and return the key."""
        if self._on_postgresql:
            self._run("migrate")
        program = self.start(first=True)
        try:
            self.wait_until_ready(program)
        finally:
            program.stop()
        return self.key()

    def key(self, name: str = "bench") -> str:
        """A key that the first start made."""
        for line in (self._data / _SECRETS / f"{name}-key.env").read_text().splitlines():
            variable, _, value = line.partition("=")
            if variable == "OPENAI_API_KEY":
                return value.strip().strip("'\"")
        raise BenchError(f"{self.name} wrote no OPENAI_API_KEY to its Secret's file")

    def start(self, *, first: bool = False) -> Program:
        """Start to serve; on PostgreSQL only the first start applies the documents."""
        arguments = ["serve", "--config", str(self._config), "--data", str(self._data)]
        arguments += ["--port", str(self.port), "--ops-port", str(self._ops_port)]
        if first and self._on_postgresql:
            arguments.append("--apply")
        return Program(
            self.name,
            [sys.executable, "-m", "gateway", *arguments],
            log=self._log,
            environment=self._environment,
            folder=ROOT,
        )

    def wait_until_ready(self, program: Program) -> float:
        """Seconds from the start of the process to the first 200 on /readyz."""
        return program.wait_for_answer(self._ops_port, "/readyz", 200)

    def credits_remaining(self, key: str) -> int:
        """Send one chat request and return the balance that its answer states after its charge."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        connection.request("POST", PATHS["chat"], request_body(CHAT, PUBLIC_MODEL), headers)
        answer = connection.getresponse()
        text = answer.read(300).decode(errors="replace")
        connection.close()
        remaining = answer.getheader("x-credits-remaining")
        if answer.status != 200 or remaining is None:
            raise BenchError(f"{self.name} answered a chat request with {answer.status}: {text}")
        return int(remaining)

    def audit(self) -> tuple[bool, str]:
        """True if the books are right, and the report of `audit`. The gateway must have ended."""
        ran = self._command("audit")
        return ran.returncode == 0, (ran.stdout + ran.stderr).strip()

    def _run(self, command: str) -> None:
        ran = self._command(command)
        if ran.returncode != 0:
            raise BenchError(f"`python -m gateway {command}` failed:\n{ran.stderr.strip()}")

    def _command(self, command: str) -> subprocess.CompletedProcess[str]:
        data = [] if self._on_postgresql else ["--data", str(self._data)]
        return subprocess.run(
            [sys.executable, "-m", "gateway", command, *data],
            cwd=ROOT,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=_COMMAND_TIMEOUT_SECONDS,
            check=False,
        )
