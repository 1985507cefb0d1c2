"""The snippets of docs/how-to/connect-a-client.md, run against a gateway of `make run`.

A block of code whose info string ends in `test` is run: `bash`, `python` or `js`. The key and the
URLs come from the environment, as the page asks of its readers.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
import yaml

from gateway.process.standalone.secret_files import SecretFiles
from tests.harness.dialects import PATHS, body
from tests.harness.gateway import (
    PLAINTEXTS,
    ROOT,
    GatewayProcess,
    Simulated,
    api_key,
    credit_grant,
    fleet,
    wait_until,
)
from tests.harness.pages import blocks, columns, page, section, tables
from tests.harness.postgres import PostgresServer

CONNECTING = page("how-to/connect-a-client.md")
SHELL, PYTHON, SCRIPT = (blocks(CONNECTING, f"{kind} test") for kind in ("bash", "python", "js"))
#: the first block loads the key, for all that follow
LOAD_KEY = SHELL[0]
NODE_MODULES = os.environ.get("FAREGATE_TEST_NODE_MODULES")

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
needs_node = pytest.mark.skipif(
    not NODE_MODULES or shutil.which("node") is None,
    reason="Node and the SDKs are not installed (make test does it)",
)


class Quickstart:
    """A folder in which somebody has typed `make run`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        text = (ROOT / "examples/quickstart.yaml").read_text(encoding="utf-8")
        # Named so, the process keeps its data where `make run` does.
        self.gateway = GatewayProcess(folder, list(yaml.safe_load_all(text)), name=".faregate")
        self.gateway.start()

    def secret(self, name: str) -> dict[str, str]:
        values = SecretFiles(self.gateway.data / "secrets").read("demo", f"{name}-key")
        PLAINTEXTS.add(values["OPENAI_API_KEY"])
        return values

    def run(self, *command: str, secret: dict[str, str] | None = None) -> str:
        """The output of a command; it must end well, and has no key but the one given."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("OPENAI_", "ANTHROPIC_", "FAREGATE_"))
        }
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={**inherited, "NO_PROXY": "127.0.0.1", **(secret or {})},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Quickstart]:
    quickstart = Quickstart(tmp_path_factory.mktemp("quickstart"))
    yield quickstart
    assert quickstart.gateway.stop() == 0, quickstart.gateway.log_text()


def _first_line(block: str) -> str:
    return next(line for line in block.splitlines() if line.strip())[:60]


@needs_curl
@pytest.mark.parametrize("block", SHELL[1:], ids=_first_line)
def test_the_lines_of_curl(quickstart: Quickstart, block: str) -> None:
    output = quickstart.run("bash", "-euc", f"{LOAD_KEY}\n{block}")
    assert "You said: " in output or '"balance":' in output or '"response.completed"' in output


@needs_curl
def test_the_lines_of_curl_that_serve_prints(quickstart: Quickstart) -> None:
    lines = re.findall(r"^curl .*?'\n", quickstart.gateway.log_text(), re.M | re.S)
    assert len(lines) == 2
    for line in lines:
        assert "You said: Hello" in quickstart.run("bash", "-euc", line)


@pytest.mark.parametrize("block", PYTHON, ids=_first_line)
def test_the_snippets_of_python(quickstart: Quickstart, block: str) -> None:
    command = (sys.executable, "-W", "error", "-c", block)
    assert quickstart.run(*command, secret=quickstart.secret("alice")).strip()


def test_the_snippet_for_used_up_credits_reports_them(quickstart: Quickstart) -> None:
    """Bob of the quickstart has a key and no credits."""
    (block,) = (block for block in PYTHON if "402" in block)
    printed = quickstart.run(sys.executable, "-c", block, secret=quickstart.secret("bob"))
    assert printed.startswith("insufficient_quota")
    assert "Your credit balance is too low" in printed


@needs_node
@pytest.mark.parametrize("block", SCRIPT, ids=_first_line)
def test_the_snippets_of_javascript(quickstart: Quickstart, block: str) -> None:
    modules = quickstart.folder / "node_modules"
    if not modules.exists():
        modules.symlink_to(str(NODE_MODULES), target_is_directory=True)
    script = quickstart.folder / "snippet.mjs"
    script.write_text(block, encoding="utf-8")
    printed = quickstart.run("node", script.name, secret=quickstart.secret("alice"))
    assert printed.count("You said: Hello") == 2


def test_every_file_of_the_data_folder(quickstart: Quickstart) -> None:
    key = quickstart.secret("alice")["OPENAI_API_KEY"]
    asked = body("responses", "Keep this")
    quickstart.gateway.http.post(PATHS["responses"], json=asked, headers={"x-api-key": key})
    data = quickstart.gateway.data
    paths = {str(path.relative_to(data)) for path in data.rglob("*") if path.is_file()}
    paths = {re.sub(r"^secrets/.+\.env$", "secrets/<namespace>/<name>.env", p) for p in paths}
    documented = columns(tables(section("reference/settings.md", "The data folder"))[0], 1)
    assert documented.keys() == {re.sub(r"\.db-(wal|shm)$", ".db", path) for path in paths}


def test_a_replica_holds_as_many_connections_as_the_docs_state(
    postgres_server: PostgresServer, simulated: Simulated, tmp_path: Path
) -> None:
    output = re.search(
        r"at most \*\*(\d+) connections\*\*", page("how-to/run-without-kubernetes.md")
    )
    assert output is not None
    url = postgres_server.create_migrated()
    documents = [fleet(simulated.url), api_key("key"), credit_grant("all", credits=1_000_000)]
    gateway = GatewayProcess(tmp_path, documents, database_url=url).start()
    headers = {"x-api-key": gateway.key("key")}

    asked = [
        ("POST", PATHS["chat"], body("chat", "!error 500")),  # its refund has its own connection
        ("POST", PATHS["responses"], body("responses", "Hi")),
        *[("GET", "/api/v1/account", None)] * 6,
    ]

    def ask(number: int) -> None:
        method, path, content = asked[number % len(asked)]
        gateway.http.request(method, path, headers=headers, json=content)

    def count() -> int:
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(ask, range(32)))
        with psycopg.connect(url) as connection:
            row = connection.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'faregate'"
            ).fetchone()
        assert row is not None
        assert row[0] <= int(output.group(1))
        return int(row[0])

    # One is for expiries and housekeeping, which are seldom there at the moment of a read.
    wait_until(lambda: count() >= int(output.group(1)) - 1, "the connections to be in use")
    assert gateway.stop() == 0
