"""The audit beside running gateways: each round counts what was booked since the round before.

A checkpoint says of an account: its entries up to this id have this sum. A round looks, in one
snapshot, at each account's entries beyond its checkpoint, and compares with its balance.

Why no entry can appear below a checkpoint: whoever books an entry has locked the account's row
before the entry gets its id, and holds the lock until the commit (`ledger_postgres`, `accounts`,
`leases`). So of *one* account the order of the ids is the order of the commits, and a snapshot that
sees an entry sees all entries of the account with lower ids. Over several accounts that does
not hold, so the checkpoint is the account's own. Entry and balance change in one transaction: a
snapshot sees both or none of them, and never a difference that is none.

What lies below a checkpoint is counted from zero in its turn, some accounts a round, and at once
where something differs. That takes a share of the round's time and no more: what is left over, as
in the first rounds over a ledger that was never counted, is for the next rounds. An account that is
wrong loses its checkpoint, and is counted from zero in each round until it is right.

Only for PostgreSQL: a database of one process is audited as a whole (`gateway.store.audit`).
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from time import monotonic
from typing import Any

from msgspec import Struct
from sqlalchemy import text
from sqlmodel import Session

from gateway.store.database import Database


class Finding(Struct, frozen=True):
    """What is wrong with an account, and by how many credits."""

    account_id: int
    credits: int
    sentence: str


class AuditRound(Struct, frozen=True):
    """What a round saw. `entries` is how many it read, `recounted` the accounts from zero."""

    findings: tuple[Finding, ...]
    accounts: int
    recounted: int
    entries: int
    open_holds: int

    @property
    def drift(self) -> int:
        """Credits by which the books are wrong; 0 when they are right."""
        return sum(finding.credits for finding in self.findings)


class _Count(Struct, frozen=True):
    """An account's entries beyond `since`: their sum with what was counted before, and the last.

    `before` is what the checkpoint says of those up to it; `before_now` is their sum by now.
    """

    account_id: int
    account: str
    balance: int
    since: int
    credits: int
    last: int
    entries: int
    before: int = 0
    before_now: int = 0


#: each account reads its own piece of the index; other plans would read the whole ledger, and to
#: compile one would take longer than to carry it out
_PLAN = tuple(
    f"SET LOCAL {way} = off"
    for way in ("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "jit")
)

#: of one statement; whoever else audits or changes the schema is waited for as long
_STATEMENT_SECONDS = 60
_LOCK_SECONDS = 10
#: the most that a round may spend on counting from zero, however seldom there is one: its
#: snapshot keeps the database from tidying up, and an operator that ends waits for it
_COUNT_SECONDS = 30
#: accounts that are counted from zero in one statement
_BATCH = 50

#: accounts with entries beyond their checkpoint, and those that differ from it
_NEWS = """
SELECT a.id, a.namespace || '/' || a.name, a.balance, c.entry_id,
       c.credits + coalesce(n.credits, 0), coalesce(n.last, c.entry_id), n.entries
FROM account a JOIN audit_checkpoint c ON c.account_id = a.id
CROSS JOIN LATERAL (
  SELECT sum(e.credits) AS credits, max(e.id) AS last, count(*) AS entries
  FROM entry e WHERE e.account_id = a.id AND e.id > c.entry_id OFFSET 0
) AS n
WHERE a.installation = :installation AND (n.entries > 0 OR a.balance <> c.credits)
"""

#: accounts that were never counted, and those whose last count is oldest
_DUE = """
(SELECT a.id FROM account a LEFT JOIN audit_checkpoint c ON c.account_id = a.id
 WHERE a.installation = :installation AND c.account_id IS NULL ORDER BY a.id)
UNION ALL
(SELECT a.id FROM account a JOIN audit_checkpoint c ON c.account_id = a.id
 WHERE a.installation = :installation
 AND c.counted_at <= clock_timestamp() - make_interval(secs => :seconds)
 ORDER BY c.counted_at
 LIMIT (SELECT ceil(2 * :share * count(*)) FROM account WHERE installation = :installation))
"""

_FROM_ZERO = """
SELECT a.id, a.namespace || '/' || a.name, a.balance, 0, coalesce(n.credits, 0),
       coalesce(n.last, 0), n.entries, coalesce(c.credits, 0), coalesce(n.before_now, 0)
