"""The log of changes of accounts, keys, grants and sessions: what, of what, by whom. Only added to.

A row is written in the transaction of the change, so there is none without the other. Owns the
words for changes; must never hold a secret.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal

from msgspec.structs import fields
from sqlalchemy import JSON, Column, ColumnElement, Index, and_
from sqlmodel import Field, Session, SQLModel, col, select

from gateway.core.actor import Actor
from gateway.core.keys import INFERENCE
from gateway.core.principal import ALL, AccountSet
from gateway.core.statement import stamp
from gateway.store.account_sets import within
from gateway.store.columns import BIG, moment_column
from gateway.store.database import Database
from gateway.store.key_origins import installation_of
from gateway.store.key_rows import KeyState
from gateway.store.tables import Account, ApiKeyRow, CreditGrantRow

ChangeKind = Literal[
    "account.changed",
    "grant.posted",
    "grant.voided",
    "key.made",
    "key.reissued",
    "key.rotated",
    "key.changed",
    "key.suspended",
    "key.resumed",
    "key.revoked",
    "session.begun",
    "session.refused",
    "session.signed_out",
    "sessions.ended",
    "person.bound",
    "person.unbound",
    "account.erased",
    "webhook.failed",
]
#: changes that are read at once
EVENTS_MAX = 100
#: facts about a key that are no setting of it, or have a kind of their own
_NOT_SETTINGS = frozenset({
    "id", "key_id", "namespace", "name", "uid", "scope", "prefix", "suspended", "expired",
    "generation", "revoked", "version", "newest_hash", "live_hashes", "dead_hashes",
})  # fmt: skip
_SETTINGS = [each.name for each in fields(KeyState) if each.name not in _NOT_SETTINGS]


class ChangeRow(SQLModel, table=True):
    """One change. `subject` is the shown name of the account, key, grant or person."""

    __tablename__ = "change_log"
    __table_args__ = (Index("change_log_account", "account_id", "id"),)
    id: int = Field(default=None, sa_column=Column(BIG, primary_key=True, autoincrement=True))
    installation: str
    #: no foreign key: its check would lock the account's row
    account_id: int = Field(sa_column=Column(BIG, nullable=False))
    kind: str
    subject: str
    actor: str
    acted_at: datetime | None = moment_column(nullable=True)
    detail: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    created_at: datetime = moment_column()


def log_change(
    session: Session,
    installation: str,
    account_id: int,
    kind: ChangeKind,
    subject: str,
    actor: Actor,
    now: datetime,
    detail: dict[str, Any],
) -> None:
    """Add a change of an account to the transaction."""
    session.add(
        ChangeRow(
            installation=installation,
            account_id=account_id,
            kind=kind,
            subject=subject,
            actor=actor.name,
            acted_at=actor.at,
            detail=detail,
            created_at=now,
        )
    )


def log_row(
    session: Session,
    kind: ChangeKind,
    row: Account | ApiKeyRow | CreditGrantRow,
    actor: Actor,
    now: datetime,
    **detail: Any,
) -> None:
    """Add a change of an account, a key or a grant to the transaction."""
    account_id = row.id if isinstance(row, Account) else row.account_id
    installation = row.installation
    if isinstance(row, ApiKeyRow):
        installation, detail = installation_of(row), {"key_id": row.key_id, **detail}
    subject = f"{row.namespace}/{row.name}"
    log_change(session, installation, account_id, kind, subject, actor, now, detail)


def log_key_changes(
    session: Session,
    row: ApiKeyRow,
    before: KeyState | None,
    after: KeyState,
    actor: Actor,
    now: datetime,
) -> None:
    """Add all that differs between two states of a key to the transaction."""
    if before is None:
        made = {} if after.scope == INFERENCE else {"scope": after.scope}
        log_row(session, "key.made", row, actor, now, **made, **_settings(after))
        return
    if before.revoked or before.uid != after.uid:
        log_row(session, "key.reissued", row, actor, now, **_settings(after))
        return
    changed = {
        name: {"from": _plain(getattr(before, name)), "to": _plain(getattr(after, name))}
        for name in _SETTINGS
        if getattr(before, name) != getattr(after, name)
    }
    if changed:
        log_row(session, "key.changed", row, actor, now, **changed)
    if before.newest_hash != after.newest_hash:
        log_row(session, "key.rotated", row, actor, now, generation=after.generation)
    if before.suspended != after.suspended:
        kind: ChangeKind = "key.suspended" if after.suspended else "key.resumed"
        log_row(session, kind, row, actor, now)


def read_account_changes(
    database: Database, account_id: int, limit: int, after: int | None = None
) -> list[dict[str, Any]]:
    """Changes of an account, the newest first; with `after`, those that came before that one.

    Raises `DatabaseUnavailable`.
    """
    return _read(database, ChangeRow.account_id == account_id, limit, after)


def read_all_changes(
    database: Database, installation: str, limit: int, after: int | None = None
) -> list[dict[str, Any]]:
    """The same of all accounts."""
    return _read(database, ChangeRow.installation == installation, limit, after)


def read_changes_within(
    database: Database, installation: str, reach: AccountSet, limit: int, after: int | None = None
) -> list[dict[str, Any]]:
    """The same of the accounts in reach."""
    if ALL in reach.namespaces:
        return read_all_changes(database, installation, limit, after)
    accounts = select(Account.id).where(Account.installation == installation, within(reach))
    return _read(database, col(ChangeRow.account_id).in_(accounts), limit, after)


def read_suspension(database: Database, account_id: int, name: str) -> dict[str, Any] | None:
    """The latest suspension of a key of an account, by its shown name.

    Raises `DatabaseUnavailable`.
    """
    of_key = and_(
        col(ChangeRow.account_id) == account_id,
        col(ChangeRow.subject) == name,
        col(ChangeRow.kind) == "key.suspended",
    )
    return next(iter(_read(database, of_key, 1, None)), None)


def _read(
    database: Database, of: ColumnElement[bool] | bool, limit: int, after: int | None
) -> list[dict[str, Any]]:
    asked = select(ChangeRow).where(of).order_by(col(ChangeRow.id).desc()).limit(limit)
    if after is not None:
        asked = asked.where(col(ChangeRow.id) < after)
    with database.read() as session:
        return list(_shown(session.exec(asked).all()))


def _shown(rows: Any) -> Iterator[dict[str, Any]]:
    for row in rows:
        yield {
            "id": row.id,
            "kind": row.kind,
            "subject": row.subject,
            "actor": row.actor,
            "acted_at": stamp(row.acted_at),
            "created_at": stamp(row.created_at),
            "detail": row.detail,
        }


def _settings(state: KeyState) -> dict[str, Any]:
    """The settings of a key that are not empty."""
    return {name: value for name in _SETTINGS if (value := _plain(getattr(state, name)))}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return stamp(value)
    return list(value) if isinstance(value, tuple) else value
