"""The modules that a replica loads: those of rare things only when they happen."""

import re
from pathlib import Path

from gateway.store.database import Database
from tests.harness.gateway import (
    GatewayProcess,
    Simulated,
    api_key,
    credit_grant,
    fleet,
)
from tests.harness.postgres import PostgresServer

_RARE = re.compile(r"\| +(sqlalchemy|sqlmodel|alembic)\b")
_FRAMEWORKS = re.compile(r"\| +(fastapi|pydantic|jinja2)\b")
_BODY = {"model": "kimi-k2.5", "messages": [{"role": "user", "content": "Hi"}]}


def test_a_replica_serves_without_sqlmodel(
    postgres_server: PostgresServer, simulated: Simulated, tmp_path: Path
) -> None:
    """It is a third of the memory and half of the start; an operator applies the objects."""
    database = Database(postgres_server.create_migrated())
    database.close()
    documents = [fleet(simulated.url), api_key("alice"), credit_grant("alice")]
    gateway = GatewayProcess(tmp_path, documents, database_url=database.url)
    gateway.start()
    gateway.stop()
    assert not _RARE.search(gateway.log_text()), "nothing is noted yet"
    gateway.environment["PYTHONPROFILEIMPORTTIME"] = "1"
    gateway.start(apply=False)
    headers = {"x-api-key": gateway.key("alice")}
    charged = gateway.http.post("/api/openai/v1/chat/completions", headers=headers, json=_BODY)
    assert charged.status_code == 200
    assert not _FRAMEWORKS.search(gateway.log_text()), "no charged request needs them"
    free = gateway.http.get("/api/openai/v1/models", headers=headers)
    assert free.status_code == 200
    assert "fastapi" in _FRAMEWORKS.findall(gateway.log_text())
    assert _RARE.findall(gateway.log_text()) == []
    assert gateway.balance(gateway.key("alice")) == 998
    assert set(_RARE.findall(gateway.log_text())) == {"sqlalchemy", "sqlmodel"}, "for a page"
    assert gateway.stop() == 0


def test_a_file_that_is_applied_already_loads_no_sqlmodel(
    simulated: Simulated, tmp_path: Path
) -> None:
    """All objects of the file are there, down to its allowance: nothing is to be written."""
    daily = {
        **credit_grant("daily"),
        "kind": "CreditAllowance",
        "spec": {"account": "alice", "credits": 5, "every": "day"},
    }
    documents = [fleet(simulated.url), api_key("alice"), credit_grant("alice"), daily]
    gateway = GatewayProcess(tmp_path, documents).start()
    gateway.stop()
    gateway.environment["PYTHONPROFILEIMPORTTIME"] = "1"
    gateway.start()
    headers = {"x-api-key": gateway.key("alice")}
    charged = gateway.http.post("/api/openai/v1/chat/completions", headers=headers, json=_BODY)
    assert charged.status_code == 200
    assert not _RARE.search(gateway.log_text())
    assert not _FRAMEWORKS.search(gateway.log_text())
    assert gateway.stop() == 0
