"""Usage, counted behind the charge: each round adds up what was booked since the round before.

A checkpoint states of an account: its entries up to this id are in the sums. It moves in the
transaction that adds to the sums, and only from where the counting began, so nothing counts twice
even if two count at once. No entry can appear below it: of one account, the order of the ids is
the order of the commits (`audit_rounds`).

A round reads the new entries in one snapshot and writes their sums in a transaction of its own, so
it holds no lock while it reads. Tokens are written when a request ends: those of one that is open
wait in `usage_open` until its hold is gone.
"""

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from random import sample
from time import monotonic
from typing import Any

from msgspec import Struct, to_builtins

from gateway.core.usage import HOUR_SECONDS, HOURS_KEPT
from gateway.store import usage_statements as statements
from gateway.store.database import Database
from gateway.store.request_retention import forget_requests
from gateway.store.transaction import Transaction
from gateway.store.usage_statements import TOKENS, ask, plan_by_index
from gateway.store.usage_sums import UsageAdditions

#: the pause between rounds, and the most that one may take
ROUND_SECONDS = 10.0
_COUNT_SECONDS = 5.0
#: accounts, and entries of all of them together, that are counted at once
_ACCOUNTS_AT_ONCE = 50
_ENTRIES_AT_ONCE = 10_000
#: accounts that one statement looks through for news
_PAGE = 10_000
_ENDED_AT_ONCE = 5_000
_FORGOTTEN_AT_ONCE = 5_000
#: entries after which a balance is noted again, for who pages through them
_UNMARKED_MAX = 1_000

_CHARGE_SUMS = ("requests", "charged", *TOKENS)


class UsageRound(Struct, frozen=True):
    """One round: the entries that it counted, and whether it came to the end of them."""

    entries: int
    is_complete: bool


class _Overtaken(Exception):
    """Somebody else has counted the same meanwhile."""


class _Slice(Struct, frozen=True):
    """The next entries of an account, and its checkpoint behind them."""

    account_id: int
    since: int
    until: int
    credits: int
    unmarked: int
    entries: int


def count_usage(
    database: Database,
    installation: str,
    *,
    seconds: float = _COUNT_SECONDS,
    request_days: int = 0,
) -> UsageRound:
    """One round over the accounts of an installation, for so long at most, and one batch at least.

    Of each account a slice comes first, so none waits for the largest. When all of them are
    counted, what single requests used is forgotten after `request_days`; with 0 it is kept. Raises
    `DatabaseUnavailable`.
    """
    until = monotonic() + seconds
    _count_ended(database)
    _forget_hours(database)
    entries = 0
    pages = _pages(database)
    waiting: deque[int] = deque()
    larger: deque[int] = deque()
    while True:
        if not waiting and pages:
            waiting.extend(_read_news(database, installation, pages.pop()))
        elif not waiting:
            waiting, larger = larger, waiting
        batch = [waiting.popleft() for _ in range(min(len(waiting), _ACCOUNTS_AT_ONCE))]
        if batch:
            counted, more = _count(database, batch)
            entries += counted
            larger.extend(more)
        if not (waiting or larger or pages):
            if request_days:
                forget_requests(database, installation, request_days)
            return UsageRound(entries, is_complete=True)
        if monotonic() > until:
            return UsageRound(entries, is_complete=False)


def _pages(database: Database) -> list[int]:
    """The ids behind which accounts are looked through; each time others come first."""
    (newest,) = database.glance("SELECT coalesce(max(id), 0) FROM account")
    starts = range(0, newest, _PAGE)
    return sample(starts, len(starts))


def _read_news(database: Database, installation: str, after: int) -> list[int]:
    values = {"installation": installation, "after": after, "last": after + _PAGE}
    with database.plain_read() as transaction:
        plan_by_index(transaction)
        return [account_id for (account_id,) in transaction.rows(statements.NEWS, **values)]


def _count(database: Database, account_ids: Sequence[int]) -> tuple[int, list[int]]:
    """Count a slice of each of some accounts; the entries, and the accounts that have more."""
    most = _ENTRIES_AT_ONCE // len(account_ids)
    sums = UsageAdditions()
    with database.plain_read(snapshot=True) as transaction:
        plan_by_index(transaction)

        def rows(statement: str) -> list[tuple[Any, ...]]:
            return ask(transaction, statement, account_ids, most=most)

        slices = [_Slice(*map(int, row)) for row in rows(statements.SUMS)]
        sums.add(rows(statements.CHARGES), _CHARGE_SUMS)
        sums.add(rows(statements.REFUNDS), ("failed", "refunded"))
        open_ids = rows(statements.OPEN)
        kept_from = _kept_from(transaction)
    with suppress(_Overtaken), database.plain_write() as transaction:
        for one in slices:
            _move(transaction, one)
        sums.write(transaction, kept_from)
        still_open = [{"request_id": request_id} for (request_id,) in open_ids]
        transaction.repeat(statements.NOTE_OPEN, still_open)
    return sum(one.entries for one in slices), [
        one.account_id for one in slices if one.entries == most
    ]


def _move(transaction: Transaction, one: _Slice) -> None:
    """Move a checkpoint, and note the balance there if there is none near. Raises `_Overtaken`."""
    values = to_builtins(one)
    del values["entries"]
    is_marked = one.unmarked >= _UNMARKED_MAX
    moved = {**values, "unmarked": 0 if is_marked else one.unmarked}
    if transaction.row(statements.MOVE, **moved) is None:
        raise _Overtaken
    if is_marked:
        mark = {name: values[name] for name in ("account_id", "until", "credits")}
        transaction.rows(statements.NOTE_MARK, **mark)


def _count_ended(database: Database) -> None:
    """Count the tokens of requests that were open when they were counted themselves."""
    with database.plain_read(snapshot=True) as transaction:
        plan_by_index(transaction)
        found = transaction.rows(statements.ENDED, most=_ENDED_AT_ONCE)
        ended = [request_id for (request_id,) in found]
        if not ended:
            return
        sums = UsageAdditions()
        sums.add(ask(transaction, statements.ENDED_TOKENS, ended), _CHARGE_SUMS)
        kept_from = _kept_from(transaction)
    with suppress(_Overtaken), database.plain_write() as transaction:
        if len(ask(transaction, statements.FORGET_ENDED, ended)) != len(ended):
            raise _Overtaken
        sums.write(transaction, kept_from)


def _forget_hours(database: Database) -> None:
    """Forget some of the hours that are too old, if there are any: writing takes a lock."""
    for table, statement in statements.FORGET_HOURS.items():
        with database.plain_read() as transaction:
            ((oldest,),) = transaction.rows(f"SELECT min(start) FROM {table}")
            before = _kept_from(transaction)
        if oldest is not None and oldest < before:
            with database.plain_write() as transaction:
                transaction.rows(statement, before=before, most=_FORGOTTEN_AT_ONCE)


def _kept_from(transaction: Transaction) -> int:
    """The first hour whose sums are kept."""
    return int(transaction.now().timestamp()) // HOUR_SECONDS - HOURS_KEPT
