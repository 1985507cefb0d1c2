"""The console as a process of its own, beside a gateway on one PostgreSQL."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import httpx
import psycopg
import pytest

from gateway.console.services import CONNECTIONS
from tests.console.browser import Browser
from tests.harness.gateway import (
    PLAINTEXTS,
    GatewayProcess,
    Simulated,
    api_key,
    credit_grant,
    fleet,
    run_command,
    wait_until,
)
from tests.harness.postgres import PostgresServer

CHAT = {"model": "kimi-k2.5", "messages": [{"role": "user", "content": "hello"}]}


class ConsoleProcess(GatewayProcess):
    """It has the arguments of a gateway, and the same port for probes."""

    def _arguments(self, apply: bool) -> list[str]:
        return ["console", *super()._arguments(apply=False)]


class Both(NamedTuple):
    gateway: GatewayProcess
    console: ConsoleProcess


@pytest.fixture(scope="module")
def both(
    simulated: Simulated,
    postgres_server: PostgresServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Both]:
    folder, url = tmp_path_factory.mktemp("own"), postgres_server.create_migrated()
    gateway = GatewayProcess(folder, [], database_url=url)
    console = ConsoleProcess(folder, [], database_url=url, name="console")
    documents = [fleet(simulated.url, console={"url": console.url})]
    console.write(documents)
    gateway.write([*documents, api_key("alice"), credit_grant("one")])
    file, data = str(gateway.config), str(gateway.data)
    done, printed = run_command("apply", file, "--data", data, environment=gateway.environment)
    assert done == 0, printed
    gateway.start(apply=False)
    console.start()
    yield Both(gateway, console)
    assert (gateway.stop(), console.stop()) == (0, 0)


def chat(gateway: GatewayProcess, key: str) -> httpx.Response:
    headers = {"authorization": f"Bearer {key}"}
    return gateway.http.post("/api/openai/v1/chat/completions", json=CHAT, headers=headers)


def test_a_key_made_there_works_at_the_gateway_whatever_the_console_does(both: Both) -> None:
    gateway, console = both
    done, printed = run_command(
        "console", "link", "--data", str(console.data), "--role", "member", "--namespace", "team",
        environment=console.environment,
    )  # fmt: skip
    assert done == 0, printed
    with Browser(console.url) as browser:
        path = printed.strip().removeprefix(console.url)
        browser.submit(browser.get(path), path)
        page = browser.get("/console/keys/new")
        fields = {"label": "mine", "account": "team/alice", "expires": "90"}
        shown = browser.submit(page, "/console/keys", fields)
    found = re.search(r"sk-[0-9A-Za-z]{48}", shown.text)
    assert found, shown.text
    key = found[0]
    PLAINTEXTS.add(key)
    assert chat(gateway, key).status_code == 200
    console.send(signal.SIGSTOP)
    assert chat(gateway, key).status_code == 200
    console.send(signal.SIGCONT)
    assert console.balance(key) == gateway.balance(key) == 996


def test_nor_does_it_keep_requests_waiting_in_one_process(
    simulated: Simulated, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    """Its pages wait for the database, more of them than it has threads and connections."""
    url = postgres_server.create_migrated()
    gateway = GatewayProcess(tmp_path, [], database_url=url)
    console = {"console": {"url": gateway.url}}
    gateway.write([fleet(simulated.url, **console), api_key("alice"), credit_grant("one")])
    gateway.start()
    pages, cookie = 4 * CONNECTIONS, {"cookie": "faregate=nobody"}
    with psycopg.connect(url) as other, ThreadPoolExecutor(pages) as browsers:
        other.execute("LOCK TABLE session")
        open_console = partial(httpx.get, f"{gateway.url}/console", headers=cookie, timeout=60)
        asked = [browsers.submit(open_console) for _ in range(pages)]
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        wait_until(lambda: _number(url, waiting) == CONNECTIONS, "pages that wait")
        assert chat(gateway, gateway.key("alice")).status_code == 200
        assert not all(each.done() for each in asked)
        other.rollback()
    assert gateway.stop() == 0


def _number(url: str, statement: str) -> int:
    with psycopg.connect(url) as connection:
        found = connection.execute(statement.encode()).fetchone()
    assert found is not None
    return int(found[0])


def test_each_serves_its_own_paths(both: Both) -> None:
    gateway, console = both
    assert gateway.http.get("/console").status_code == 404
    answer = chat(console, gateway.key("alice"))
    assert (answer.status_code, answer.json()["error"]["type"]) == (404, "invalid_request_error")
    assert "faregate_requests_total" in console.metrics()


def test_a_gateway_with_an_operator_loads_none_of_the_console() -> None:
    asked = (
        "import sys, gateway.process.assembly;"
        "print([name for name in sys.modules if name.startswith('gateway.console')])"
    )
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_without_an_address_or_postgresql_it_does_not_start(
    tmp_path: Path, simulated: Simulated
) -> None:
    process = ConsoleProcess(tmp_path, [fleet(simulated.url)])
    arguments = ("console", "serve", "--config", str(process.config), "--data", str(process.data))
    code, printed = run_command(*arguments)
    assert (code, "console.url is not set" in printed) == (1, True)
    process.write([fleet(simulated.url, console={"url": "http://127.0.0.1:1"})])
    code, printed = run_command(*arguments)
    assert (code, "on SQLite `serve` has the console in it" in printed) == (1, True)
