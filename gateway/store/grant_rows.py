"""Grants as reconcilers see them, and the decision on an object without a write."""

from datetime import datetime
from hashlib import sha256

import msgspec
from msgspec import Struct
from sqlmodel import Session, col, select

from gateway.core.spec import CreditGrant as CreditGrantObject
from gateway.store.database import Database
from gateway.store.grant_result import GrantReason, GrantResult
from gateway.store.tables import CreditGrantRow, Entry


class GrantState(Struct, frozen=True, kw_only=True):
    """A grant's row, with the ledger's entry that posted it."""

    identity: str
    uid: str
    payload_hash: str
    credits: int
    entry_id: int
    posted_at: datetime
    voided: bool
    expired: bool


def grant_identity(grant: CreditGrantObject) -> str:
    """The identity of a grant: the reference, or else the name, in the namespace."""
    if grant.spec.reference is not None:
        return f"{grant.metadata.namespace}/ref:{grant.spec.reference}"
    return f"{grant.metadata.namespace}/name:{grant.metadata.name}"


def payload_hash(grant: CreditGrantObject) -> str:
    """A hash of everything that must not change between two objects of one identity."""
    spec = grant.spec
    expires_at = spec.expires_at.timestamp() if spec.expires_at else None
    payload = (grant.metadata.namespace, spec.account, spec.credits, expires_at)
    return sha256(msgspec.json.encode(payload)).hexdigest()


def decided(
    grant: CreditGrantObject, state: GrantState | None, now: datetime
) -> GrantResult | None:
    """The result for a grant, or None where its posting or its void is still to be written."""
    spec = grant.spec
    if state is None:
        if spec.expires_at is not None and spec.expires_at <= now:
            return GrantResult("Expired", "the grant had expired before it was first seen")
        if spec.void:
            return GrantResult("Voided", "the grant was void before it was first seen")
        if spec.starts_at is not None and spec.starts_at > now:
            return GrantResult("Scheduled", "the credits are posted when the grant starts")
        return None
    if state.payload_hash != payload_hash(grant):
        return GrantResult(
            "IdempotencyConflict",
            f"{grant_identity(grant)} was posted with another account, amount or expiry;"
            " use another name or reference",
        )
    if state.voided:
        return _posted(state, "Voided", "what was left was taken back")
    if state.expired:
        return _posted(state, "Expired", "what was left expired")
    if spec.void:
        return None
    return _posted(state, "AlreadyPosted", f"{state.credits} credits posted")


def find_grant(
    database: Database, installation: str, grant: CreditGrantObject
) -> tuple[GrantState | None, datetime]:
    """The grant of an object's identity, and the moment. Raises `DatabaseUnavailable`."""
    with database.read() as session:
        state = read_grant(session, installation, grant_identity(grant))
        return state, database.now(session)


def list_grants(database: Database, installation: str) -> tuple[dict[str, GrantState], datetime]:
    """All grants of an installation by their identity, by one statement, and the moment."""
    with database.read() as session:
        found = select(CreditGrantRow, Entry.id).join(
            Entry, col(Entry.grant_id) == CreditGrantRow.id
        )
        rows = session.execute(
            found.where(CreditGrantRow.installation == installation, Entry.kind == "grant")
        ).all()
        return {row.identity: _state(row, entry) for row, entry in rows}, database.now(session)


def read_grant(session: Session, installation: str, identity: str) -> GrantState | None:
    """One grant within a transaction."""
    found = select(CreditGrantRow, Entry.id).join(Entry, col(Entry.grant_id) == CreditGrantRow.id)
    pair = session.execute(
        found.where(
            CreditGrantRow.installation == installation,
            CreditGrantRow.identity == identity,
            Entry.kind == "grant",
        )
    ).one_or_none()
    return None if pair is None else _state(pair[0], pair[1])


def _state(row: CreditGrantRow, entry_id: int) -> GrantState:
    return GrantState(
        identity=row.identity,
        uid=row.uid,
        payload_hash=row.payload_hash,
        credits=row.credits,
        entry_id=entry_id,
        posted_at=row.posted_at,
        voided=row.voided_at is not None,
        expired=row.expired_at is not None,
    )


def _posted(state: GrantState, reason: GrantReason, message: str) -> GrantResult:
    return GrantResult(reason, message, state.entry_id, state.posted_at)
