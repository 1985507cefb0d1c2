"""Leases: the replicas that renew theirs, and the holds of those that do not.

A replica's row changes every few seconds. Nothing here judges by a clock: a process that watches
decides who is dead. The first one to delete a hold gets it, so finding it twice does no harm.
"""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from gateway import __version__
from gateway.core.lease_watch import Lease
from gateway.store.database import Database
from gateway.store.ledger import Refund
from gateway.store.moments import read_moment
from gateway.store.transaction import listed

#: holds refunded in one statement: their accounts are locked meanwhile
REFUND_BATCH = 200

#: of a replica that has holds and no row
_NO_ROW = ""
_FIRST = Refund("", 0)

_RENEW = """
INSERT INTO replica (id, release, started_at, seen_at, lease_seconds)
VALUES (:id, :release, :now, :now, :seconds)
ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at, lease_seconds = excluded.lease_seconds
"""
_OTHERS = "SELECT id, seen_at, lease_seconds FROM replica WHERE id <> :own"
_NAMELESS = """
SELECT DISTINCT replica_id FROM hold
WHERE replica_id <> :own AND replica_id NOT IN (SELECT id FROM replica)
"""
_SEEN = "SELECT seen_at FROM replica WHERE id = :id"
_HOLDS_OF = """
SELECT request_id, account_id FROM hold
WHERE replica_id = :id AND (account_id, request_id) > (:account, :request)
ORDER BY account_id, request_id LIMIT :most
"""
_OWN_HOLDS = "SELECT request_id, account_id FROM hold WHERE replica_id = :id"
_OWNERS = """
SELECT h.request_id, k.namespace, k.name, a.namespace, a.name, e.model, h.credits
FROM hold h
JOIN api_key k ON k.id = h.api_key_id
JOIN account a ON a.id = h.account_id
JOIN entry e ON e.request_id = h.request_id AND e.kind = 'charge'
WHERE h.request_id IN ({requests})
"""
_FORGET = """
DELETE FROM replica WHERE id = :id AND NOT EXISTS (SELECT 1 FROM hold WHERE replica_id = :id)
"""


def renew_lease(database: Database, replica_id: str, lease_seconds: float) -> None:
    """Renew this replica's lease. Raises `DatabaseUnavailable`."""
    with database.plain_write() as transaction:
        now = transaction.now()
        transaction.rows(_RENEW, id=replica_id, release=__version__, now=now, seconds=lease_seconds)


def end_lease(database: Database, replica_id: str) -> None:
    """Forget a replica that drained; its last holds, if any, are reaped like a dead one's."""
    with database.plain_write() as transaction:
        transaction.rows("DELETE FROM replica WHERE id = :id", id=replica_id)


def read_leases(database: Database, own_id: str, default_seconds: float) -> list[Lease]:
    """The others' leases, and of replicas that only holds name. Raises `DatabaseUnavailable`."""
    with database.plain_read() as transaction:
        leases = [
            Lease(name, _mark(seen_at), seconds or default_seconds)
            for name, seen_at, seconds in transaction.rows(_OTHERS, own=own_id)
        ]
        nameless = sorted(name for (name,) in transaction.rows(_NAMELESS, own=own_id))
        return leases + [Lease(name, _NO_ROW, default_seconds) for name in nameless]


def holds_of(
    database: Database, lease: Lease, after: Refund = _FIRST, at_most: int = REFUND_BATCH
) -> list[Refund]:
    """The next holds of a dead replica, while its row is as it was. Raises `DatabaseUnavailable`.

    By account, so that a batch locks few of them.
    """
    with database.plain_read() as transaction:
        row = transaction.row(_SEEN, id=lease.replica_id)
        if (_NO_ROW if row is None else _mark(row[0])) != lease.mark:
            return []
        found = transaction.rows(
            _HOLDS_OF,
            id=lease.replica_id,
            account=after.account_id,
            request=after.request_id,
            most=at_most,
        )
        return [Refund(*row) for row in found]


def own_holds(database: Database, replica_id: str) -> list[Refund]:
    """All of a replica's holds. Raises `DatabaseUnavailable`."""
    with database.plain_read() as transaction:
        return [Refund(*row) for row in transaction.rows(_OWN_HOLDS, id=replica_id)]


class Owner(Struct, frozen=True):
    """The owner of a hold, by the names that people see: metrics hold no ids."""

    key: str
    account: str
    model: str
    credits: int


def owners_of(database: Database, holds: Sequence[Refund]) -> dict[str, Owner]:
    """By request, as far as the holds are still there. Raises `DatabaseUnavailable`."""
    names, values = listed("request", (hold.request_id for hold in holds))
    with database.plain_read() as transaction:
        found = transaction.rows(_OWNERS.format(requests=names), **values)
        return {
            request_id: Owner(f"{key[0]}/{key[1]}", f"{key[2]}/{key[3]}", model or "", credits)
            for request_id, *key, model, credits in found
        }


def all_holds(database: Database) -> list[Refund]:
    """Every hold: for the start of the one process that a SQLite database may have."""
    with database.plain_read() as transaction:
        return [Refund(*row) for row in transaction.rows("SELECT request_id, account_id FROM hold")]


def forget_replica(database: Database, lease: Lease) -> None:
    """Delete the row of a dead replica that has no holds left, unless it has come back."""
    lock = "" if database.is_sqlite else " FOR UPDATE"
    with database.plain_write() as transaction:
        row = transaction.row(_SEEN + lock, id=lease.replica_id)
        if row is not None and _mark(row[0]) == lease.mark:
            transaction.rows(_FORGET, id=lease.replica_id)


def _mark(seen_at: Any) -> str:
    moment = read_moment(seen_at)
    return _NO_ROW if moment is None else moment.isoformat()
