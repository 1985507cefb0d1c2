"""Keys of either origin as people see them: with their use, page by page."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, Literal

from msgspec import Struct
from sqlalchemy import ColumnElement, Select, and_, false, func, or_, select
from sqlmodel import Session, col

from gateway.core.errors import InvalidRequest, NotFound
from gateway.core.principal import AccountSet
from gateway.core.sentences import Sentence
from gateway.store.account_sets import named, within
from gateway.store.database import Database
from gateway.store.key_origins import people_of
from gateway.store.key_rows import KeyColumns, columns_of
from gateway.store.tables import Account, ApiKeyDay, ApiKeyHash, ApiKeyRow, ApiKeyUse

KeyStatus = Literal["active", "suspended", "expired", "revoked"]
PAGE_MAX = 100


class ShownKey(KeyColumns, frozen=True, kw_only=True):
    """A key with everything about it that may be shown.

    `old_until` is the moment at which the secret before the newest one ends, while it holds.
    """

    name: str
    origin: str
    account: str
    status: KeyStatus
    models: list[str]
    revoked_at: datetime | None
    created_at: datetime
    last_used_at: datetime | None
    old_until: datetime | None
    used_today: int
    used_this_month: int
    used_ever: int
    person_id: int | None


class KeyPage(Struct, frozen=True):
    """Keys, the newest first, and whether there are more."""

    keys: list[ShownKey]
    has_more: bool


class KeyFilter(Struct, frozen=True, kw_only=True):
    """The keys that are wanted: of one account, in one state, not used for so many days."""

    account: str | None = None
    status: KeyStatus | None = None
    unused_days: int | None = None


def list_shown_keys(
    database: Database,
    installation: str,
    reach: AccountSet,
    wanted: KeyFilter,
    limit: int,
    after: str | None = None,
) -> KeyPage:
    """A page of keys; `after` is the id of the last one of the page before.

    Raises `InvalidRequest` for an `after` that is not there or out of reach, and
    `DatabaseUnavailable`.
    """
    with database.read(snapshot=True) as session:
        now = database.now(session)
        asked = _keys(installation, reach, now).where(*_conditions(wanted, now))
        if after is not None:
            one = _keys(installation, reach, now).where(col(ApiKeyRow.key_id) == after)
            last = session.execute(one).one_or_none()
            if last is None:
                raise InvalidRequest(f"after: there is no key {after[:64]}", param="after")
            asked = asked.where(col(ApiKeyRow.id) < last[0].id)
        rows = session.execute(asked.order_by(col(ApiKeyRow.id).desc()).limit(limit + 1)).all()
        return KeyPage(_shown(session, rows[:limit], now), len(rows) > limit)


def no_such_key(key_id: str) -> NotFound:
    """The error where there is no key of an id, or none in reach."""
    return NotFound(Sentence("there is no key {key}", {"key": key_id[:64]}), param="key_id")


def show_key(database: Database, installation: str, reach: AccountSet, key_id: str) -> ShownKey:
    """One key. Raises `NotFound`, also where it is out of reach, and `DatabaseUnavailable`."""
    with database.read(snapshot=True) as session:
        now = database.now(session)
        asked = _keys(installation, reach, now).where(col(ApiKeyRow.key_id) == key_id)
        found = _shown(session, session.execute(asked).all(), now)
    if not found:
        raise no_such_key(key_id)
    return found[0]


def read_shown(session: Session, row: ApiKeyRow, account: Account, now: datetime) -> ShownKey:
    """A key as it is within a transaction."""
    session.flush()
    use, today = session.get(ApiKeyUse, row.id), session.get(ApiKeyDay, (row.id, now.date()))
    return _shape(
        row,
        account,
        use.used_at if use else None,
        today.credits if today else None,
        _overlaps(session, [row.id], now).get(row.id),
        now,
    )


def is_live(now: datetime) -> ColumnElement[bool]:
    """True of keys that are neither revoked nor over."""
    expires_at = col(ApiKeyRow.expires_at)
    return and_(col(ApiKeyRow.revoked_at).is_(None), or_(expires_at.is_(None), expires_at > now))


def used_this_month(row: ApiKeyRow, day: date) -> int:
    """The credits that are counted for the month of a day."""
    is_this_month = row.used_month is not None and row.used_month >= day.replace(day=1)
    return row.used_in_month if is_this_month else 0


def _keys(installation: str, reach: AccountSet, now: datetime) -> Select[Any]:
    today = and_(col(ApiKeyDay.api_key_id) == col(ApiKeyRow.id), col(ApiKeyDay.day) == now.date())
    found: Select[Any] = (
        select(ApiKeyRow, Account, ApiKeyUse.used_at, ApiKeyDay.credits)  # type: ignore[call-overload]
        .join(Account, col(Account.id) == col(ApiKeyRow.account_id))
        .outerjoin(ApiKeyUse, col(ApiKeyUse.api_key_id) == col(ApiKeyRow.id))
        .outerjoin(ApiKeyDay, today)
        .where(
            col(ApiKeyRow.installation).in_((installation, people_of(installation))),
            within(reach),
        )
    )
    return found


def _conditions(wanted: KeyFilter, now: datetime) -> list[ColumnElement[bool]]:
    expires_at, revoked_at = col(ApiKeyRow.expires_at), col(ApiKeyRow.revoked_at)
    is_over = func.coalesce(expires_at <= now, false())
    is_suspended = col(ApiKeyRow.suspended)
    states: dict[KeyStatus, ColumnElement[bool]] = {
        "revoked": revoked_at.is_not(None),
        "expired": and_(revoked_at.is_(None), is_over),
        "suspended": and_(revoked_at.is_(None), ~is_over, is_suspended),
        "active": and_(revoked_at.is_(None), ~is_over, ~is_suspended),
    }
    conditions = [states[wanted.status]] if wanted.status is not None else []
    if wanted.account is not None:
        conditions.append(named(wanted.account))
    if wanted.unused_days is not None:
        last = func.coalesce(col(ApiKeyUse.used_at), col(ApiKeyRow.created_at))
        conditions += [revoked_at.is_(None), last < now - timedelta(days=wanted.unused_days)]
    return conditions


def _shown(session: Session, rows: Sequence[Any], now: datetime) -> list[ShownKey]:
    overlaps = _overlaps(session, [row[0].id for row in rows], now)
    return [
        _shape(row, account, used_at, used_today, overlaps.get(row.id), now)
        for row, account, used_at, used_today in rows
    ]


def _overlaps(session: Session, ids: list[int], now: datetime) -> dict[int, datetime]:
    """The ends of the overlaps under way."""
    ends = col(ApiKeyHash.expires_at)
    asked = select(col(ApiKeyHash.api_key_id), ends).where(
        col(ApiKeyHash.api_key_id).in_(ids), col(ApiKeyHash.revoked_at).is_(None), ends > now
    )
    return dict(session.execute(asked).all()) if ids else {}


def _shape(
    row: ApiKeyRow,
    account: Account,
    used_at: datetime | None,
    used_today: int | None,
    old_until: datetime | None,
    now: datetime,
) -> ShownKey:
    return ShownKey(
        **columns_of(row),
        name=f"{row.namespace}/{row.name}",
        origin=row.origin,
        account=f"{account.namespace}/{account.name}",
        status=_status(row, now),
        models=row.models,
        revoked_at=row.revoked_at,
        created_at=row.created_at,
        last_used_at=used_at,
        old_until=old_until,
        used_today=used_today or 0,
        used_this_month=used_this_month(row, now.date()),
        used_ever=row.used_ever,
        person_id=row.person_id,
    )


def _status(row: ApiKeyRow, now: datetime) -> KeyStatus:
    if row.revoked_at is not None:
        return "revoked"
    if row.expires_at is not None and row.expires_at <= now:
        return "expired"
    return "suspended" if row.suspended else "active"
