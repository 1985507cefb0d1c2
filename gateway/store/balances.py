"""Balances for display: of accounts, of keys, and of accounts that have little left."""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct
from sqlalchemy import bindparam, text
from sqlmodel import Session, and_, col, func, or_, select

from gateway.store.accounts import lock_accounts
from gateway.store.columns import UtcDateTime
from gateway.store.database import Database
from gateway.store.request_tables import Hold
from gateway.store.tables import Account

#: shares of what was granted, in percent, whose use is announced; what is left then is
#: the granted credits by so much, or nothing (multiplied, large ones would not fit a column)
_DIVISORS = {80: 5, 95: 20, 100: None}
#: accounts that are locked in one transaction, for which their charges wait
_LOCKED_AT_ONCE = 200
#: stands for the accounts beyond those that are shown one by one; no account's name is like this
OTHER = "other"

#: the accounts that used most come first; those without a live key and a balance are over
_ACCOUNTS = """
WITH shown AS (
  SELECT a.namespace || '/' || a.name AS account, a.balance, a.granted,
         row_number() OVER (ORDER BY a.granted - a.balance DESC, a.id) AS position
  FROM account a
  WHERE a.installation = :installation AND (a.balance > 0 OR EXISTS (
    SELECT 1 FROM api_key k WHERE k.account_id = a.id AND k.revoked_at IS NULL
    AND NOT k.suspended AND (k.expires_at IS NULL OR k.expires_at > :now)))
)
SELECT CASE WHEN position <= :most THEN account ELSE :other END, sum(balance), sum(granted)
FROM shown GROUP BY 1
"""

_KEYS = """
SELECT k.namespace, k.name, k.uid, k.account_id, a.balance, a.granted, u.used_at
FROM api_key k JOIN account a ON a.id = k.account_id LEFT JOIN api_key_use u ON u.api_key_id = k.id
WHERE k.installation = :installation AND k.revoked_at IS NULL
"""


class AccountBalance(Struct, frozen=True):
    """`account` is the shown name; `granted` the balance right after the latest grant."""

    account: str
    balance: int
    granted: int


class KeyBalance(Struct, frozen=True):
    """One key that is not revoked, with the balance of its account."""

    namespace: str
    name: str
    uid: str
    account_id: int
    balance: int
    granted: int
    used_at: datetime | None


class Crossing(Struct, frozen=True):
    """An account that has used a share of what it was granted, reported for the first time.

    `balance` is with what open requests hold: they may give it back.
    """

    account_id: int
    account: str
    balance: int
    granted: int
    mark: int


def mark_of(balance: int, granted: int) -> int:
    """The highest mark that an account has reached; 0 for none.

    >>> mark_of(21, 100), mark_of(20, 100), mark_of(5, 100), mark_of(0, 100), mark_of(0, 0)
    (0, 80, 95, 100, 0)
    """
    if granted <= 0:
        return 0
    left = {mark: granted // divisor if divisor else 0 for mark, divisor in _DIVISORS.items()}
    return max((mark for mark, credits in left.items() if balance <= credits), default=0)


def read_account_balances(database: Database, installation: str, most: int) -> list[AccountBalance]:
    """The `most` accounts that used most of what they were granted, the rest as one, `other`."""
    asked = text(_ACCOUNTS).bindparams(bindparam("now", type_=UtcDateTime()))
    values = {"installation": installation, "most": most, "other": OTHER}
    with database.read() as session:
        rows = session.execute(asked, {**values, "now": database.now(session)})
        return [AccountBalance(account, int(has), int(had)) for account, has, had in rows]


def read_key_balances(database: Database, installation: str) -> list[KeyBalance]:
    """All keys of an installation that are not revoked, by one statement."""
    asked = text(_KEYS).columns(used_at=UtcDateTime())
    with database.read() as session:
        return [KeyBalance(*row) for row in session.execute(asked, {"installation": installation})]


def cross_marks(database: Database, installation: str) -> list[Crossing]:
    """The accounts that have reached a mark since they were last asked for; each mark once.

    It is remembered with the account until its next grant, so neither a restart nor a second
    operator reports it again. Of several marks at once only the highest is reported. Credits that
    open requests hold are not used yet: with token prices most of them go back.
    """
    crossings: list[Crossing] = []
    last = 0
    while found := _crossed(database, installation, last):
        with database.write() as session:
            accounts = lock_accounts(session, found)
            held = _held(session, found)
            for account in accounts:
                balance = account.balance + held.get(account.id, 0)
                mark = mark_of(balance, account.granted)
                if mark > account.announced:  # it may have got a grant meanwhile
                    account.announced = mark
                    session.add(account)
                    shown = f"{account.namespace}/{account.name}"
                    crossings.append(Crossing(account.id, shown, balance, account.granted, mark))
        last = found[-1]
    return crossings


def _held(session: Session, account_ids: Sequence[int]) -> dict[int, int]:
    """The credits that open requests of some accounts hold."""
    account_id = col(Hold.account_id)
    asked = (
        select(account_id, func.sum(Hold.credits))
        .where(account_id.in_(account_ids))
        .group_by(account_id)
    )
    return {account: int(credits) for account, credits in session.exec(asked)}


def _crossed(database: Database, installation: str, after: int) -> Sequence[int]:
    """Some of the accounts whose balance is at a mark, by their ids, of those `after` an id."""
    granted, balance = col(Account.granted), col(Account.balance)
    reached = (
        and_(col(Account.announced) < mark, balance <= (granted // divisor if divisor else 0))
        for mark, divisor in _DIVISORS.items()
    )
    asked = (
        select(Account.id)
        .where(Account.installation == installation, granted > 0, or_(*reached))
        .where(col(Account.id) > after)
        .order_by(col(Account.id))
        .limit(_LOCKED_AT_ONCE)
    )
    with database.read() as session:
        return session.exec(asked).all()
