"""After everything else: the audit of every database, and the canary for keys.

These run last (see `conftest.py`), over all that the suite has left behind.
"""

import os
import sqlite3
import sys
from pathlib import Path

import pytest

from gateway.__main__ import main
from tests.harness.gateway import DATABASES, LOGS, PLAINTEXTS
from tests.harness.postgres import PostgresServer

pytestmark = pytest.mark.last


def test_the_books_of_every_database_are_right(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`python -m gateway audit`, on every database that a gateway of this run has used."""
    wrong = []
    for name in [name for name in os.environ if name.startswith("FAREGATE_")]:
        monkeypatch.delenv(name)  # the suite's own settings are none of the gateway's
    for url in sorted(DATABASES):
        monkeypatch.setenv("FAREGATE_DATABASE_URL", url)
        monkeypatch.setattr(sys, "argv", ["gateway", "audit"])
        code = main()
        printed = capsys.readouterr().out
        if code != 0 or "the books are right" not in printed:
            wrong.append(f"{url}: {printed}")
    assert wrong == []


def test_no_log_and_no_metric_holds_a_key() -> None:
    found = [
        str(path)
        for path in LOGS
        if path.exists()
        for plaintext in PLAINTEXTS
        if plaintext in _without_banner(path.read_text(errors="replace"))
    ]
    assert found == []


def test_no_database_holds_a_key(request: pytest.FixtureRequest) -> None:
    found = []
    for url in sorted(DATABASES):
        dump = _dump(request, url)
        found += [url for plaintext in PLAINTEXTS if plaintext.encode() in dump]
    assert found == []


def _without_banner(log: str) -> str:
    """`serve` shows the keys to the person who started it; nothing after that may."""
    lines = log.splitlines()
    return "\n".join(
        line
        for line in lines
        if not line.startswith("key ")
        and not line.startswith("  -H 'Authorization: Bearer sk-")
        and not line.startswith("  -H 'x-api-key: sk-")
    )


def _dump(request: pytest.FixtureRequest, url: str) -> bytes:
    if not url.startswith("sqlite"):
        server: PostgresServer = request.getfixturevalue("postgres_server")
        return server.dump(url.rsplit("/", 1)[1])
    path = Path(url.removeprefix("sqlite:///"))
    connection = sqlite3.connect(path)
    try:
        text = "\n".join(connection.iterdump()).encode()
    finally:
        connection.close()
    return text + b"".join(file.read_bytes() for file in path.parent.glob("*.db*"))
