"""The statements of an audit's round: each reads a bounded number of entries, however they are
spread over accounts."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from random import sample
from typing import Any

from msgspec import Struct
from sqlalchemy import text
from sqlmodel import Session

from gateway.store.audit_counters import miscounts_of_day
from gateway.store.audit_levels import LastLeft

#: accounts, and entries of all of them together, that one statement counts
ACCOUNTS_AT_ONCE = 50
_ENTRIES_AT_ONCE = 100_000
#: accounts that one statement looks through for news, and that are due at most
_PAGE = 10_000
_DUE_AT_ONCE = 5_000
_NO_END = 2**63 - 1


class Finding(Struct, frozen=True):
    """An account that is wrong, and by how many credits."""

    account_id: int
    credits: int
    sentence: str


class Checkpoint(Struct, frozen=True):
    """The point up to which an account is counted: up to `entry_id`, and once more up to
    `again_id`."""

    account_id: int
    account: str
    balance: int
    entry_id: int
    credits: int
    again_id: int
    again_credits: int
    is_known: bool
    """It has a checkpoint."""


class Slice(Struct, frozen=True):
    """Some entries of an account beyond `since`: their sum, the last one, and how many."""

    account_id: int
    since: int
    credits: int
    last: int
    entries: int
    is_last: bool


_COLUMNS = """
SELECT a.id, a.namespace || '/' || a.name, a.balance, coalesce(c.entry_id, 0),
       coalesce(c.credits, 0), coalesce(c.recount_entry_id, 0), coalesce(c.recount_credits, 0),
       c.account_id IS NOT NULL
FROM account a LEFT JOIN audit_checkpoint c ON c.account_id = a.id
WHERE a.installation = :installation
"""

#: accounts that were never counted, that have entries beyond their checkpoint, or differ from it
_NEWS = f"""
{_COLUMNS} AND a.id > :after AND a.id <= :last
AND (c.account_id IS NULL OR a.balance <> c.credits
     OR EXISTS (SELECT 1 FROM entry e WHERE e.account_id = a.id AND e.id > c.entry_id))
ORDER BY coalesce(c.entry_id, 0), a.id
"""

#: those whose last count from zero is oldest
_DUE = f"""
{_COLUMNS} AND c.counted_at <= clock_timestamp() - make_interval(secs => :seconds)
ORDER BY c.counted_at
LIMIT (SELECT least(:most, ceil(2 * :share * count(*))) FROM account
       WHERE installation = :installation)
"""

# By the index of accounts, and no further than it has to: rows are compared, as otherwise all that
# is left of an account would be read and sorted for each slice.
_SLICES = """
SELECT s.account_id, s.since, coalesce(sum(e.credits), 0), coalesce(max(e.id), s.since), count(e.id)
FROM unnest(CAST(:ids AS bigint[]), CAST(:sinces AS bigint[]), CAST(:untils AS bigint[]))
     AS s(account_id, since, until)
LEFT JOIN LATERAL (
  SELECT id, credits FROM entry
  WHERE (account_id, id) > (s.account_id, s.since) AND (account_id, id) <= (s.account_id, s.until)
  ORDER BY account_id, id LIMIT :most
) AS e ON true
GROUP BY 1, 2
"""

#: promises of an entry beside the sum; each finds rows that must not exist
_COUNTED = """
WITH counted AS (
  SELECT * FROM unnest(CAST(:ids AS bigint[]), CAST(:sinces AS bigint[]), CAST(:lasts AS bigint[]))
       AS c(account_id, since, last)
), news AS (
  SELECT e.* FROM counted c CROSS JOIN LATERAL (
    SELECT * FROM entry
    WHERE account_id = c.account_id AND id > c.since AND id <= c.last AND kind <> 'charge'
    OFFSET 0) AS e
)
"""
_REFUNDS = """
SELECT e.account_id, e.credits, e.request_id
FROM news e LEFT JOIN entry c ON c.request_id = e.request_id AND c.kind = 'charge'
     AND c.account_id = e.account_id AND -c.credits >= e.credits
