"""Reading keys for the gateway's memory: what changed since a version, and one key by its hash."""

from datetime import UTC, datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import select as sql_select
from sqlmodel import Session, col, select

from gateway.store.database import Database
from gateway.store.tables import Account, ApiKeyHash, ApiKeyRow, KeyVersion
from gateway.store.unreadable import can_be_read, set_aside

#: keys that are read by one statement
_PAGE = 5000
_COLUMNS = (
    *(
        col(column)
        for column in (
            ApiKeyRow.id,
            ApiKeyRow.key_id,
            ApiKeyRow.namespace,
            ApiKeyRow.name,
            ApiKeyRow.account_id,
            ApiKeyRow.models,
            ApiKeyRow.requests_per_minute,
            ApiKeyRow.concurrent_requests,
            ApiKeyRow.credits_per_day,
            ApiKeyRow.suspended,
            ApiKeyRow.revoked_at,
            ApiKeyRow.expires_at,
            ApiKeyRow.version,
        )
    ),
    col(Account.namespace).label("account_namespace"),
    col(Account.name).label("account_name"),
)


class LiveHash(Struct, frozen=True):
    """One hash by which a key may be known; `expires_at` is the end of its overlap."""

    hash: bytes
    pepper: int
    expires_at: datetime | None


class LiveKey(Struct, frozen=True):
    """One key as the gateway holds it. `name` is the object's, `account` the shown name."""

    id: int
    key_id: str
    name: str
    account_id: int
    account: str
    models: tuple[str, ...]
    requests_per_minute: int | None
    concurrent_requests: int | None
    credits_per_day: int | None
    suspended: bool
    revoked_at: datetime | None
    expires_at: datetime | None
    hashes: tuple[LiveHash, ...]

    @property
    def revoked(self) -> bool:
        return self.revoked_at is not None


class KeyChanges(Struct, frozen=True):
    """Keys changed after a version, the newest version, and the database's clock."""

    version: int
    now: datetime
    keys: tuple[LiveKey, ...]


def read_changes(database: Database, since: int) -> KeyChanges:
    """Every key whose version is above `since`; from the beginning, only those not revoked.

    However many there are or ever were, a statement reads a page of them. Raises
    `DatabaseUnavailable`.
    """
    version, now = _newest_version(database)
    if version == since:
        return KeyChanges(version, now, ())
    with database.read(snapshot=True) as session:
        version = session.exec(select(KeyVersion.version)).one()
        now = database.now(session)
        changed = select(ApiKeyRow.id, ApiKeyRow.version)
        if since < 0:
            changed = changed.where(col(ApiKeyRow.revoked_at).is_(None))
        keys: list[LiveKey] = []
        last: int | None = since
        while last is not None:
            page = changed.where(col(ApiKeyRow.version) > last).order_by(col(ApiKeyRow.version))
            read, last = _read(session, page.limit(_PAGE))
            keys += read
        return KeyChanges(version, now, tuple(keys))


def _newest_version(database: Database) -> tuple[int, datetime]:
    if database.is_sqlite:
        return database.glance("SELECT version FROM key_version")[0], datetime.now(UTC)
    version, now = database.glance("SELECT version, clock_timestamp() FROM key_version")
    return version, now.astimezone(UTC)


def read_by_hash(database: Database, hashes: list[bytes]) -> LiveKey | None:
    """The key with one of these hashes, unless it is revoked. Raises `DatabaseUnavailable`."""
    with database.read() as session:
        found = select(ApiKeyRow.id, ApiKeyRow.version).where(
            col(ApiKeyRow.id) == ApiKeyHash.api_key_id,
            col(ApiKeyHash.hash).in_(hashes),
            col(ApiKeyRow.revoked_at).is_(None),
        )
        keys, _ = _read(session, found.limit(1))
        return keys[0] if keys else None


def _read(session: Session, page: Any) -> tuple[list[LiveKey], int | None]:
    """The keys of a page in the order of their versions, and the last one's, if it is full."""
    wanted = page.subquery()
    rows = session.execute(
        sql_select(*_COLUMNS)
        .join(wanted, wanted.c.id == col(ApiKeyRow.id))
        .join(Account, col(Account.id) == col(ApiKeyRow.account_id))
        .order_by(wanted.c.version)
    ).all()
    issued = session.execute(
        sql_select(
            col(ApiKeyHash.api_key_id),
            col(ApiKeyHash.hash),
            col(ApiKeyHash.pepper),
            col(ApiKeyHash.expires_at),
        )
        .join(wanted, wanted.c.id == col(ApiKeyHash.api_key_id))
        .where(col(ApiKeyHash.revoked_at).is_(None))
    )
    hashes: dict[int, list[LiveHash]] = {}
    for key_id, *hashed in issued:
        hashes.setdefault(key_id, []).append(LiveHash(*hashed))
    keys = [_live(row, hashes.get(row.id, [])) for row in rows]
    return keys, rows[-1].version if len(rows) == _PAGE else None


def _live(row: Any, hashes: list[LiveHash]) -> LiveKey:
    name = f"{row.namespace}/{row.name}"
    is_readable = can_be_read(row.expires_at, row.models)
    if not is_readable and row.revoked_at is None:
        set_aside(f"the API key {name}")
    return LiveKey(
        id=row.id,
        key_id=row.key_id,
        name=name,
        account_id=row.account_id,
        account=f"{row.account_namespace}/{row.account_name}",
        models=tuple(row.models),
        requests_per_minute=row.requests_per_minute,
        concurrent_requests=row.concurrent_requests,
        credits_per_day=row.credits_per_day,
        suspended=row.suspended or not is_readable,
        revoked_at=row.revoked_at,
        expires_at=row.expires_at,
        hashes=tuple(hashes),
    )