FROM account a LEFT JOIN audit_checkpoint c ON c.account_id = a.id
CROSS JOIN LATERAL (
  SELECT sum(e.credits) AS credits, max(e.id) AS last, count(*) AS entries,
         sum(e.credits) FILTER (WHERE e.id <= c.entry_id) AS before_now
  FROM entry e WHERE e.account_id = a.id OFFSET 0
) AS n
WHERE a.id = ANY(:ids)
"""

#: what an entry promises beside the sum; each finds rows that must not exist
_NEW_ENTRIES = """
WITH counted AS (
  SELECT * FROM unnest(CAST(:ids AS bigint[]), CAST(:sinces AS bigint[])) AS c(account_id, since)
), news AS (
  SELECT e.* FROM counted c CROSS JOIN LATERAL (
    SELECT * FROM entry WHERE account_id = c.account_id AND id > c.since AND kind <> 'charge'
    OFFSET 0) AS e
)
"""
_REFUNDS = """
SELECT e.account_id, e.credits, e.request_id
FROM news e LEFT JOIN entry c ON c.request_id = e.request_id AND c.kind = 'charge'
     AND c.account_id = e.account_id AND c.credits = -e.credits
WHERE e.kind = 'refund' AND c.id IS NULL
"""
_GRANT_ENTRIES = """
SELECT e.account_id, abs(e.credits), e.id, e.credits, e.grant_id
FROM news e LEFT JOIN credit_grant g ON g.id = e.grant_id AND g.account_id = e.account_id
WHERE e.grant_id IS NOT NULL
AND (g.id IS NULL OR (e.kind = 'grant' AND e.credits <> g.credits) OR -e.credits > g.credits)
"""
#: what is found from the other side, of accounts that are counted from zero
_GRANTS = """
SELECT g.account_id, g.credits, g.id
FROM credit_grant g LEFT JOIN entry e ON e.grant_id = g.id AND e.kind = 'grant'
WHERE g.account_id = ANY(:recounted) AND e.id IS NULL
"""
_DAYS = """
SELECT k.account_id, -d.credits, d.api_key_id, d.credits, d.day
FROM api_key k JOIN api_key_day d ON d.api_key_id = k.id
WHERE k.account_id = ANY(:recounted) AND d.credits < 0
"""
#: all that are open; there are never many

_HOLDS = """
SELECT h.account_id, h.credits, h.request_id
FROM hold h JOIN account a ON a.id = h.account_id AND a.installation = :installation
LEFT JOIN entry c ON c.request_id = h.request_id AND c.kind = 'charge'
     AND c.account_id = h.account_id AND c.credits = -h.credits
LEFT JOIN entry r ON r.request_id = h.request_id AND r.kind = 'refund'
WHERE c.id IS NULL OR r.id IS NOT NULL
"""

_SIZES = """
SELECT (SELECT count(*) FROM account WHERE installation = :installation),
       (SELECT count(*) FROM hold h JOIN account a ON a.id = h.account_id
        WHERE a.installation = :installation)
"""

_PROMISES = (
    ("request {2} was refunded {1} without a charge of the same", _NEW_ENTRIES + _REFUNDS),
    ("the entry {2} of {3} credits is not what grant {4} allows", _NEW_ENTRIES + _GRANT_ENTRIES),
    ("grant {2} of {1} credits has no entry", _GRANTS),
    ("key {2} counts {3} credits on {4}", _DAYS),
    ("request {2} has a hold of {1} although it was not charged so, or was refunded", _HOLDS),
)

_KEEP = """
INSERT INTO audit_checkpoint (account_id, entry_id, credits, counted_at)
SELECT *, clock_timestamp() FROM unnest(CAST(:ids AS bigint[]), CAST(:entry_ids AS bigint[]),
                                        CAST(:credits AS bigint[]))
ON CONFLICT (account_id) DO UPDATE SET entry_id = excluded.entry_id, credits = excluded.credits,
  counted_at = CASE WHEN audit_checkpoint.account_id = ANY(:recounted) THEN excluded.counted_at
                    ELSE audit_checkpoint.counted_at END
