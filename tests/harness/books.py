"""Databases with an account, a key and credits in them, and the state of the books afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from gateway.core.keys import PEPPER, Credential, InstallationSecret, credential_of, generate_key
from gateway.core.spec import API_VERSION, ApiKey, CreditGrant, parse_document
from gateway.store.audit import audit
from gateway.store.database import Database
from gateway.store.grant_result import GrantResult
from gateway.store.grants import apply_grant
from gateway.store.key_rows import KeyState
from gateway.store.keys import apply_key
from gateway.store.ledger import Charge

SECRET = InstallationSecret("a secret that only the tests know, long enough")
INSTALLATION = "default"


def key_object(name: str = "key", account: str = "alice", **spec: Any) -> ApiKey:
    document = parse_document(
        {
            "apiVersion": API_VERSION,
            "kind": "ApiKey",
            "metadata": {"name": name, "namespace": "team"},
            "spec": {"account": account, "secretName": f"{name}-secret", **spec},
        }
    )
    assert isinstance(document, ApiKey)
    return document


def grant_object(name: str = "grant", account: str = "alice", **spec: Any) -> CreditGrant:
    document = parse_document(
        {
            "apiVersion": API_VERSION,
            "kind": "CreditGrant",
            "metadata": {"name": name, "namespace": "team"},
            "spec": {"account": account, "credits": 100, **spec},
        }
    )
    assert isinstance(document, CreditGrant)
    return document


def credential(plaintext: str) -> Credential:
    return credential_of(SECRET.pepper(PEPPER), plaintext)


@contextmanager
def somebody_else(database: Database) -> Iterator[Connection]:
    """A connection that may keep a transaction, and its locks, open for as long as it likes."""
    with database.engine.connect() as connection:
        if not database.is_sqlite:
            connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        yield connection


class Books:
    """One database under test."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._charges = 0

    def issue(self, name: str = "key", account: str = "alice", **spec: Any) -> tuple[KeyState, str]:
        """A key's row and its plaintext."""
        plaintext = generate_key()
        key = key_object(name, account, **spec)
        state = apply_key(self.database, INSTALLATION, key, credential(plaintext))
        return state, plaintext

    def grant(self, name: str = "grant", account: str = "alice", **spec: Any) -> GrantResult:
        return apply_grant(self.database, INSTALLATION, grant_object(name, account, **spec))

    def charge(self, state: KeyState, credits: int = 1, account: str = "alice") -> Charge:
        """A charge that is not made yet."""
        self._charges += 1
        assert state.newest_hash is not None
        return Charge(
            request_id=f"req_{self._charges:06d}",
            account_id=self.account_id(account),
            api_key_id=state.id,
            key_hash=state.newest_hash,
            credits=credits,
            model="model",
            route="chat",
        )

    def account_id(self, account: str = "alice") -> int:
        return int(self.scalar("SELECT id FROM account WHERE name = :name", name=account))

    def balance(self, account: str = "alice") -> int:
        return int(self.scalar("SELECT balance FROM account WHERE name = :name", name=account))

    def count(self, kind: str) -> int:
        return int(self.scalar("SELECT count(*) FROM entry WHERE kind = :kind", kind=kind))

    def newest_entry(self) -> int:
        return int(self.scalar("SELECT coalesce(max(id), 0) FROM entry"))

    def holds(self) -> int:
        return int(self.scalar("SELECT count(*) FROM hold"))

    def scalar(self, statement: str, **values: Any) -> Any:
        with self.database.read() as session:
            return session.execute(text(statement), values).scalar_one()

    def now(self) -> datetime:
        with self.database.read() as session:
            return self.database.now(session)


def check_books(url: str) -> None:
    """The audit that every gateway's database gets when its tests are over."""
    database = Database(url, timeouts=False)
    findings = audit(database)
    database.close()
    assert findings == []
