"""API keys as reconcilers see them: the content of a row, and whether it matches its object."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import and_
from sqlalchemy import select as sql_select
from sqlmodel import Session, col, select

from gateway.core.spec import ApiKey as ApiKeyObject
from gateway.core.spec import overlap_seconds
from gateway.store.database import Database
from gateway.store.tables import Account, ApiKeyHash, ApiKeyRow


class KeyState(Struct, frozen=True, kw_only=True):
    """A key's row and its hashes at one moment of the database's clock.

    `newest_hash` is the one last issued; `live_hashes` are those that authenticate (it, and one in
    its overlap); `dead_hashes` did so once. `version` grows with every change of the row.
    """

    id: int
    key_id: str
    namespace: str
    name: str
    uid: str
    scope: str
    label: str
    account: str
    prefix: str
    models: tuple[str, ...]
    credits_per_day: int | None
    credits_per_month: int | None
    credits: int | None
    requests_per_minute: int | None
    concurrent_requests: int | None
    suspended: bool
    expires_at: datetime | None
    expired: bool
    generation: int
    revoked: bool
    version: int
    newest_hash: bytes | None
    live_hashes: frozenset[bytes]
    dead_hashes: frozenset[bytes]

    def matches(self, key: ApiKeyObject, *, rotated: bool = True) -> bool:
        """True if the row holds everything that the object states.

        With `rotated=False` the rotation that the object asks for may still be to come.
        """
        spec = key.spec
        ends_overlap = len(self.live_hashes) > 1 and overlap_seconds(spec.rotation.overlap) == 0
        return (
            not self.revoked
            and not ends_overlap
            and (self.uid, self.account) == (key.metadata.uid, spec.account)
            and self.models == tuple(spec.models)
            and self.scope == spec.scope
            and self.credits_per_day == spec.day_limit
            and self.credits_per_month == spec.limits.credits_per_month
            and self.credits == spec.limits.credits
            and self.requests_per_minute == spec.limits.requests_per_minute
            and self.concurrent_requests == spec.limits.concurrent_requests
            and self.expires_at == spec.expires_at
            and self.suspended == spec.suspended
            and self.generation <= spec.rotation.generation
            and (self.generation == spec.rotation.generation or not rotated)
        )


def find_key(database: Database, installation: str, namespace: str, name: str) -> KeyState | None:
    """The row of an ApiKey object, by name. Raises `DatabaseUnavailable`."""
    with database.read() as session:
        found = session.execute(
            select(ApiKeyRow, Account)
            .join(Account, col(Account.id) == col(ApiKeyRow.account_id))
            .where(
                ApiKeyRow.installation == installation,
                ApiKeyRow.namespace == namespace,
                ApiKeyRow.name == name,
            )
        ).one_or_none()
        if found is None:
            return None
        row, account = found
        return read_state(session, row, account.name, database.now(session))


def list_keys(database: Database, installation: str) -> list[KeyState]:
    """All keys of an installation that are not revoked, by two statements however many they are."""
    living = and_(col(ApiKeyRow.installation) == installation, col(ApiKeyRow.revoked_at).is_(None))
    with database.read(snapshot=True) as session:
        now = database.now(session)
        # Columns and no objects: of ten thousand keys those would be a hundred megabytes.
        rows = session.execute(
            sql_select(*_columns(ApiKeyRow), col(Account.name).label("account"))
            .join(Account, col(Account.id) == col(ApiKeyRow.account_id))
            .where(living)
        ).all()
        hashes: dict[int, list[Any]] = {}
        issued = sql_select(*_columns(ApiKeyHash)).join(
            ApiKeyRow, col(ApiKeyRow.id) == col(ApiKeyHash.api_key_id)
        )
        for each in session.execute(issued.where(living)):
            hashes.setdefault(each.api_key_id, []).append(each)
        return [_state(row, row.account, hashes.get(row.id, ()), now) for row in rows]


def _columns(table: Any) -> list[Any]:
    return list(table.__table__.columns)


def read_state(session: Session, row: ApiKeyRow, account: str, now: datetime) -> KeyState:
    """The state of one row within a transaction."""
    issued = select(ApiKeyHash).where(ApiKeyHash.api_key_id == row.id)
    return _state(row, account, session.exec(issued).all(), now)


def _state(row: Any, account: str, hashes: Iterable[Any], now: datetime) -> KeyState:
    """The state of an `ApiKeyRow` with its `ApiKeyHash`es, or of their columns."""
    by_age = sorted(hashes, key=lambda each: each.created_at)
    live = [
        each
        for each in by_age
        if each.revoked_at is None and (each.expires_at is None or each.expires_at > now)
    ]
    newest = next((each.hash for each in reversed(live) if each.expires_at is None), None)
    live_hashes = frozenset(each.hash for each in live)
    return KeyState(
        id=row.id,
        key_id=row.key_id,
        namespace=row.namespace,
        name=row.name,
        uid=row.uid,
        scope=row.scope,
        label=row.label,
        account=account,
        prefix=row.prefix,
        models=tuple(row.models),
        credits_per_day=row.credits_per_day,
        credits_per_month=row.credits_per_month,
        credits=row.credits,
        requests_per_minute=row.requests_per_minute,
        concurrent_requests=row.concurrent_requests,
        suspended=row.suspended,
        expires_at=row.expires_at,
        expired=row.expires_at is not None and row.expires_at <= now,
        generation=row.generation,
        revoked=row.revoked_at is not None,
        version=row.version,
        newest_hash=newest,
        live_hashes=live_hashes,
        dead_hashes=frozenset(each.hash for each in by_age) - live_hashes,
    )