WHERE e.kind = 'refund' AND c.id IS NULL
"""
_GRANT_ENTRIES = """
SELECT e.account_id, abs(e.credits), e.id, e.credits, e.grant_id
FROM news e LEFT JOIN credit_grant g ON g.id = e.grant_id AND g.account_id = e.account_id
WHERE e.grant_id IS NOT NULL
AND (g.id IS NULL OR (e.kind = 'grant' AND e.credits <> g.credits) OR -e.credits > g.credits)
"""
_OF_SLICES = (
    ("request {2} was refunded {1} without a charge of as much", _COUNTED + _REFUNDS),
    ("the entry {2} of {3} credits is not what grant {4} allows", _COUNTED + _GRANT_ENTRIES),
)

#: findings from the other side, of accounts that were counted from zero
_GRANTS = """
SELECT g.account_id, g.credits, g.id
FROM credit_grant g LEFT JOIN entry e ON e.grant_id = g.id AND e.kind = 'grant'
WHERE g.account_id = ANY(:ids) AND e.id IS NULL
"""
_DAYS = """
SELECT k.account_id, -d.credits, d.api_key_id, d.credits, CAST(d.day AS varchar)
FROM api_key k JOIN api_key_day d ON d.api_key_id = k.id
WHERE k.account_id = ANY(:ids) AND d.credits < 0
UNION ALL
SELECT account_id, abs(used_in_month), id, used_in_month, CAST(used_month AS varchar) FROM api_key
WHERE account_id = ANY(:ids) AND (used_in_month < 0 OR used_in_month > used_ever)
UNION ALL
SELECT account_id, -used_ever, id, used_ever, 'all days' FROM api_key
WHERE account_id = ANY(:ids) AND used_ever < 0
"""
_GROUPS = """
SELECT id, abs(used_in_day), used_in_day, used_in_month, used_ever FROM account
WHERE id = ANY(:ids)
AND (used_in_day < 0 OR used_in_day > used_in_month OR used_in_month > used_ever)
"""
_OF_ACCOUNTS = (
    ("grant {2} of {1} credits has no entry", _GRANTS),
    ("key {2} counts {3} credits on {4}", _DAYS),
    ("it counts {2} credits in a day, {3} in the month and {4} in all", _GROUPS),
)

#: all that are open; there are never many
_HOLDS = """
SELECT h.account_id, h.credits, h.request_id
FROM hold h JOIN account a ON a.id = h.account_id AND a.installation = :installation
LEFT JOIN entry c ON c.request_id = h.request_id AND c.kind = 'charge'
     AND c.account_id = h.account_id AND c.credits = -h.credits
LEFT JOIN entry r ON r.request_id = h.request_id AND r.kind = 'refund'
WHERE c.id IS NULL OR r.id IS NOT NULL
"""
_OF_HOLDS = (
    ("request {2} has a hold of {1} although it was not charged so, or was refunded", _HOLDS),
)

_KEEP = """
INSERT INTO audit_checkpoint (account_id, entry_id, credits, counted_at)
SELECT *, clock_timestamp() FROM unnest(CAST(:ids AS bigint[]), CAST(:entry_ids AS bigint[]),
                                        CAST(:credits AS bigint[]))
ON CONFLICT (account_id) DO UPDATE SET entry_id = excluded.entry_id, credits = excluded.credits
"""
_KEEP_AGAIN = """
UPDATE audit_checkpoint AS c SET recount_entry_id = k.entry_id, recount_credits = k.credits
FROM unnest(CAST(:ids AS bigint[]), CAST(:entry_ids AS bigint[]), CAST(:credits AS bigint[]))
     AS k(account_id, entry_id, credits)
WHERE c.account_id = k.account_id
"""
#: the checkpoint is the point to which it was counted once more
_END_AGAIN = """
UPDATE audit_checkpoint AS c SET entry_id = k.entry_id, credits = k.credits,
  recount_entry_id = 0, recount_credits = 0, counted_at = clock_timestamp()
FROM unnest(CAST(:ids AS bigint[]), CAST(:entry_ids AS bigint[]), CAST(:credits AS bigint[]))
     AS k(account_id, entry_id, credits)
