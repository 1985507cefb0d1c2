"""Reading keys for the gateway's memory: what changed since a version, and one key by its hash."""

from datetime import UTC, datetime

from msgspec import Struct
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import Select

from gateway.store.database import Database
from gateway.store.tables import Account, ApiKey, ApiKeyHash, KeyVersion


class LiveHash(Struct, frozen=True):
    """One hash by which a key may be known; `expires_at` is the end of its overlap."""

    hash: bytes
    pepper: int
    expires_at: datetime | None


class LiveKey(Struct, frozen=True):
    """One key as the gateway holds it. `name` is the object's, `account` the shown name."""

    id: int
    key_id: str
    name: str
    account_id: int
    account: str
    models: tuple[str, ...]
    requests_per_minute: int | None
    concurrent_requests: int | None
    credits_per_day: int | None
    suspended: bool
    revoked_at: datetime | None
    expires_at: datetime | None
    hashes: tuple[LiveHash, ...]

    @property
    def revoked(self) -> bool:
        return self.revoked_at is not None


class KeyChanges(Struct, frozen=True):
    """Keys changed after a version, the newest version, and the database's clock."""

    version: int
    now: datetime
    keys: tuple[LiveKey, ...]


def read_changes(database: Database, since: int) -> KeyChanges:
    """Every key whose version is above `since`. Raises `DatabaseUnavailable`."""
    version, now = _newest_version(database)
    if version == since:
        return KeyChanges(version, now, ())
    with database.read(snapshot=True) as session:
        version = session.exec(select(KeyVersion.version)).one()
        now = database.now(session)
        keys = _read(session, _keys().where(col(ApiKey.version) > since))
        return KeyChanges(version, now, keys)


def _newest_version(database: Database) -> tuple[int, datetime]:
    if database.is_sqlite:
        return database.glance("SELECT version FROM key_version")[0], datetime.now(UTC)
    version, now = database.glance("SELECT version, clock_timestamp() FROM key_version")
    return version, now.astimezone(UTC)


def read_by_hash(database: Database, hashes: list[bytes]) -> LiveKey | None:
    """The key with one of these hashes. Raises `DatabaseUnavailable`."""
    with database.read() as session:
        owners = select(ApiKeyHash.api_key_id).where(col(ApiKeyHash.hash).in_(hashes))
        found = _read(session, _keys().where(col(ApiKey.id).in_(owners)))
        return found[0] if found else None


def _keys() -> Select[ApiKey, Account]:
    return select(ApiKey, Account).join(Account, col(Account.id) == col(ApiKey.account_id))


def _read(session: Session, statement: Select[ApiKey, Account]) -> tuple[LiveKey, ...]:
    rows = session.execute(statement).all()
    hashes: dict[int, list[LiveHash]] = {}
    found = select(ApiKeyHash).where(
        col(ApiKeyHash.api_key_id).in_([key.id for key, _ in rows]),
        col(ApiKeyHash.revoked_at).is_(None),
    )
    for row in session.exec(found).all() if rows else ():
        live = LiveHash(row.hash, row.pepper, row.expires_at)
        hashes.setdefault(row.api_key_id, []).append(live)
    return tuple(_live(key, account, hashes.get(key.id, [])) for key, account in rows)


def _live(key: ApiKey, account: Account, hashes: list[LiveHash]) -> LiveKey:
    return LiveKey(
        id=key.id,
        key_id=key.key_id,
        name=f"{key.namespace}/{key.name}",
        account_id=account.id,
        account=f"{account.namespace}/{account.name}",
        models=tuple(key.models),
        requests_per_minute=key.requests_per_minute,
        concurrent_requests=key.concurrent_requests,
        credits_per_day=key.credits_per_day,
        suspended=key.suspended,
        revoked_at=key.revoked_at,
        expires_at=key.expires_at,
        hashes=tuple(hashes),
    )
