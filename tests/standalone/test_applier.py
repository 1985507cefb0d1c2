"""The file of a running gateway changes: what is new counts, and nothing under way is harmed."""

import os
import pty
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func
from sqlmodel import select

from gateway.core.spec import API_VERSION
from gateway.store.database import Database
from gateway.store.tables import CreditGrantRow
from tests.harness.books import check_books
from tests.harness.dialects import PATHS, body, ended_cleanly
from tests.harness.gateway import (
    LOGS,
    NAMESPACE,
    PLAINTEXTS,
    ROOT,
    GatewayProcess,
    Simulated,
    api_key,
    credit_grant,
    fleet,
    run_command,
    wait_until,
)


@pytest.fixture
def gateway(database: Database, simulated: Simulated, tmp_path: Path) -> Iterator[GatewayProcess]:
    documents = [fleet(simulated.url), api_key("alice"), credit_grant("first", credits=100)]
    process = GatewayProcess(tmp_path, documents, database_url=database.url)
    yield process
    process.kill()
    check_books(process.database_url)


def documents(simulated: Simulated, *more: dict[str, Any]) -> list[dict[str, Any]]:
    return [fleet(simulated.url), api_key("alice"), credit_grant("first", credits=100), *more]


@contextmanager
def open_stream(gateway: GatewayProcess, simulated: Simulated) -> Iterator[None]:
    """A stream that runs all the while, and comes to its clean end afterwards."""
    pieces: list[str] = []
    begun = threading.Event()
    asked = {**body("chat", "!chunks 4\n!stall 2 hold"), "stream": True}
    headers = {"x-api-key": gateway.key("alice")}

    def read() -> None:
        url = gateway.url + PATHS["chat"]
        with httpx.stream("POST", url, json=asked, headers=headers, timeout=60) as got:
            for piece in got.iter_text():
                pieces.append(piece)
                begun.set()

    reader = threading.Thread(target=read)
    reader.start()
    assert begun.wait(30)
    yield
    simulated.release()
    reader.join(30)
    assert ended_cleanly("chat", "".join(pieces))


def apply_command(gateway: GatewayProcess, *flags: str) -> tuple[int, str]:
    return run_command(
        "apply", str(gateway.config), "--data", str(gateway.data), *flags,
        environment=gateway.environment,
    )  # fmt: skip


def test_an_allowance_is_posted_once_and_to_accounts_that_the_file_makes_later(
    gateway: GatewayProcess, simulated: Simulated
) -> None:
    weekly = {
        "apiVersion": API_VERSION,
        "kind": "CreditAllowance",
        "metadata": {"name": "weekly", "namespace": NAMESPACE},
        "spec": {"accounts": "*", "credits": 7, "every": "week"},
    }
    gateway.write(documents(simulated, weekly))
    gateway.start()
    assert gateway.balance(gateway.key("alice")) == 107
    gateway.write(documents(simulated, weekly, api_key("bob", "bob")))
    wait_until(
        lambda: (gateway.data / "secrets" / NAMESPACE / "bob-secret.env").exists(), "bob's key"
    )

    def credits_of_bob() -> object:
        headers = {"x-api-key": gateway.key("bob")}
        answer = gateway.http.get("/api/v1/account", headers=headers)
        return answer.json().get("balance")

    wait_until(lambda: credits_of_bob() == 7, "bob's key to be known, with his credits")
    assert gateway.balance(gateway.key("alice")) == 107


def test_a_grant_that_starts_later_is_posted_by_the_running_gateway(
    gateway: GatewayProcess, simulated: Simulated
) -> None:
    starts = datetime.now(UTC) + timedelta(seconds=10)
    later = credit_grant("later", credits=50, startsAt=starts.isoformat())
    gateway.write(documents(simulated, later))
    gateway.start()
    assert gateway.balance(gateway.key("alice")) == 100
    wait_until(lambda: gateway.balance(gateway.key("alice")) == 150, "the grant to be posted")
    database = Database(gateway.database_url)
    with database.read() as session:
        assert session.exec(select(func.max(CreditGrantRow.posted_at))).one() >= starts
    database.close()


@pytest.mark.parametrize("way", ["changed file", "SIGHUP", "apply"])
def test_a_top_up_counts_while_a_stream_runs_on(
    gateway: GatewayProcess, simulated: Simulated, way: str
) -> None:
    gateway.start()
    key = gateway.key("alice")
    assert gateway.balance(key) == 100
    with open_stream(gateway, simulated):
        more = [credit_grant("second", credits=50), api_key("bob", "bob")]
        gateway.write(documents(simulated, *more))
        if way == "SIGHUP":
            gateway.send(signal.SIGHUP)
        elif way == "apply":
            code, printed = apply_command(gateway)
            assert code == 0, printed
            assert "grant team/second: " in printed
            assert str(gateway.data / "secrets" / NAMESPACE / "bob-secret.env") in printed
            assert gateway.key("bob") not in printed
        wait_until(lambda: gateway.balance(key) == 148, "the top-up")
        wait_until((gateway.data / "secrets" / NAMESPACE / "bob-secret.env").exists, "a new key")
        wait_until(
            lambda: (
                gateway.http.get(
                    "/api/v1/account", headers={"x-api-key": gateway.key("bob")}
                ).status_code
                == 200
            ),
            "the new key to be known",
        )
    assert gateway.is_running
    assert gateway.key("bob") not in gateway.log_text()


