"""Grants: posted once by identity, expired when due, voided on request; always under a lock."""

from datetime import datetime

from sqlmodel import Session, col, select

from gateway.core.credits import Lot, add_lot, settle_lots, take_lot
from gateway.core.spec import CreditGrant as CreditGrantObject
from gateway.store.accounts import ensure_account, lock_accounts, post_entry, read_lots, write_lots
from gateway.store.database import Database
from gateway.store.grant_states import (
    GrantResult,
    decided,
    find_grant,
    grant_identity,
    payload_hash,
    read_grant,
)
from gateway.store.tables import Account, CreditGrant


def apply_grant(database: Database, installation: str, grant: CreditGrantObject) -> GrantResult:
    """Post a grant once, and void it once where its object says so.

    The same identity with another payload is a conflict; a grant already expired when first seen
    is never posted. What is decided already is only read. Raises `DatabaseUnavailable`.
    """
    state, now = find_grant(database, installation, grant)
    result = decided(grant, state, now)
    if state is not None and result is not None:
        return result
    with database.write() as session:
        now = database.now(session)
        spec, identity = grant.spec, grant_identity(grant)
        account = ensure_account(session, installation, grant.metadata.namespace, spec.account, now)
        now = database.now(session)
        state = read_grant(session, installation, identity)
        result = decided(grant, state, now)
        if result is not None:
            return result
        if state is None:
            return _post(session, installation, grant, account, now)
        row = session.exec(
            select(CreditGrant).where(
                CreditGrant.installation == installation, CreditGrant.identity == identity
            )
        ).one()
        _take(session, account, row, "void", now)
        session.flush()
        result = decided(grant, read_grant(session, installation, identity), now)
        assert result is not None, "what was voided is decided"
        return result


def expire_grants(database: Database, account_id: int) -> int:
    """Post the expiry of every due grant of an account; how many there were."""
    with database.write() as session:
        (account,) = lock_accounts(session, [account_id])
        now = database.now(session)
        due = session.exec(
            select(CreditGrant)
            .where(
                CreditGrant.account_id == account_id,
                col(CreditGrant.expires_at) <= now,
                col(CreditGrant.expired_at).is_(None),
                col(CreditGrant.voided_at).is_(None),
            )
            .order_by(col(CreditGrant.expires_at), col(CreditGrant.id))
        ).all()
        for row in due:
            _take(session, account, row, "expiry", now)
        return len(due)


def accounts_with_due_grants(database: Database) -> list[int]:
    """Accounts whose next expiry has passed, so that idle ones are brought up to date too."""
    with database.read() as session:
        now = database.now(session)
        return list(session.exec(select(Account.id).where(col(Account.next_expiry) <= now)).all())


def _post(
    session: Session,
    installation: str,
    grant: CreditGrantObject,
    account: Account,
    now: datetime,
) -> GrantResult:
    spec = grant.spec
    row = CreditGrant(
        installation=installation,
        identity=grant_identity(grant),
        namespace=grant.metadata.namespace,
        name=grant.metadata.name,
        uid=grant.metadata.uid,
        account_id=account.id,
        credits=spec.credits,
        remaining=spec.credits,
        reason=spec.reason,
        expires_at=spec.expires_at,
        payload_hash=payload_hash(grant),
        posted_at=now,
    )
    before = read_lots(session, account)
    session.add(row)
    session.flush()
    settled = settle_lots(before, account.balance)
    entry = post_entry(session, account, "grant", spec.credits, row.id, now)
    account.granted, account.announced = account.balance, 0
    lots = add_lot(settled, Lot(row.id, spec.credits, spec.expires_at))
    write_lots(session, account, before, lots)
    return GrantResult("Posted", f"{spec.credits} credits posted", entry.id, now)


def _take(session: Session, account: Account, row: CreditGrant, kind: str, now: datetime) -> None:
    before = read_lots(session, account)
    lots, taken = take_lot(settle_lots(before, account.balance), row.id)
    post_entry(session, account, kind, -taken, row.id, now)
    write_lots(session, account, before, lots)
    if kind == "void":
        row.voided_at = now
    else:
        row.expired_at = now
    row.remaining = 0
    session.add(row)
