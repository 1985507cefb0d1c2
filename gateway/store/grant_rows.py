"""Grants as reconcilers see them, and the decision on an object without a write."""

from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Struct

from gateway.core.spec import CreditGrant as CreditGrantObject
from gateway.store.database import Database
from gateway.store.grant_result import GrantReason, GrantResult
from gateway.store.moments import read_moment

_GRANTS = """
SELECT g.identity, g.uid, g.payload_hash, g.credits, e.id, g.posted_at, g.voided_at, g.expired_at
FROM credit_grant g JOIN entry e ON e.grant_id = g.id AND e.kind = 'grant'
WHERE g.installation = :installation
"""
#: the columns of `read_grant_row`
ONE_GRANT = f"{_GRANTS} AND g.identity = :identity"


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


def reference_of(identity: str | None) -> str | None:
    """The reference in an identity, where it was made of one."""
    return identity.partition("/ref:")[2] or None if identity else None


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
    values = {"installation": installation, "identity": grant_identity(grant)}
    with database.plain_read() as transaction:
        row = transaction.row(ONE_GRANT, **values)
        return None if row is None else read_grant_row(row), transaction.now()


def list_grants(database: Database, installation: str) -> tuple[dict[str, GrantState], datetime]:
    """All grants of an installation by their identity, by one statement, and the moment."""
    with database.plain_read() as transaction:
        rows = transaction.rows(_GRANTS, installation=installation)
        return {row[0]: read_grant_row(row) for row in rows}, transaction.now()


def read_grant_row(row: Sequence[Any]) -> GrantState:
    """The state of a grant from the columns of a statement of this module."""
    identity, uid, payload, credits, entry_id, *moments = row
    posted_at, voided_at, expired_at = map(read_moment, moments)
    assert posted_at is not None, "the column takes no null"
    return GrantState(
        identity=identity,
        uid=uid,
        payload_hash=payload,
        credits=credits,
        entry_id=entry_id,
        posted_at=posted_at,
        voided=voided_at is not None,
        expired=expired_at is not None,
    )


def _posted(state: GrantState, reason: GrantReason, message: str) -> GrantResult:
    return GrantResult(reason, message, state.entry_id, state.posted_at)
