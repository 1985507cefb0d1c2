"""API keys as rows: the one step from an ApiKey object to what the gateway may charge.

Every writer takes the account's lock, then marks the key, then raises the key version, in one
transaction: after its commit no replica can charge a key that it marked dead.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec import Struct
from sqlalchemy import update
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from gateway.core.keys import generate_key_id
from gateway.core.spec import ApiKey as ApiKeyObject
from gateway.core.spec import overlap_seconds
from gateway.store.accounts import ensure_account, lock_accounts
from gateway.store.database import Database
from gateway.store.tables import Account, ApiKey, ApiKeyHash, KeyVersion


class Credential(Struct, frozen=True):
    """What is kept of one plaintext: its hash, the pepper's number and the part to be shown."""

    hash: bytes
    pepper: int
    prefix: str


class DuplicateCredential(ValueError):
    """Another key has the same plaintext; the message names it."""


class KeyState(Struct, frozen=True):
    """A key's row, as whoever reconciles sees it. `newest_hash` is the one last issued."""

    id: int
    key_id: str
    namespace: str
    name: str
    uid: str
    prefix: str
    generation: int
    revoked: bool
    newest_hash: bytes | None


def find_key(database: Database, installation: str, namespace: str, name: str) -> KeyState | None:
    """The row of an ApiKey object, by name."""
    with database.read() as session:
        row = session.exec(_by_name(installation, namespace, name)).one_or_none()
        return None if row is None else _state(session, row)


def list_keys(database: Database, installation: str) -> list[KeyState]:
    """All keys of an installation that are not revoked."""
    with database.read() as session:
        rows = session.exec(
            select(ApiKey).where(
                ApiKey.installation == installation, col(ApiKey.revoked_at).is_(None)
            )
        ).all()
        return [_state(session, row) for row in rows]


def apply_key(
    database: Database, installation: str, key: ApiKeyObject, credential: Credential
) -> KeyState:
    """Make the row say what the object says, with `credential` as its newest hash.

    A credential that is already the newest changes nothing; another one is a rotation: the old
    one lives on for the object's overlap. An object of another UID, and one whose row was
    revoked, is issued anew: all old hashes die at once. Raises `DuplicateCredential`.
    """
    with database.write() as session:
        now = database.now(session)
        account = ensure_account(
            session, installation, key.metadata.namespace, key.spec.account, now
        )
        found = _by_name(installation, key.metadata.namespace, key.metadata.name)
        row = session.exec(found.with_for_update()).one_or_none()
        if row is None:
            row = ApiKey(
                key_id=generate_key_id(),
                installation=installation,
                namespace=key.metadata.namespace,
                name=key.metadata.name,
                account_id=account.id,
                prefix=credential.prefix,
                version=0,
                created_at=now,
            )
        elif row.account_id != account.id:
            lock_accounts(session, [row.account_id, account.id])
        reissued = row.revoked_at is not None or row.uid != key.metadata.uid
        _copy_spec(row, key, account)
        row.prefix = credential.prefix
        session.add(row)
        session.flush()
        overlap = 0 if reissued else overlap_seconds(key.spec.rotation.overlap)
        _issue(session, row, credential, now, overlap)
        _bump_version(session, row)
        return _state(session, row)


def revoke_key(database: Database, key_row_id: int) -> None:
    """Mark a key revoked; when this returns, no charge can be made with it any more."""
    with database.write() as session:
        row = session.get(ApiKey, key_row_id)
        if row is None or row.revoked_at is not None:
            return
        lock_accounts(session, [row.account_id])
        row.revoked_at = database.now(session)
        session.add(row)
        _bump_version(session, row)


def suspend_key(database: Database, key_row_id: int, *, suspended: bool = True) -> None:
    """Suspend a key, reversibly."""
    with database.write() as session:
        row = session.get_one(ApiKey, key_row_id)
        lock_accounts(session, [row.account_id])
        row.suspended = suspended
        session.add(row)
        _bump_version(session, row)


def note_use(database: Database, key_row_ids: Sequence[int]) -> None:
    """Remember that these keys were used just now."""
    with database.write() as session:
        session.execute(
            update(ApiKey)
            .where(col(ApiKey.id).in_(sorted(key_row_ids)))
            .values(last_used_at=database.now(session))
        )


def _issue(
    session: Session, row: ApiKey, credential: Credential, now: datetime, overlap: int
) -> None:
    hashes = session.exec(
        select(ApiKeyHash)
        .where(ApiKeyHash.api_key_id == row.id, col(ApiKeyHash.revoked_at).is_(None))
        .order_by(col(ApiKeyHash.created_at).desc())
        .with_for_update()
    ).all()
    if hashes and hashes[0].hash == credential.hash and hashes[0].expires_at is None:
        if overlap == 0:
            _revoke_hashes(session, hashes[1:], now)
        return
    # At most two are live: the newest one may have an overlap, older ones end here.
    for position, old in enumerate(hashes):
        if position == 0 and overlap > 0 and old.hash != credential.hash:
            old.expires_at = now + timedelta(seconds=overlap)
            session.add(old)
        else:
            _revoke_hashes(session, [old], now)
    session.flush()
    known = session.get(ApiKeyHash, credential.hash)
    if known is not None and known.api_key_id != row.id:
        owner = session.get_one(ApiKey, known.api_key_id)
        raise DuplicateCredential(f"the same key belongs to {owner.namespace}/{owner.name}")
    if known is None:
        known = ApiKeyHash(hash=credential.hash, api_key_id=row.id, pepper=credential.pepper)
    known.created_at = now
    known.expires_at = None
    known.revoked_at = None
    session.add(known)


def _revoke_hashes(session: Session, hashes: Sequence[ApiKeyHash], now: datetime) -> None:
    for old in hashes:
        old.revoked_at = now
        session.add(old)


def _copy_spec(row: ApiKey, key: ApiKeyObject, account: Account) -> None:
    spec = key.spec
    row.uid = key.metadata.uid
    row.account_id = account.id
    row.models = list(spec.models)
    row.credits_per_day = spec.limits.credits_per_day
    row.requests_per_minute = spec.limits.requests_per_minute
    row.concurrent_requests = spec.limits.concurrent_requests
    row.expires_at = spec.expires_at
    row.suspended = spec.suspended
    row.generation = spec.rotation.generation
    row.revoked_at = None


def _bump_version(session: Session, row: ApiKey) -> None:
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


def _by_name(installation: str, namespace: str, name: str) -> SelectOfScalar[ApiKey]:
    return select(ApiKey).where(
        ApiKey.installation == installation,
        ApiKey.namespace == namespace,
        ApiKey.name == name,
    )


def _state(session: Session, row: ApiKey) -> KeyState:
    newest = session.exec(
        select(ApiKeyHash)
        .where(
            ApiKeyHash.api_key_id == row.id,
            col(ApiKeyHash.revoked_at).is_(None),
            col(ApiKeyHash.expires_at).is_(None),
        )
        .order_by(col(ApiKeyHash.created_at).desc())
    ).first()
    return KeyState(
        id=row.id,
        key_id=row.key_id,
        namespace=row.namespace,
        name=row.name,
        uid=row.uid,
        prefix=row.prefix,
        generation=row.generation,
        revoked=row.revoked_at is not None,
        newest_hash=None if newest is None else newest.hash,
    )
