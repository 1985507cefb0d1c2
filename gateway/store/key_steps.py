"""The steps of every change of a key, whichever its origin, under its account's lock."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import update
from sqlmodel import Session, col, select

from gateway.core.keys import Credential
from gateway.store.key_errors import DuplicateCredential
from gateway.store.key_rows import KeyState, state_of
from gateway.store.tables import ApiKeyHash, ApiKeyRow, KeyVersion


def read_state(session: Session, row: ApiKeyRow, account: str, now: datetime) -> KeyState:
    """The state of one row within a transaction."""
    issued = select(ApiKeyHash).where(ApiKeyHash.api_key_id == row.id)
    return state_of(row, account, session.exec(issued).all(), now)


def issue(
    session: Session, row: ApiKeyRow, credential: Credential | None, now: datetime, overlap: int
) -> None:
    hashes = session.exec(
        select(ApiKeyHash)
        .where(ApiKeyHash.api_key_id == row.id, col(ApiKeyHash.revoked_at).is_(None))
        .order_by(col(ApiKeyHash.created_at).desc())
        .with_for_update()
    ).all()
    newest = next((each for each in hashes if each.expires_at is None), None)
    if credential is None or (newest is not None and newest.hash == credential.hash):
        if overlap == 0:
            revoke_hashes(session, [each for each in hashes if each is not newest], now)
        return
    # At most two are live: the newest one may have an overlap, older ones end here.
    for position, old in enumerate(hashes):
        if position == 0 and overlap > 0 and old.hash != credential.hash:
            old.expires_at = now + timedelta(seconds=overlap)
            session.add(old)
        else:
            revoke_hashes(session, [old], now)
    session.flush()
    known = session.get(ApiKeyHash, credential.hash)
    if known is not None and known.api_key_id != row.id:
        owner = session.get_one(ApiKeyRow, known.api_key_id)
        raise DuplicateCredential(owner.namespace, owner.name)
    if known is None:
        known = ApiKeyHash(hash=credential.hash, api_key_id=row.id, pepper=credential.pepper)
    known.created_at = now
    known.expires_at = None
    known.revoked_at = None
    session.add(known)


def revoke_hashes(session: Session, hashes: Sequence[ApiKeyHash], now: datetime) -> None:
    for old in hashes:
        old.revoked_at = now
        session.add(old)


def bump_version(session: Session, row: ApiKeyRow) -> None:
    """Number the change; the counter's row lock makes the numbers' order that of the commits."""
    version: int = session.execute(
        update(KeyVersion)
        .where(col(KeyVersion.id) == 1)
        .values(version=KeyVersion.version + 1)
        .returning(col(KeyVersion.version))
    ).scalar_one()
    row.version = version
    session.add(row)
    session.flush()