"""


def audit_round(
    database: Database, installation: str, *, round_seconds: float, recount_seconds: float
) -> AuditRound:
    """One round over the accounts of an installation, in one snapshot.

    Rounds are `round_seconds` apart; each account is counted from zero once in `recount_seconds`,
    for which a round has half of its time, or `_COUNT_SECONDS`. Raises `DatabaseUnavailable`, also
    where another auditor is at work.
    """
    until = monotonic() + min(round_seconds / 2, _COUNT_SECONDS)
    with database.write(snapshot=True) as session:
        # Neither of these takes the snapshot: it is newer than the last round's checkpoints.
        database.allow(session, _STATEMENT_SECONDS)
        session.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'"))
        session.execute(text("LOCK TABLE audit_checkpoint IN SHARE ROW EXCLUSIVE MODE"))
        for setting in _PLAN:
            session.execute(text(setting))
        news = _counts(session, _NEWS, installation=installation)
        due = {"seconds": recount_seconds, "share": round_seconds / recount_seconds}
        found = session.execute(text(_DUE), {"installation": installation, **due})
        differing = {count.account_id for count in news if count.balance != count.credits}
        recounted = _count_from_zero(
            session, [*differing, *(one for one in found.scalars() if one not in differing)], until
        )
        again = {count.account_id for count in recounted}
        ids = sorted(again)
        counts = [*recounted, *(one for one in news if one.account_id not in again)]
        findings = (*_judge(counts), *_check_promises(session, installation, counts, ids))
        _keep(session, counts, ids, {finding.account_id for finding in findings})
        accounts, holds = session.execute(text(_SIZES), {"installation": installation}).one()
        return AuditRound(
            findings=findings,
            accounts=accounts,
            recounted=len(ids),
            entries=sum(count.entries for count in counts),
            open_holds=holds,
        )


def _count_from_zero(session: Session, ids: Sequence[int], until: float) -> list[_Count]:
    """The first of `ids`, as many as there is time for, but always some."""
    counts: list[_Count] = []
    for start in range(0, len(ids), _BATCH):
        counts += _counts(session, _FROM_ZERO, ids=sorted(ids[start : start + _BATCH]))
        if monotonic() > until:
            break
    return counts


def _counts(session: Session, statement: str, **values: Any) -> list[_Count]:
    rows = session.execute(text(statement), values)
    return [_Count(row[0], row[1], *map(int, row[2:])) for row in rows]


def _judge(counts: Iterable[_Count]) -> Iterator[Finding]:
    for one in counts:
        if one.balance != one.credits:
            sentence = f"{one.account} has a balance of {one.balance} but entries of {one.credits}"
            yield Finding(one.account_id, abs(one.balance - one.credits), sentence)
        elif one.before != one.before_now:
            sentence = (
                f"old entries of {one.account} were changed, and its balance with them:"
                f" they were {one.before} credits and are {one.before_now}"
            )
            yield Finding(one.account_id, abs(one.before - one.before_now), sentence)


def _check_promises(
    session: Session, installation: str, counts: Sequence[_Count], recounted: Sequence[int]
) -> Iterator[Finding]:
    changed = [one for one in counts if one.entries]
    values = {
        "ids": [one.account_id for one in changed],
        "sinces": [one.since for one in changed],
        "recounted": recounted,
        "installation": installation,
    }
    for sentence, statement in _PROMISES:
        for row in session.execute(text(statement), values):
            yield Finding(row[0], int(row[1]), sentence.format(*row))


def _keep(
    session: Session, counts: Iterable[_Count], recounted: Sequence[int], wrong: Collection[int]
) -> None:
    """Move the checkpoints of accounts that are right, and forget those that are wrong."""
    if wrong:
        forget = "DELETE FROM audit_checkpoint WHERE account_id = ANY(:ids)"
        session.execute(text(forget), {"ids": sorted(wrong)})
    right = [one for one in counts if one.account_id not in wrong]
    if right:
        values = {
            "ids": [one.account_id for one in right],
            "entry_ids": [one.last for one in right],
            "credits": [one.credits for one in right],
            "recounted": recounted,
        }
        session.execute(text(_KEEP), values)