def test_an_object_that_leaves_the_file_is_a_revoked_key(
    gateway: GatewayProcess, simulated: Simulated
) -> None:
    gateway.write(documents(simulated, api_key("bob")))
    gateway.start()
    headers = {"x-api-key": gateway.key("bob")}
    assert gateway.http.get("/api/v1/account", headers=headers).status_code == 200
    gateway.write(documents(simulated))
    wait_until(
        lambda: gateway.http.get("/api/v1/account", headers=headers).status_code == 401,
        "the key to be revoked",
    )
    assert "key team/bob is revoked" in gateway.log_text()


def faulty(simulated: Simulated) -> Iterator[list[dict[str, Any]] | str]:
    """Files with which no gateway could start; each would give alice credits and revoke bob."""
    first, *kept = documents(simulated, credit_grant("second", credits=50))
    nobody = {"secretRef": {"name": "nobody", "key": "has-it"}}
    provider = {"name": "main", "url": "https://provider.example/v1", "credential": nobody}
    yield "a: ["
    yield kept
    yield [first, *kept, api_key("carol", limits={"creditPerDay": 4})]
    yield [fleet(simulated.url, pricing={}), *kept]
    yield [fleet("", upstreams=[provider]), *kept]
    yield [first, *kept, api_key("carol", secretName="alice-secret")]
    yield [first, *kept, brought("carol", "alice-secret")]
    yield [first, *kept, brought("carol", "nobody")]


def brought(name: str, secret: str) -> dict[str, Any]:
    key = api_key(name, valueFrom={"secretKeyRef": {"name": secret, "key": "OPENAI_API_KEY"}})
    del key["spec"]["secretName"]
    return key


@pytest.mark.parametrize("way", ["changed file", "SIGHUP", "apply"])
def test_a_file_with_which_no_gateway_could_start_is_refused_and_changes_nothing(
    gateway: GatewayProcess, simulated: Simulated, way: str
) -> None:
    gateway.write(documents(simulated, api_key("bob")))
    gateway.start()
    keys = [gateway.key(name) for name in ("alice", "bob")]
    refused = 0
    for fault in faulty(simulated):
        if isinstance(fault, str):
            gateway.config.write_text(fault)
        else:
            gateway.write(fault)
        if way == "SIGHUP":
            gateway.send(signal.SIGHUP)
        if way == "apply" and refused < 3:  # a start of Python each
            code, printed = apply_command(gateway)
            assert code == 1
            assert "faregate: " in printed
        refused += 1
        wait_for_refusals(gateway, refused)
        assert [gateway.balance(key) for key in keys] == [100, 100]
    assert refused == 8
    assert gateway.is_running


def wait_for_refusals(gateway: GatewayProcess, count: int) -> None:
    wait_until(
        lambda: gateway.log_text().count("the file is refused") >= count, f"{count} refusals"
    )


def test_a_file_that_names_a_key_whose_secret_is_lost_is_refused(
    gateway: GatewayProcess, simulated: Simulated
) -> None:
    gateway.write(documents(simulated, api_key("bob")))
    gateway.start()
    bob = gateway.key("bob")
    (gateway.data / "secrets" / NAMESPACE / "alice-secret.env").unlink()
    gateway.write(documents(simulated, credit_grant("second", credits=50)))
    wait_until(lambda: "its secret is lost" in gateway.log_text(), "a line in the log")
    assert gateway.balance(bob) == 100


def many(simulated: Simulated, count: int) -> list[dict[str, Any]]:
    return documents(simulated, *(api_key(f"many-{number}") for number in range(count)))


@pytest.mark.parametrize("way", ["start", "changed file", "apply"])
def test_a_file_that_has_lost_many_keys_waits_for_a_word(
    gateway: GatewayProcess, simulated: Simulated, way: str
) -> None:
    gateway.write(many(simulated, 30))
    gateway.start()
    lost = {"x-api-key": gateway.key("many-7")}
    if way == "start":
        assert gateway.stop() == 0
    gateway.write(documents(simulated, credit_grant("second", credits=50)))
    if way == "start":
        gateway.start()
    elif way == "apply":
        code, printed = apply_command(gateway)
        assert code == 1
        assert "--confirm-orphans 30" in printed
    wait_until(lambda: "--confirm-orphans 30" in gateway.log_text(), "a word about it")
    wait_until(lambda: gateway.balance(gateway.key("alice")) == 150, "the rest to be applied")
    assert gateway.http.get("/api/v1/account", headers=lost).status_code == 200
    assert apply_command(gateway, "--confirm-orphans", "29")[0] == 1
    assert gateway.http.get("/api/v1/account", headers=lost).status_code == 200
    code, printed = apply_command(gateway, "--confirm-orphans", "30")
    assert code == 0, printed
    assert printed.count(": revoked") == 30
    wait_until(
        lambda: gateway.http.get("/api/v1/account", headers=lost).status_code == 401,
        "the keys to be revoked",
    )


