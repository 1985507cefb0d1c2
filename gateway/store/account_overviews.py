"""Accounts as people look at them: the balance and what becomes of it, one by one and as a list.

Owns that a page about an account reads a bounded number of rows, however many entries it has.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct
from sqlalchemy import and_, func, or_
from sqlmodel import Session, col, select

from gateway.core.principal import AccountSet
from gateway.core.usage import hour_of
from gateway.store.account_sets import named, within
from gateway.store.database import Database
from gateway.store.grant_lots import LOTS_MAX, read_left
from gateway.store.key_list import is_live
from gateway.store.tables import Account, ApiKeyRow, ApiKeyUse, CreditGrantRow
from gateway.store.usage_tables import UsageDay

#: an account is low when it has a fifth of what it was granted, or less
LOW_DIVISOR = 5
ACCOUNTS_MAX = 50
#: days of usage that a list shows
DAYS = 30


class _Credits(Struct, frozen=True, kw_only=True):
    """The balance of an account, and that right after the latest grant."""

    balance: int = 0
    granted: int = 0

    @property
    def is_low(self) -> bool:
        return 0 < self.balance <= self.granted // LOW_DIVISOR


class NamedAccount(_Credits, frozen=True):
    """An account by its row and its shown name, and the credits that it has."""

    id: int
    shown: str


class AccountSummary(_Credits, frozen=True, kw_only=True):
    """The credits of an account, and those that expire next."""

    next_expiry: datetime | None
    expiring: int
    made_at: datetime

    @property
    def percent_left(self) -> int:
        return min(100, self.balance * 100 // self.granted) if self.granted else 100


class AccountLine(Struct, frozen=True):
    """One account of a list; `used` are the credits of the last 30 days."""

    id: int
    shown: str
    balance: int
    granted: int
    used: int
    keys: int
    used_at: datetime | None


def find_viewed(
    database: Database, installation: str, reach: AccountSet, shown: str | None
) -> NamedAccount | None:
    """An account in reach by its shown name; without one, the first in reach.

    Raises `DatabaseUnavailable`.
    """
    asked = select(Account).where(Account.installation == installation, within(reach))
    if shown is not None:
        asked = asked.where(named(shown))
    with database.read() as session:
        row = session.exec(asked.order_by(col(Account.namespace), col(Account.name))).first()
    if row is None:
        return None
    shown = f"{row.namespace}/{row.name}"
    return NamedAccount(row.id, shown, balance=row.balance, granted=row.granted)


def summarize_account(database: Database, account_id: int) -> AccountSummary:
    """The summary of one account. Raises `DatabaseUnavailable`."""
    with database.read(snapshot=True) as session:
        account = session.get_one(Account, account_id)
        expiring = 0
        if account.next_expiry is not None:
            next_ones = select(CreditGrantRow.id).where(
                CreditGrantRow.account_id == account_id,
                col(CreditGrantRow.remaining) > 0,
                CreditGrantRow.expires_at == account.next_expiry,
            )
            ids = session.exec(next_ones.limit(LOTS_MAX)).all()
            left = read_left(session, account, ids)
            expiring = sum(left.values())
        return AccountSummary(
            balance=account.balance,
            granted=account.granted,
            next_expiry=account.next_expiry if expiring else None,
            expiring=expiring,
            made_at=account.created_at,
        )


def list_accounts(
    database: Database,
    installation: str,
    reach: AccountSet,
    *,
    search: str = "",
    is_low: bool = False,
    after: str | None = None,
    limit: int = ACCOUNTS_MAX,
) -> tuple[list[AccountLine], bool]:
    """Accounts in reach by their names, those after a shown name, and whether there are more.

    Raises `DatabaseUnavailable`.
    """
    namespace, name = col(Account.namespace), col(Account.name)
    asked = select(Account).where(Account.installation == installation, within(reach))
    if search:
        asked = asked.where((namespace + "/" + name).contains(search, autoescape=True))
    if is_low:
        low = col(Account.balance) <= col(Account.granted) // LOW_DIVISOR
        asked = asked.where(col(Account.granted) > 0, low)
    if after is not None:
        first, _, second = after.partition("/")
        beyond = or_(namespace > first, and_(namespace == first, name > second))
        asked = asked.where(beyond)
    with database.read(snapshot=True) as session:
        found = session.exec(asked.order_by(namespace, name).limit(limit + 1)).all()
        rows = found[:limit]
        now = database.now(session)
        ids = [row.id for row in rows]
        used, keys = _used(session, ids, now), _keys(session, ids, now)
    lines = [
        AccountLine(
            row.id,
            f"{row.namespace}/{row.name}",
            row.balance,
            row.granted,
            used.get(row.id, 0),
            *keys.get(row.id, (0, None)),
        )
        for row in rows
    ]
    return lines, len(found) > limit


def _used(session: Session, ids: Sequence[int], now: datetime) -> dict[int, int]:
    """The credits that some accounts have used in the last days, by their rows."""
    since = hour_of(now - timedelta(days=DAYS - 1)) // 24
    credits = func.sum(col(UsageDay.charged) - col(UsageDay.refunded))
    asked: Any = (
        select(UsageDay.account_id, credits)
        .where(col(UsageDay.account_id).in_(ids), col(UsageDay.start) >= since)
        .group_by(col(UsageDay.account_id))
    )
    return {account_id: int(used) for account_id, used in session.exec(asked)}


def _keys(
    session: Session, ids: Sequence[int], now: datetime
) -> dict[int, tuple[int, datetime | None]]:
    """The number of live keys of some accounts, and the last use of any."""
    asked: Any = (
        select(
            ApiKeyRow.account_id,
            func.count().filter(is_live(now)),
            func.max(col(ApiKeyUse.used_at)),
        )
        .outerjoin(ApiKeyUse, col(ApiKeyUse.api_key_id) == col(ApiKeyRow.id))
        .where(col(ApiKeyRow.account_id).in_(ids))
        .group_by(col(ApiKeyRow.account_id))
    )
    return {account_id: (number, used_at) for account_id, number, used_at in session.exec(asked)}
