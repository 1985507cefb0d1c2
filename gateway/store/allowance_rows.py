"""Allowances as reconcilers see them: what of them is posted, and what is not.

Each period of an account is one grant, `<namespace>/allowance:<name>:<period>:<account>`, so it is
posted once however often it is asked for. A row an allowance holds the moment from which on its
periods are looked at.
"""

from datetime import datetime

from msgspec import Struct

from gateway.core.allowances import AllowancePeriod, due_periods, period_at
from gateway.core.spec import CreditAllowance
from gateway.store.database import Database
from gateway.store.moments import read_moment
from gateway.store.transaction import Transaction

#: grants that one look finds; there is another look afterwards
DUE_MAX = 200

#: accounts that were there in a period and have no grant of it
_ACCOUNTS = """
SELECT a.name FROM account a
WHERE a.installation = :installation AND a.namespace = :namespace AND a.name LIKE :pattern
AND a.created_at < :end AND NOT EXISTS (
  SELECT 1 FROM credit_grant g
  WHERE g.installation = :installation AND g.identity = :prefix || a.name)
ORDER BY a.id LIMIT :most
"""
_IS_POSTED = """
SELECT 1 FROM credit_grant WHERE installation = :installation AND identity = :identity
"""
_ROW = """
SELECT uid, every, since, posted_at FROM allowance
WHERE installation = :installation AND namespace = :namespace AND name = :name
"""
_OF_FILES = "SELECT namespace, name FROM allowance WHERE installation = :installation AND uid = ''"
_FORGET = """
DELETE FROM allowance
WHERE installation = :installation AND namespace = :namespace AND name = :name AND uid = ''
"""


class DueCredits(Struct, frozen=True):
    """One grant that is to be posted."""

    account: str
    period: AllowancePeriod


class AllowanceState(Struct, frozen=True):
    """All that the books have of an allowance; `since` is None where it was never seen.

    `due` are some of the grants that are missing, `DUE_MAX` at most.
    """

    since: datetime | None
    posted_at: datetime | None
    due: tuple[DueCredits, ...]

    @property
    def has_all_due(self) -> bool:
        return len(self.due) < DUE_MAX


def find_allowance(
    database: Database, installation: str, allowance: CreditAllowance
) -> tuple[AllowanceState, datetime]:
    """The state of an allowance, and the moment. Raises `DatabaseUnavailable`."""
    metadata, spec = allowance.metadata, allowance.spec
    with database.plain_read() as transaction:
        now = transaction.now()
        since, posted_at = None, None
        values = {"namespace": metadata.namespace, "name": metadata.name}
        row = transaction.row(_ROW, installation=installation, **values)
        if row is not None and row[:2] == (metadata.uid, spec.every):
            since, posted_at = map(read_moment, row[2:])
        due: list[DueCredits] = []
        for period in due_periods(spec, since or period_at(spec.every, now).begin, now):
            names = _missing(transaction, installation, allowance, period, DUE_MAX - len(due))
            due += [DueCredits(name, period) for name in names]
        return AllowanceState(since, posted_at, tuple(due)), now


def forget_allowances(database: Database, installation: str, kept: set[tuple[str, str]]) -> None:
    """Forget the allowances of files that none names any more: one that comes back is new.

    Raises `DatabaseUnavailable`.
    """
    with database.plain_read() as transaction:
        known = transaction.rows(_OF_FILES, installation=installation)
    gone = [(namespace, name) for namespace, name in known if (namespace, name) not in kept]
    if gone:
        with database.plain_write() as transaction:
            for namespace, name in gone:
                transaction.rows(_FORGET, installation=installation, namespace=namespace, name=name)


def allowance_identity(allowance: CreditAllowance, period: AllowancePeriod, account: str) -> str:
    """The identity of the grant of a period."""
    metadata = allowance.metadata
    return f"{metadata.namespace}/allowance:{metadata.name}:{period.name}:{account}"


def _missing(
    transaction: Transaction,
    installation: str,
    allowance: CreditAllowance,
    period: AllowancePeriod,
    most: int,
) -> list[str]:
    spec = allowance.spec
    if spec.account is not None:
        identity = allowance_identity(allowance, period, spec.account)
        values = {"installation": installation, "identity": identity}
        return [] if most < 1 or transaction.row(_IS_POSTED, **values) else [spec.account]
    assert spec.accounts is not None, "one of account and accounts is given"
    rows = transaction.rows(
        _ACCOUNTS,
        installation=installation,
        namespace=allowance.metadata.namespace,
        pattern=spec.accounts.replace("*", "%"),
        prefix=allowance_identity(allowance, period, ""),
        end=period.end,
        most=most,
    )
    return [name for (name,) in rows]