def test_apply_works_where_no_gateway_runs(gateway: GatewayProcess, simulated: Simulated) -> None:
    gateway.start()
    assert gateway.stop() == 0
    gateway.write(documents(simulated, credit_grant("second", credits=50)))
    assert apply_command(gateway)[0] == 0
    before = gateway.key("alice")
    gateway.start()
    assert gateway.key("alice") == before
    assert gateway.balance(before) == 150


def test_a_process_that_does_not_apply_its_file_reports_it_and_goes_on(
    gateway: GatewayProcess, simulated: Simulated
) -> None:
    gateway.start()
    if "FAREGATE_DATABASE_URL" not in gateway.environment:
        pytest.fail("both databases have a URL here")
    if gateway.database_url.startswith("sqlite"):
        return  # the one process of a SQLite database always applies its file
    key = gateway.key("alice")
    assert gateway.stop() == 0
    gateway.start(apply=False)
    gateway.write(documents(simulated, credit_grant("second", credits=50)))
    gateway.send(signal.SIGHUP)
    wait_until(lambda: "does not apply its file" in gateway.log_text(), "a line in the log")
    assert gateway.balance(key) == 100


def test_keys_are_not_printed_into_a_file(gateway: GatewayProcess) -> None:
    gateway.start()
    key = gateway.key("alice")
    wait_until(lambda: "Stop it with Ctrl-C" in gateway.log_text(), "the banner")
    assert key not in gateway.log_text()
    path = gateway.data / "secrets" / NAMESPACE / "alice-secret.env"
    assert f"key team/alice: in {path}" in gateway.log_text()
    lines = gateway.log_text().replace("\\\n", " ").splitlines()
    curls = [line for line in lines if line.startswith("curl ")]
    assert len(curls) == 2
    for line in curls:
        done = subprocess.run(line, shell=True, capture_output=True, text=True, timeout=30)
        assert "You said: Hello" in done.stdout, done.stdout + done.stderr


def serve_on_terminal(folder: Path, *flags: str) -> tuple["subprocess.Popen[bytes]", int]:
    """The quickstart on a terminal of its own, as a person starts it."""
    near, far = pty.openpty()
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("FAREGATE_", "UPSTREAM"))}
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "serve", "--config", "examples/quickstart.yaml",
         "--data", str(folder / "data"), "--port", "0", "--ops-port", "0", *flags],
        cwd=ROOT, env=clean, stdin=far, stdout=far, stderr=far, start_new_session=True,
    )  # fmt: skip
    os.close(far)
    return process, near


def read_until(descriptor: int, text: str) -> str:
    shown = ""
    while text not in shown:
        shown += os.read(descriptor, 65536).decode()
    return shown.replace("\r\n", "\n")


def test_keys_are_printed_on_a_terminal_and_it_ends_with_the_terminal(tmp_path: Path) -> None:
    process, terminal = serve_on_terminal(tmp_path)
    try:
        shown = read_until(terminal, "Stop it with Ctrl-C")
        keys = re.findall(r"^key \S+: (sk-\S+)$", shown, re.MULTILINE)
        PLAINTEXTS.update(keys)
        assert len(keys) == 2
        url = re.findall(r"listening on (\S+),", shown)[0]
        result = httpx.get(f"{url}/api/v1/account", headers={"x-api-key": keys[0]})
        assert result.json()["balance"] == 1000
        process.send_signal(signal.SIGHUP)  # the terminal is there: a wish to read the file
        read_until(terminal, "applied examples/quickstart.yaml")
        os.close(terminal)
        if process.poll() is None:
            process.send_signal(signal.SIGHUP)  # what a shell does when its terminal is closed
        assert process.wait(30) == 0
    finally:
        if process.poll() is None:
            process.kill()


def test_a_port_that_the_system_chose_is_the_one_that_is_reported(
    simulated: Simulated, tmp_path: Path
) -> None:
    process = GatewayProcess(tmp_path, documents(simulated))
    process.port = process.ops_port = 0
    process.spawn(process._arguments(True), process.environment)
    try:
        wait_until(lambda: "Stop it with Ctrl-C" in process.log_text(), "the banner")
        printed = process.log_text()
        (url,) = re.findall(r"listening on (http://127.0.0.1:[1-9][0-9]*),", printed)
        (operations,) = re.findall(r"metrics are at (http://127.0.0.1:[1-9][0-9]*)\.", printed)
        assert httpx.get(f"{operations}/readyz").status_code == 200
        secret = (process.data / "secrets" / NAMESPACE / "alice-secret.env").read_text()
        assert f"OPENAI_BASE_URL={url}/api/openai/v1\n" in secret
        assert f"curl {url}/api/openai/v1/chat/completions" in printed
        answer = httpx.post(
            url + PATHS["chat"],
            json=body("chat", "Hi"),
            headers={"x-api-key": process.key("alice")},
        )
        assert answer.status_code == 200
    finally:
        process.send(signal.SIGTERM)
        assert process.wait() == 0
    assert process.log in LOGS
