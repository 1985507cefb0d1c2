"""The accounts of a question about usage, read some at a time, by their names.

Owns in which pieces their sums are read: small accounts together, a large one alone. So a namespace
of any size is read in statements that each look at a bounded number of rows.
"""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, TextClause, bindparam, text, tuple_
from sqlmodel import Session, col, select

from gateway.core.principal import AccountSet
from gateway.store.account_sets import within
from gateway.store.tables import Account

#: accounts whose rows are counted at once
_AT_ONCE = 100
#: an account with so many rows, as a part of those that one statement reads, is read alone
_ALONE_DIVISOR = 10
#: the account and all below it (`groups`)
_TREE = """account.id IN (
  SELECT id FROM account WHERE id = :account
  UNION ALL SELECT id FROM account WHERE parent_id = :account
  UNION ALL SELECT c.id FROM account p JOIN account c ON c.parent_id = p.id
  WHERE p.parent_id = :account
)"""
_COUNT = """(SELECT count(*) FROM (
  SELECT 1 FROM {source} WHERE account_id = a.id AND start >= :begin AND start < :end LIMIT :most
) AS rows)"""


class AccountsInReach(Struct, frozen=True):
    """The accounts that somebody may read, of one installation."""

    installation: str
    accounts: AccountSet


class AccountPages:
    """The accounts of one question: one, one with all below it, or a reach."""

    def __init__(self, whose: int | AccountsInReach, *, with_below: bool) -> None:
        self.is_one = isinstance(whose, int) and not with_below
        #: what holds of their rows
        self.condition = _condition(whose, with_below=with_below)
        #: there are accounts that were not read
        self.has_more = True
        self._after = ("", "")

    def read(self, session: Session) -> dict[int, str]:
        """The accounts that follow: some shown names by their rows."""
        asked = select(Account.id, Account.namespace, Account.name).where(self.condition)
        if not self.is_one:
            namespace, name = col(Account.namespace), col(Account.name)
            asked = asked.where(tuple_(namespace, name) > self._after).order_by(namespace, name)
        found = session.exec(asked.limit(_AT_ONCE)).all()
        return {row_id: f"{namespace}/{name}" for row_id, namespace, name in found}

    def go_on(self, page: dict[int, str]) -> None:
        """The accounts after those of a page follow."""
        namespace, _, name = list(page.values())[-1].partition("/") if page else ("", "", "")
        self._after = (namespace, name)
        self.has_more = len(page) == _AT_ONCE


def split(
    session: Session, ids: Sequence[int], sources: Sequence[str], values: dict[str, Any], rows: int
) -> list[list[int]]:
    """Accounts in the pieces in which they are read: each has about so many rows in the sources,
    or is one account."""
    if len(ids) <= 1:
        return [[each] for each in ids]
    alone = max(1, rows // _ALONE_DIVISOR)
    counts = " + ".join(_COUNT.format(source=source) for source in sources)
    asked = text(f"SELECT a.id, {counts} FROM account a WHERE a.id IN :ids").bindparams(
        bindparam("ids", expanding=True)
    )
    numbers = {
        row_id: int(number)
        for row_id, number in session.execute(asked, {**values, "ids": list(ids), "most": alone})
    }
    pieces: list[list[int]] = []
    together: list[int] = []
    left = rows
    for row_id in ids:
        number = numbers.get(row_id, 0)
        if number >= alone:
            pieces.append([row_id])
            continue
        if number > left:
            pieces.append(together)
            together, left = [], rows
        together.append(row_id)
        left -= number
    return [*pieces, together] if together else pieces


def _condition(
    whose: int | AccountsInReach, *, with_below: bool
) -> ColumnElement[bool] | TextClause:
    if isinstance(whose, AccountsInReach):
        return (col(Account.installation) == whose.installation) & within(whose.accounts)
    if with_below:
        return text(_TREE).bindparams(account=whose)
    return col(Account.id) == whose
