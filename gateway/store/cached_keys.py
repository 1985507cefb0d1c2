"""Reading keys for the gateway's memory: what changed since a version, and one key by its hash."""

from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from gateway.core.keys import INFERENCE
from gateway.store.database import Database
from gateway.store.moments import read_list, read_moment
from gateway.store.transaction import Transaction, listed
from gateway.store.unreadable import can_be_read, set_aside

#: keys that are read by one statement
_PAGE = 5000
_VERSION = 14
#: `{wanted}` are the ids and versions of some keys
_KEYS = """
WITH wanted AS ({wanted})
SELECT k.id, k.key_id, k.namespace, k.name, k.account_id, k.models, k.requests_per_minute,
       k.concurrent_requests, k.credits_per_day, k.credits_per_month, k.credits, k.suspended,
       k.revoked_at, k.expires_at, k.version, k.scope, a.namespace, a.name
FROM wanted JOIN api_key k ON k.id = wanted.id JOIN account a ON a.id = k.account_id
ORDER BY wanted.version
"""
_HASHES = """
WITH wanted AS ({wanted})
SELECT h.api_key_id, h.hash, h.pepper, h.expires_at
FROM wanted JOIN api_key_hash h ON h.api_key_id = wanted.id
WHERE h.revoked_at IS NULL
"""
_CHANGED = "SELECT id, version FROM api_key WHERE version > :since ORDER BY version LIMIT :page"
_LIVING = _CHANGED.replace("WHERE", "WHERE revoked_at IS NULL AND")
_OF_HASHES = """
SELECT k.id, k.version FROM api_key k JOIN api_key_hash h ON h.api_key_id = k.id
WHERE h.hash IN ({hashes}) AND k.revoked_at IS NULL LIMIT 1
"""


class LiveHash(Struct, frozen=True):
    """One hash by which a key may be known; `expires_at` is the end of its overlap."""

    hash: bytes
    pepper: int
    expires_at: datetime | None


class LiveKey(Struct, frozen=True):
    """One key as the gateway holds it, with its own shown name and its account's."""

    id: int
    key_id: str
    name: str
    account_id: int
    account: str
    models: tuple[str, ...]
    requests_per_minute: int | None
    concurrent_requests: int | None
    credits_per_day: int | None
    credits_per_month: int | None
    credits: int | None
    suspended: bool
    revoked_at: datetime | None
    expires_at: datetime | None
    hashes: tuple[LiveHash, ...]
    scope: str = INFERENCE

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
    version, now = newest_version(database)
    if version == since:
        return KeyChanges(version, now, ())
    with database.plain_read(snapshot=True) as transaction:
        ((version,),) = transaction.rows("SELECT version FROM key_version")
        now = transaction.now()
        wanted = _LIVING if since < 0 else _CHANGED
        keys: list[LiveKey] = []
        last: int | None = since
        while last is not None:
            read, last = _read(transaction, wanted, since=last, page=_PAGE)
            keys += read
        return KeyChanges(version, now, tuple(keys))


def newest_version(database: Database) -> tuple[int, datetime]:
    """The number of the newest change of a key, and the database's clock."""
    if database.is_sqlite:
        return database.glance("SELECT version FROM key_version")[0], datetime.now(UTC)
    version, now = database.glance("SELECT version, clock_timestamp() FROM key_version")
    return version, now.astimezone(UTC)


def read_by_hash(database: Database, hashes: list[bytes]) -> LiveKey | None:
    """The key with one of these hashes, unless it is revoked. Raises `DatabaseUnavailable`."""
    names, values = listed("hash", hashes)
    with database.plain_read() as transaction:
        keys, _ = _read(transaction, _OF_HASHES.format(hashes=names), **values)
        return keys[0] if keys else None


def _read(transaction: Transaction, wanted: str, **values: Any) -> tuple[list[LiveKey], int | None]:
    """The keys of a page in the order of their versions, and the last one's, if it is full."""
    rows = transaction.rows(_KEYS.format(wanted=wanted), **values)
    hashes: dict[int, list[LiveHash]] = {}
    for key_id, hash_, pepper, expires_at in transaction.rows(
        _HASHES.format(wanted=wanted), **values
    ):
        live = LiveHash(hash_, pepper, read_moment(expires_at))
        hashes.setdefault(key_id, []).append(live)
    keys = [_live(row, hashes.get(row[0], [])) for row in rows]
    return keys, rows[-1][_VERSION] if len(rows) == _PAGE else None


def _live(row: tuple[Any, ...], hashes: list[LiveHash]) -> LiveKey:
    (id_, key_id, namespace, own_name, account_id, names, per_minute, at_once, per_day, per_month,
     credits, suspended, revoked, expires, _, scope, *account) = row  # fmt: skip
    name = f"{namespace}/{own_name}"
    models, revoked_at, expires_at = read_list(names), read_moment(revoked), read_moment(expires)
    is_readable = can_be_read(expires_at, models)
    if not is_readable and revoked_at is None:
        set_aside(f"the API key {name}")
    return LiveKey(
        id=id_,
        key_id=key_id,
        name=name,
        account_id=account_id,
        account="/".join(account),
        models=tuple(models),
        requests_per_minute=per_minute,
        concurrent_requests=at_once,
        credits_per_day=per_day,
        credits_per_month=per_month,
        credits=credits,
        suspended=bool(suspended) or not is_readable,
        revoked_at=revoked_at,
        expires_at=expires_at,
        hashes=tuple(hashes),
        scope=scope,
    )
