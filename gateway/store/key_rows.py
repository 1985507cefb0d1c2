"""API keys as reconcilers see them: the content of a row, and whether it matches its object."""

from collections.abc import Iterable
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from gateway.core.keys import Credential
from gateway.core.spec import ApiKey as ApiKeyObject
from gateway.core.spec import ApiKeySpec, overlap_seconds
from gateway.store.database import Database
from gateway.store.moments import read_list, read_moment
from gateway.store.transaction import Transaction

_NAMES = (
    "id", "key_id", "namespace", "name", "uid", "scope", "label", "prefix", "models",
    "credits_per_day", "credits_per_month", "credits", "requests_per_minute",
    "concurrent_requests", "suspended", "expires_at", "generation", "revoked_at", "version",
)  # fmt: skip
#: `{which}` of the keys `k`
_KEYS = f"""
SELECT {", ".join(f"k.{name}" for name in _NAMES)}, a.name
FROM api_key k JOIN account a ON a.id = k.account_id WHERE {{which}}
"""
_HASHES = """
SELECT h.api_key_id, h.hash, h.created_at, h.expires_at, h.revoked_at
FROM api_key_hash h JOIN api_key k ON k.id = h.api_key_id WHERE {which}
"""
_LIVING = "k.installation = :installation AND k.revoked_at IS NULL"
_NAMED = "k.installation = :installation AND k.namespace = :namespace AND k.name = :name"


class KeyColumns(Struct, frozen=True, kw_only=True):
    """The columns of a key that everybody sees as the row has them."""

    key_id: str
    label: str
    scope: str
    prefix: str
    credits_per_day: int | None
    credits_per_month: int | None
    credits: int | None
    requests_per_minute: int | None
    concurrent_requests: int | None
    suspended: bool
    expires_at: datetime | None


def columns_of(row: Any) -> dict[str, Any]:
    """The members of `KeyColumns`, of an `ApiKeyRow` or of the same members elsewhere."""
    return {name: getattr(row, name) for name in KeyColumns.__struct_fields__}


class KeyState(KeyColumns, frozen=True, kw_only=True):
    """A key's row and its hashes at one moment of the database's clock.

    `newest_hash` is the one last issued; `live_hashes` are those that authenticate (it, and one in
    its overlap); `dead_hashes` did so once. `version` grows with every change of the row.
    """

    id: int
    namespace: str
    name: str
    uid: str
    account: str
    models: tuple[str, ...]
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
            and all(getattr(self, name) == value for name, value in stated_columns(spec).items())
            and self.generation <= spec.rotation.generation
            and (self.generation == spec.rotation.generation or not rotated)
        )

    def is_applied(self, key: ApiKeyObject, credential: Credential | None) -> bool:
        """True if the row needs no change for the object; without a credential a rotation may
        still be to come."""
        if credential is None:
            return self.matches(key, rotated=False)
        return self.matches(key) and self.newest_hash == credential.hash


def stated_columns(spec: ApiKeySpec) -> dict[str, Any]:
    """The columns that an object states, except its models."""
    return {
        **asdict(spec.limits),
        "credits_per_day": spec.day_limit,
        "scope": spec.scope,
        "suspended": spec.suspended,
        "expires_at": spec.expires_at,
    }


def find_key(database: Database, installation: str, namespace: str, name: str) -> KeyState | None:
    """The row of an ApiKey object, by name. Raises `DatabaseUnavailable`."""
    values = {"installation": installation, "namespace": namespace, "name": name}
    with database.plain_read(snapshot=True) as transaction:
        return next(iter(_read(transaction, _NAMED, values)), None)


def list_keys(database: Database, installation: str) -> list[KeyState]:
    """All keys of an installation that are not revoked, by two statements however many they are."""
    with database.plain_read(snapshot=True) as transaction:
        return _read(transaction, _LIVING, {"installation": installation})


def _read(transaction: Transaction, which: str, values: dict[str, Any]) -> list[KeyState]:
    now = transaction.now()
    rows = transaction.rows(_KEYS.format(which=which), **values)
    hashes: dict[int, list[Any]] = {}
    for key_id, hash_, *moments in transaction.rows(_HASHES.format(which=which), **values):
        created_at, expires_at, revoked_at = map(read_moment, moments)
        each = SimpleNamespace(
            hash=hash_, created_at=created_at, expires_at=expires_at, revoked_at=revoked_at
        )
        hashes.setdefault(key_id, []).append(each)
    return [_read_row(row, hashes, now) for row in rows]


def _read_row(row: tuple[Any, ...], hashes: dict[int, list[Any]], now: datetime) -> KeyState:
    *columns, account = row
    found = SimpleNamespace(**dict(zip(_NAMES, columns, strict=True)))
    found.models, found.suspended = read_list(found.models), bool(found.suspended)
    found.expires_at, found.revoked_at = map(read_moment, (found.expires_at, found.revoked_at))
    return state_of(found, account, hashes.get(found.id, ()), now)


def state_of(row: Any, account: str, hashes: Iterable[Any], now: datetime) -> KeyState:
    """The state of an `ApiKeyRow` with its `ApiKeyHash`es, or of the same members elsewhere."""
    by_age = sorted(hashes, key=lambda each: each.created_at)
    live = [
        each
        for each in by_age
        if each.revoked_at is None and (each.expires_at is None or each.expires_at > now)
    ]
    newest = next((each.hash for each in reversed(live) if each.expires_at is None), None)
    live_hashes = frozenset(each.hash for each in live)
    return KeyState(
        **columns_of(row),
        id=row.id,
        namespace=row.namespace,
        name=row.name,
        uid=row.uid,
        account=account,
        models=tuple(row.models),
        expired=row.expires_at is not None and row.expires_at <= now,
        generation=row.generation,
        revoked=row.revoked_at is not None,
        version=row.version,
        newest_hash=newest,
        live_hashes=live_hashes,
        dead_hashes=frozenset(each.hash for each in by_age) - live_hashes,
    )
