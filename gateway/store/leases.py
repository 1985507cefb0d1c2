"""Leases: which replicas live, and what becomes of the requests of one that died.

A replica's row is seen anew every few seconds by the database's clock. A hold of a replica that was
not seen for a whole lease is refunded by whoever finds it; whoever deletes the hold decides, so
finding it twice does no harm.
"""

from collections.abc import Collection
from datetime import timedelta

from sqlalchemy import delete
from sqlmodel import Session, col, or_, select

from gateway import __version__
from gateway.store.accounts import lock_accounts
from gateway.store.database import Database
from gateway.store.tables import ApiKeyDay, Entry, Hold, Replica

_BATCH = 500


def renew_lease(database: Database, replica_id: str) -> None:
    """Say that this replica lives. Raises `DatabaseUnavailable`."""
    with database.write() as session:
        now = database.now(session)
        row = session.get(Replica, replica_id)
        if row is None:
            row = Replica(id=replica_id, release=__version__, started_at=now, seen_at=now)
        row.seen_at = now
        session.add(row)


def end_lease(database: Database, replica_id: str) -> None:
    """Forget a replica that drained; its last holds, if any, are reaped like a dead one's."""
    with database.write() as session:
        session.execute(delete(Replica).where(col(Replica.id) == replica_id))


def reap_dead_replicas(database: Database, lease_seconds: float) -> int:
    """Refund the holds of replicas whose lease is over; how many there were."""
    with database.read() as session:
        deadline = database.now(session) - timedelta(seconds=lease_seconds)
        living = select(Replica.id).where(col(Replica.seen_at) >= deadline)
        stale = session.exec(
            select(Hold.request_id)
            .where(
                col(Hold.replica_id).not_in(living),
                or_(
                    col(Hold.replica_id).in_(select(Replica.id)),
                    col(Hold.created_at) < deadline,
                ),
            )
            .order_by(col(Hold.account_id))
        ).all()
    reaped = _refund_all(database, stale)
    with database.write() as session:
        held = select(Hold.replica_id)
        session.execute(
            delete(Replica).where(col(Replica.seen_at) < deadline, col(Replica.id).not_in(held))
        )
    return reaped


def reap_unknown(
    database: Database, replica_id: str, known: Collection[str], age_seconds: float
) -> int:
    """Refund holds of this very replica that it does not know and that are old enough.

    They are left by charges whose commit was not confirmed.
    """
    with database.read() as session:
        deadline = database.now(session) - timedelta(seconds=age_seconds)
        found = session.exec(
            select(Hold.request_id).where(
                Hold.replica_id == replica_id, col(Hold.created_at) < deadline
            )
        ).all()
    return _refund_all(database, [request_id for request_id in found if request_id not in known])


def reap_everything(database: Database) -> int:
    """Refund every hold: for the start of the one process that a SQLite database may have."""
    with database.read() as session:
        found = session.exec(select(Hold.request_id)).all()
    return _refund_all(database, found)


def _refund_all(database: Database, request_ids: Collection[str]) -> int:
    ids = list(request_ids)
    refunded = 0
    for start in range(0, len(ids), _BATCH):
        with database.write() as session:
            refunded += _refund(database, session, ids[start : start + _BATCH])
    return refunded


def _refund(database: Database, session: Session, request_ids: list[str]) -> int:
    owners = session.exec(
        select(Hold.account_id).where(col(Hold.request_id).in_(request_ids))
    ).all()
    accounts = {account.id: account for account in lock_accounts(session, owners)}
    holds = session.exec(
        select(Hold)
        .where(col(Hold.request_id).in_(request_ids))
        .order_by(col(Hold.request_id))
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()
    now = database.now(session)
    for hold in holds:
        account = accounts[hold.account_id]
        account.balance += hold.credits
        session.add(account)
        session.add(
            Entry(
                account_id=hold.account_id,
                kind="refund",
                credits=hold.credits,
                request_id=hold.request_id,
                api_key_id=hold.api_key_id,
                created_at=now,
            )
        )
        if hold.day is not None:
            day = session.get_one(ApiKeyDay, (hold.api_key_id, hold.day))
            day.credits -= hold.credits
            session.add(day)
        session.delete(hold)
    return len(holds)
