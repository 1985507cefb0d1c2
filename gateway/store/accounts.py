"""Accounts: made by the first object that names them, locked before anything is written."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import case, func, insert, or_, update
from sqlalchemy import select as sql_select
from sqlmodel import Session, col, select

from gateway.core.credits import Lot, Lots
from gateway.core.errors import StateConflict
from gateway.core.sentences import Sentence
from gateway.core.spec_fields import FIRST_MOMENT, LAST_MOMENT
from gateway.store.inserts import insert_into
from gateway.store.tables import Account, CreditGrantRow, Entry
from gateway.store.unreadable import can_be_read, set_aside


def ensure_account(
    session: Session, installation: str, namespace: str, name: str, now: datetime
) -> Account:
    """The account's row, made if it is missing, and locked."""
    values = {
        "installation": installation,
        "namespace": namespace,
        "name": name,
        "created_at": now,
    }
    session.execute(insert_into(session, Account).values(**values).on_conflict_do_nothing())
    found = (
        select(Account)
        .where(
            Account.installation == installation,
            Account.namespace == namespace,
            Account.name == name,
        )
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return session.exec(found).one()


def refuse_too_many_accounts(
    session: Session, installation: str, namespace: str, name: str, most: int
) -> None:
    """Raise `StateConflict` where an account would be a new one of a namespace that is full.

    Requests at once may each make one more.
    """
    here = (Account.installation == installation, Account.namespace == namespace)
    if session.exec(select(Account.id).where(*here, Account.name == name)).first() is not None:
        return
    number = session.exec(select(func.count()).select_from(Account).where(*here)).one()
    if number >= most:
        raise StateConflict(
            Sentence(
                "{namespace} has {number} accounts, and no more than {most} are made here",
                {"namespace": namespace, "number": number, "most": most},
            ),
            details={"reason": "too_many_accounts", "limit": "accounts", "level": "namespace"},
        )


def lock_accounts(session: Session, account_ids: Iterable[int]) -> Sequence[Account]:
    """The rows, locked in the order of their ids, as every writer of accounts must."""
    found = (
        select(Account)
        .where(col(Account.id).in_(sorted(set(account_ids))))
        .order_by(col(Account.id))
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return session.exec(found).all()


def read_lots(session: Session, account: Account, wanted: Collection[int] = ()) -> Lots:
    """The live lots of a locked account that were eaten since the last time, and those wanted.

    The database adds up the others: of those that wait for their turn there may be thousands.
    """
    remaining, expires_at = col(CreditGrantRow.remaining), col(CreditGrantRow.expires_at)
    # One whose expiry nobody can read does not expire.
    expiry = case((expires_at.between(FIRST_MOMENT, LAST_MOMENT), expires_at))
    order = (expiry.asc().nulls_last(), col(CreditGrantRow.id))
    live = (
        sql_select(
            col(CreditGrantRow.id),
            remaining,
            expiry.label("expiry"),
            expires_at,
            col(CreditGrantRow.identity),
            (func.sum(remaining).over(order_by=order, rows=(None, 0)) - remaining).label("before"),
            func.sum(remaining).over().label("total"),
        )
        .where(col(CreditGrantRow.account_id) == account.id, remaining > 0)
        .subquery()
    )
    eaten = live.c.total + account.surplus - account.balance
    chosen = or_(live.c.before < eaten, live.c.before == 0, live.c.id.in_(wanted))
    rows = session.execute(sql_select(live).where(chosen)).all()
    for row in rows:
        if not can_be_read(row.expires_at):
            set_aside(f"the expiry of the grant {row.identity}")
    lots = tuple(Lot(row.id, row.remaining, row.expiry) for row in rows)
    # The first lot is among them: it knows of all others.
    rest = int(rows[0].total) - sum(lot.remaining for lot in lots) if rows else 0
    return Lots(lots, account.surplus, rest)


def write_lots(session: Session, account: Account, before: Lots, after: Lots) -> None:
    """Store what is left of each lot, the surplus and the next expiry."""
    known = {lot.grant_id: lot.remaining for lot in before.lots}
    changed = [
        {"id": lot.grant_id, "remaining": lot.remaining}
        for lot in after.lots
        if known.get(lot.grant_id, lot.remaining) != lot.remaining
    ]
    if changed:
        session.execute(update(CreditGrantRow), changed)
    account.surplus = after.surplus
    account.next_expiry = _next_expiry(session, account) if after.rest else after.next_expiry()
    session.add(account)


def _next_expiry(session: Session, account: Account) -> datetime | None:
    first = select(func.min(CreditGrantRow.expires_at)).where(
        CreditGrantRow.account_id == account.id,
        col(CreditGrantRow.remaining) > 0,
        col(CreditGrantRow.expires_at).between(FIRST_MOMENT, LAST_MOMENT),
    )
    return session.exec(first).one()


def post_entries(
    session: Session, account: Account, kind: str, credits: Mapping[int, int], now: datetime
) -> Sequence[int]:
    """Append an entry for each of some grants, and move the balance with them. Their ids."""
    posted = session.execute(
        insert(Entry).returning(col(Entry.id)),
        [
            {
                "account_id": account.id,
                "kind": kind,
                "credits": amount,
                "grant_id": grant_id,
                "created_at": now,
            }
            for grant_id, amount in credits.items()
        ],
    )
    account.balance += sum(credits.values())
    assert account.balance >= 0, "a balance is never below zero"
    session.add(account)
    return posted.scalars().all()
