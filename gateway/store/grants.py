"""Grants: posted once by identity, expired when due, voided on request; always under a lock."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, text, update
from sqlmodel import Session, col, select

from gateway.core.actor import UNKNOWN_ACTOR, Actor
from gateway.core.credits import BALANCE_MAX, Lot, add_lot, reconcile_lots, take_lot
from gateway.core.spec import CreditGrant as CreditGrantObject
from gateway.store.accounts import (
    ensure_account,
    lock_accounts,
    post_entries,
    read_lots,
    write_lots,
)
from gateway.store.change_log import log_row
from gateway.store.database import Database
from gateway.store.grant_result import GrantResult
from gateway.store.grant_rows import (
    ONE_GRANT,
    GrantState,
    decided,
    find_grant,
    grant_identity,
    payload_hash,
    read_grant_row,
)
from gateway.store.request_tables import Hold
from gateway.store.tables import Account, CreditGrantRow

#: grants whose expiry is posted in one transaction, for which charges of the account wait
_EXPIRED_AT_ONCE = 250


def apply_grant(
    database: Database,
    installation: str,
    grant: CreditGrantObject,
    actor: Actor = UNKNOWN_ACTOR,
) -> GrantResult:
    """Post a grant once, and void it once where its object wants that.

    The same identity with another payload is a conflict; a grant already expired when first seen is
    never posted. A grant that is decided already is only read. Raises `DatabaseUnavailable`.
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
        state = _read_grant(session, installation, identity)
        result = decided(grant, state, now)
        if result is not None:
            return result
        if state is None:
            return _post(session, installation, grant, account, actor, now)
        row = session.exec(
            select(CreditGrantRow).where(
                CreditGrantRow.installation == installation, CreditGrantRow.identity == identity
            )
        ).one()
        taken = _take(session, account, [row.id], "void", now)
        log_row(session, "grant.voided", row, actor, now, credits=taken)
        result = decided(grant, _read_grant(session, installation, identity), now)
        assert result is not None, "what was voided is decided"
        return result


def expire_grants(database: Database, account_id: int) -> int:
    """Post the expiry of every due grant of an account; how many there were.

    Some at a time: between them, charges of the account get their turn.
    """
    posted = 0
    while True:
        some = _expire_some(database, account_id)
        posted += some
        if some < _EXPIRED_AT_ONCE:
            return posted


def _expire_some(database: Database, account_id: int) -> int:
    with database.write() as session:
        (account,) = lock_accounts(session, [account_id])
        now = database.now(session)
        due = session.exec(
            select(CreditGrantRow.id)
            .where(
                CreditGrantRow.account_id == account_id,
                col(CreditGrantRow.expires_at) <= now,
                col(CreditGrantRow.expired_at).is_(None),
                col(CreditGrantRow.voided_at).is_(None),
            )
            .order_by(col(CreditGrantRow.expires_at), col(CreditGrantRow.id))
            .limit(_EXPIRED_AT_ONCE)
        ).all()
        if due:
            _take(session, account, due, "expiry", now)
        return len(due)


def _read_grant(session: Session, installation: str, identity: str) -> GrantState | None:
    values = {"installation": installation, "identity": identity}
    row = session.execute(text(ONE_GRANT), values).one_or_none()
    return None if row is None else read_grant_row(row)


def _post(
    session: Session,
    installation: str,
    grant: CreditGrantObject,
    account: Account,
    actor: Actor,
    now: datetime,
) -> GrantResult:
    spec = grant.spec
    row = CreditGrantRow(
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
    return post_new(session, row, account, actor, now, reference=spec.reference)


def post_new(
    session: Session,
    row: CreditGrantRow,
    account: Account,
    actor: Actor,
    now: datetime,
    *,
    reference: str | None = None,
) -> GrantResult:
    """Post a grant whose identity is not there, under the account's lock; or report that it does
    not fit."""
    if _would_hold_too_much(session, account, row.credits):
        return GrantResult(
            "BalanceTooLarge",
            f"{row.namespace}/{account.name} has {account.balance} credits, and with those that"
            f" open requests may give back, no account may have above {BALANCE_MAX}",
        )
    before = read_lots(session, account)
    session.add(row)
    session.flush()
    lots = add_lot(
        reconcile_lots(before, account.balance), Lot(row.id, row.credits, row.expires_at)
    )
    (entry_id,) = post_entries(session, account, "grant", {row.id: row.credits}, now)
    account.granted, account.announced = account.balance, 0
    write_lots(session, account, before, lots)
    facts = {"credits": row.credits, "reason": row.reason, "reference": reference}
    log_row(session, "grant.posted", row, actor, now, entry_id=entry_id, **facts)
    return GrantResult("Posted", f"{row.credits} credits posted", entry_id, now)


def _would_hold_too_much(session: Session, account: Account, credits: int) -> bool:
    """True if there would be no room for all that the account has and may get back."""
    held = session.exec(
        select(func.coalesce(func.sum(Hold.credits), 0)).where(Hold.account_id == account.id)
    ).one()
    return account.balance + int(held) + credits > BALANCE_MAX


def _take(
    session: Session, account: Account, grant_ids: Sequence[int], kind: str, now: datetime
) -> int:
    """Take back what is left of some grants, under the account's lock; how many credits."""
    before = read_lots(session, account, grant_ids)
    reconciled = reconcile_lots(before, account.balance)
    left = {lot.grant_id: lot.remaining for lot in reconciled.lots}
    lots, taken = take_lot(reconciled, *grant_ids)
    credits = {grant_id: -left.get(grant_id, 0) for grant_id in grant_ids}
    assert sum(credits.values()) == -taken, "the entries are what was taken"
    post_entries(session, account, kind, credits, now)
    mark = {"voided_at" if kind == "void" else "expired_at": now}
    session.execute(
        update(CreditGrantRow)
        .where(col(CreditGrantRow.id).in_(grant_ids))
        .values(remaining=0, **mark)
    )
    write_lots(session, account, before, lots)
    return taken
