"""Leases: the replicas that renew theirs, and the holds of those that do not.

A replica's row changes every few seconds. Nothing here judges by a clock: a process that watches
decides who is dead. The first one to delete a hold gets it, so finding it twice does no harm.
"""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct
from sqlalchemy import and_, delete, exists, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col, select

from gateway import __version__
from gateway.core.lease_watch import Lease
from gateway.store.database import Database
from gateway.store.ledger import Refund
from gateway.store.tables import Account, ApiKeyRow, Entry, Hold, Replica

#: holds refunded in one statement: their accounts are locked meanwhile
REFUND_BATCH = 200

#: of a replica that has holds and no row
_NO_ROW = ""
_FIRST = Refund("", 0)


def renew_lease(database: Database, replica_id: str, lease_seconds: float) -> None:
    """Renew this replica's lease. Raises `DatabaseUnavailable`."""
    insert = sqlite.insert if database.is_sqlite else postgresql.insert
    with database.write() as session:
        now = database.now(session)
        row = insert(Replica).values(
            id=replica_id,
            release=__version__,
            started_at=now,
            seen_at=now,
            lease_seconds=lease_seconds,
        )
        seen = {"seen_at": row.excluded.seen_at, "lease_seconds": row.excluded.lease_seconds}
        session.execute(row.on_conflict_do_update(index_elements=["id"], set_=seen))


def end_lease(database: Database, replica_id: str) -> None:
    """Forget a replica that drained; its last holds, if any, are reaped like a dead one's."""
    with database.write() as session:
        session.execute(delete(Replica).where(col(Replica.id) == replica_id))


def read_leases(database: Database, own_id: str, default_seconds: float) -> list[Lease]:
    """The others' leases, and of replicas that only holds name. Raises `DatabaseUnavailable`."""
    with database.read() as session:
        rows = session.exec(select(Replica).where(Replica.id != own_id)).all()
        named = select(Hold.replica_id).where(
            Hold.replica_id != own_id, col(Hold.replica_id).not_in(select(Replica.id))
        )
        leases = [
            Lease(row.id, _mark(row.seen_at), row.lease_seconds or default_seconds) for row in rows
        ]
        nameless = sorted(set(session.exec(named.distinct()).all()))
        return leases + [Lease(name, _NO_ROW, default_seconds) for name in nameless]


def holds_of(
    database: Database, lease: Lease, after: Refund = _FIRST, at_most: int = REFUND_BATCH
) -> list[Refund]:
    """The next holds of a dead replica, while its row is as it was. Raises `DatabaseUnavailable`.

    By account, so that a batch locks few of them.
    """
    place = tuple_(col(Hold.account_id), col(Hold.request_id))
    with database.read() as session:
        row = session.get(Replica, lease.replica_id)
        if (_NO_ROW if row is None else _mark(row.seen_at)) != lease.mark:
            return []
        found = session.exec(
            select(Hold.request_id, Hold.account_id)
            .where(
                Hold.replica_id == lease.replica_id, place > (after.account_id, after.request_id)
            )
            .order_by(col(Hold.account_id), col(Hold.request_id))
            .limit(at_most)
        ).all()
        return [Refund(request_id, account_id) for request_id, account_id in found]


def own_holds(database: Database, replica_id: str) -> list[Refund]:
    """All of a replica's holds. Raises `DatabaseUnavailable`."""
    with database.read() as session:
        found = session.exec(
            select(Hold.request_id, Hold.account_id).where(Hold.replica_id == replica_id)
        ).all()
        return [Refund(request_id, account_id) for request_id, account_id in found]


class Owner(Struct, frozen=True):
    """Whose a hold is, by the names that are shown: for the metrics, which do not hold ids."""

    key: str
    account: str
    model: str
    credits: int


def owners_of(database: Database, holds: Sequence[Refund]) -> dict[str, Owner]:
    """By request, as far as the holds are still there. Raises `DatabaseUnavailable`."""
    with database.read() as session:
        found = session.execute(
            select(Hold, ApiKeyRow, Account, Entry)
            .join(ApiKeyRow, col(ApiKeyRow.id) == col(Hold.api_key_id))
            .join(Account, col(Account.id) == col(Hold.account_id))
            .join(
                Entry,
                and_(col(Entry.request_id) == col(Hold.request_id), col(Entry.kind) == "charge"),
            )
            .where(col(Hold.request_id).in_([hold.request_id for hold in holds]))
        ).all()
        return {
            hold.request_id: Owner(
                f"{key.namespace}/{key.name}",
                f"{account.namespace}/{account.name}",
                charge.model or "",
                hold.credits,
            )
            for hold, key, account, charge in found
        }


def all_holds(database: Database) -> list[Refund]:
    """Every hold: for the start of the one process that a SQLite database may have."""
    with database.read() as session:
        found = session.exec(select(Hold.request_id, Hold.account_id)).all()
        return [Refund(request_id, account_id) for request_id, account_id in found]


def forget_replica(database: Database, lease: Lease) -> None:
    """Delete the row of a dead replica that has no holds left, unless it has come back."""
    with database.write() as session:
        row = session.exec(
            select(Replica).where(Replica.id == lease.replica_id).with_for_update()
        ).one_or_none()
        held = select(exists().where(col(Hold.replica_id) == lease.replica_id))
        if row is None or _mark(row.seen_at) != lease.mark or session.execute(held).scalar_one():
            return
        session.delete(row)


def _mark(seen_at: datetime) -> str:
    return seen_at.isoformat()
