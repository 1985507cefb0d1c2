"""Grants: posted once by identity, expired when due, voided on request; always under a lock."""

from datetime import datetime
from hashlib import sha256
from typing import Literal

import msgspec
from msgspec import Struct
from sqlmodel import Session, col, select

from gateway.core.credits import Lot, add_lot, settle_lots, take_lot
from gateway.core.spec import CreditGrant as CreditGrantObject
from gateway.store.accounts import ensure_account, lock_accounts, post_entry, read_lots, write_lots
from gateway.store.database import Database
from gateway.store.tables import Account, CreditGrant, Entry

GrantReason = Literal["Posted", "AlreadyPosted", "Voided", "Expired", "IdempotencyConflict"]


class GrantResult(Struct, frozen=True):
    """What became of a CreditGrant object; the two last reasons stall it."""

    reason: GrantReason
    message: str
    entry_id: int | None = None
    posted_at: datetime | None = None

    @property
    def is_stalled(self) -> bool:
        return self.reason == "IdempotencyConflict" or (
            self.reason == "Expired" and self.entry_id is None
        )


def grant_identity(grant: CreditGrantObject) -> str:
    """What makes two objects the same grant: the reference, or else the name, in the namespace."""
    if grant.spec.reference is not None:
        return f"{grant.metadata.namespace}/ref:{grant.spec.reference}"
    return f"{grant.metadata.namespace}/name:{grant.metadata.name}"


def payload_hash(grant: CreditGrantObject) -> str:
    """A hash of everything that must not change between two objects of one identity."""
    spec = grant.spec
    expires_at = spec.expires_at.timestamp() if spec.expires_at else None
    payload = (grant.metadata.namespace, spec.account, spec.credits, expires_at)
    return sha256(msgspec.json.encode(payload)).hexdigest()


def apply_grant(database: Database, installation: str, grant: CreditGrantObject) -> GrantResult:
    """Post a grant once, and void it once where its object says so.

    The same identity with another payload is a conflict; a grant already expired when first seen
    is never posted. Raises `DatabaseUnavailable`.
    """
    with database.write() as session:
        now = database.now(session)
        spec = grant.spec
        account = ensure_account(session, installation, grant.metadata.namespace, spec.account, now)
        now = database.now(session)
        row = session.exec(
            select(CreditGrant).where(
                CreditGrant.installation == installation,
                CreditGrant.identity == grant_identity(grant),
            )
        ).one_or_none()
        if row is None:
            return _post(session, installation, grant, account, now)
        if row.payload_hash != payload_hash(grant):
            return GrantResult(
                "IdempotencyConflict",
                f"{grant_identity(grant)} was posted with another account, amount or expiry;"
                " use another name or reference",
            )
        if spec.void and row.voided_at is None and row.expired_at is None:
            _take(session, account, row, "void", now)
        return _result(session, row)


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
    if spec.expires_at is not None and spec.expires_at <= now:
        return GrantResult("Expired", "the grant had expired before it was first seen")
    if spec.void:
        return GrantResult("Voided", "the grant was void before it was first seen")
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


def _result(session: Session, row: CreditGrant) -> GrantResult:
    posted = select(Entry.id).where(Entry.grant_id == row.id, Entry.kind == "grant")
    entry_id = session.exec(posted).one()
    if row.voided_at is not None:
        return GrantResult("Voided", "what was left was taken back", entry_id, row.posted_at)
    if row.expired_at is not None:
        return GrantResult("Expired", "what was left expired", entry_id, row.posted_at)
    return GrantResult("AlreadyPosted", f"{row.credits} credits posted", entry_id, row.posted_at)
