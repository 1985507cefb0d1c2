"""Accounts: made by the first object that names them, locked before anything is written."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col, select

from gateway.core.credits import Lot, Lots
from gateway.store.tables import Account, CreditGrant, Entry


def ensure_account(
    session: Session, installation: str, namespace: str, name: str, now: datetime
) -> Account:
    """The account's row, made if it is missing, and locked."""
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    values = {
        "installation": installation,
        "namespace": namespace,
        "name": name,
        "created_at": now,
    }
    session.execute(insert(Account).values(**values).on_conflict_do_nothing())
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


def read_lots(session: Session, account: Account) -> Lots:
    """The live lots of a locked account."""
    found = (
        select(CreditGrant)
        .where(CreditGrant.account_id == account.id, col(CreditGrant.remaining) > 0)
        .order_by(col(CreditGrant.id))
    )
    rows = session.exec(found).all()
    return Lots(tuple(Lot(row.id, row.remaining, row.expires_at) for row in rows), account.surplus)


def write_lots(session: Session, account: Account, before: Lots, after: Lots) -> None:
    """Store what is left of each lot, the surplus and the next expiry."""
    for lot in before.lots:
        remaining = after.remaining(lot.grant_id)
        if remaining != lot.remaining:
            row = session.get_one(CreditGrant, lot.grant_id)
            row.remaining = remaining
            session.add(row)
    account.surplus = after.surplus
    account.next_expiry = after.next_expiry()
    session.add(account)


def post_entry(
    session: Session, account: Account, kind: str, credits: int, grant_id: int, now: datetime
) -> Entry:
    """Append an entry of a grant and move the balance with it."""
    entry = Entry(
        account_id=account.id, kind=kind, credits=credits, grant_id=grant_id, created_at=now
    )
    session.add(entry)
    account.balance += credits
    assert account.balance >= 0, "a balance is never below zero"
    session.add(account)
    session.flush()
    return entry