WHERE c.account_id = k.account_id
"""


def pages_of_news(session: Session, installation: str) -> Iterator[list[Checkpoint]]:
    """The accounts that are not as they were counted, by pages; each time others come first.

    In a page, those that are counted least far do.
    """
    newest = session.execute(text("SELECT coalesce(max(id), 0) FROM account")).scalar_one()
    for after in sample(starts := range(0, newest, _PAGE), len(starts)):
        values = {"installation": installation, "after": after, "last": after + _PAGE}
        yield _places(session, _NEWS, values)


def read_due(
    session: Session, installation: str, *, seconds: float, share: float
) -> list[Checkpoint]:
    """The accounts whose turn it is to be counted from zero, or to go on with it."""
    values = {"installation": installation, "seconds": seconds, "share": share}
    return _places(session, _DUE, {**values, "most": _DUE_AT_ONCE})


def read_slices(session: Session, places: Sequence[Checkpoint], *, again: bool) -> list[Slice]:
    """The next entries of each of some accounts; `again`, those up to its checkpoint."""
    most = _ENTRIES_AT_ONCE // len(places)
    values = {
        "ids": [place.account_id for place in places],
        "sinces": [place.again_id if again else place.entry_id for place in places],
        "untils": [place.entry_id if again else _NO_END for place in places],
        "most": most,
    }
    rows = session.execute(text(_SLICES), values)
    found = {
        account_id: Slice(account_id, since, int(credits), last, number, number < most)
        for account_id, since, credits, last, number in rows
    }
    return [found[place.account_id] for place in places]


def check_slices(session: Session, slices: Sequence[Slice]) -> Iterator[Finding]:
    """Errors in single entries among those that were just counted."""
    counted = [one for one in slices if one.entries]
    values = {
        "ids": [one.account_id for one in counted],
        "sinces": [one.since for one in counted],
        "lasts": [one.last for one in counted],
    }
    return _find(session, _OF_SLICES, values)


def check_accounts(session: Session, account_ids: Collection[int]) -> Iterator[Finding]:
    """Values that some accounts have beside entries, and should not have."""
    ids, left = sorted(account_ids), LastLeft()
    for start in range(0, len(ids), ACCOUNTS_AT_ONCE):
        some = ids[start : start + ACCOUNTS_AT_ONCE]
        yield from _find(session, _OF_ACCOUNTS, {"ids": some})
        for found in miscounts_of_day(session, some, left):
            yield Finding(found.account_id, found.credits, found.sentence)


def check_holds(session: Session, installation: str) -> Iterator[Finding]:
    return _find(session, _OF_HOLDS, {"installation": installation})


def keep_news(session: Session, places: Iterable[Checkpoint]) -> None:
    """Remember how far accounts are counted."""
    kept = [(one.account_id, one.entry_id, one.credits) for one in places]
    _keep(session, _KEEP, kept)


def keep_again(session: Session, places: Iterable[Checkpoint], *, ended: bool = False) -> None:
    """Remember how far accounts are counted once more; with `ended`, the checkpoint is there."""
    kept = [(one.account_id, one.again_id, one.again_credits) for one in places]
    _keep(session, _END_AGAIN if ended else _KEEP_AGAIN, kept)


def count_again_soon(session: Session, account_ids: Collection[int]) -> None:
    """Have accounts counted from zero by the next round."""
    mark = "UPDATE audit_checkpoint SET counted_at = to_timestamp(0) WHERE account_id = ANY(:ids)"
    session.execute(text(mark), {"ids": sorted(account_ids)})


def forget(session: Session, account_ids: Collection[int]) -> None:
    """Have accounts counted by the next round as if they never had been."""
    statement = "DELETE FROM audit_checkpoint WHERE account_id = ANY(:ids)"
    session.execute(text(statement), {"ids": sorted(account_ids)})


def _keep(session: Session, statement: str, kept: list[tuple[int, int, int]]) -> None:
    if kept:
        ids, entry_ids, credits = (list(column) for column in zip(*kept, strict=True))
        values = {"ids": ids, "entry_ids": entry_ids, "credits": credits}
        session.execute(text(statement), values)


def _places(session: Session, statement: str, values: dict[str, Any]) -> list[Checkpoint]:
    rows = session.execute(text(statement), values)
    return [Checkpoint(*row) for row in rows]


def _find(
    session: Session, promises: Iterable[tuple[str, str]], values: dict[str, Any]
) -> Iterator[Finding]:
    for sentence, statement in promises:
        for row in session.execute(text(statement), values):
            yield Finding(row[0], int(row[1]), sentence.format(*row))
