"""The audit: recompute every promise of the ledger in one snapshot, and report what differs."""

from collections.abc import Iterator

from sqlalchemy import text
from sqlmodel import Session

from gateway.store.audit_counters import miscounts
from gateway.store.database import Database

#: SQLite adds up no more than one account may have
_PART = 10**9
#: each finds rows that must not exist; the sentence is filled with the row
_CHECKS: tuple[tuple[str, str], ...] = (
    (
        "account {} has a balance of {} but entries of {}",
        """
        SELECT a.id, a.balance, coalesce(sum(e.credits), 0) FROM account a
        LEFT JOIN entry e ON e.account_id = a.id
        GROUP BY a.id, a.balance HAVING a.balance <> coalesce(sum(e.credits), 0)
        """,
    ),
    ("account {} is below zero: {}", "SELECT id, balance FROM account WHERE balance < 0"),
    (
        "request {} has {} entries of kind {}",
        """
        SELECT request_id, count(*), kind FROM entry WHERE request_id IS NOT NULL
        GROUP BY request_id, kind HAVING count(*) > 1
        """,
    ),
    (
        "request {} was refunded {} without a charge of as much to the same account",
        """
        SELECT r.request_id, r.credits FROM entry r
        LEFT JOIN entry c ON c.request_id = r.request_id AND c.kind = 'charge'
             AND c.account_id = r.account_id AND -c.credits >= r.credits
        WHERE r.kind = 'refund' AND c.id IS NULL
        """,
    ),
    (
        "request {} has a hold although it was never charged, or was refunded",
        """
        SELECT h.request_id FROM hold h
        LEFT JOIN entry c ON c.request_id = h.request_id AND c.kind = 'charge'
        LEFT JOIN entry r ON r.request_id = h.request_id AND r.kind = 'refund'
        WHERE c.id IS NULL OR r.id IS NOT NULL
        """,
    ),
    (
        "request {} stands for retries with {} credits but has cost {}",
        """
        SELECT s.request_id, s.credits, -coalesce(sum(e.credits), 0) FROM standing_charge s
        LEFT JOIN entry e ON e.request_id = s.request_id AND e.account_id = s.account_id
        GROUP BY s.request_id, s.credits HAVING s.credits <> -coalesce(sum(e.credits), 0)
        """,
    ),
    (
        "request {} stands for {} retries but there are {}",
        """
        SELECT s.request_id, s.retries, count(r.request_id) FROM standing_charge s
        LEFT JOIN retry r ON r.earlier_id = s.request_id AND r.credits = s.credits
        GROUP BY s.request_id, s.retries HAVING s.retries <> count(r.request_id)
        """,
    ),
    (
        "grant {} of {} credits has entries of {}",
        """
        SELECT g.id, g.credits, coalesce(sum(e.credits), 0) FROM credit_grant g
        LEFT JOIN entry e ON e.grant_id = g.id AND e.kind = 'grant'
        GROUP BY g.id, g.credits
        HAVING coalesce(sum(e.credits), 0) <> g.credits OR count(e.id) <> 1
        """,
    ),
    (
        "grant {} took back {} of its {} credits",
        """
        SELECT g.id, -sum(e.credits), g.credits FROM credit_grant g
        JOIN entry e ON e.grant_id = g.id AND e.kind IN ('expiry', 'void')
        GROUP BY g.id, g.credits HAVING -sum(e.credits) > g.credits OR count(*) > 1
        """,
    ),
    (
        "an entry {} of grant {} has no grant",
        """
        SELECT e.id, e.grant_id FROM entry e LEFT JOIN credit_grant g ON g.id = e.grant_id
        WHERE e.grant_id IS NOT NULL AND (g.id IS NULL OR g.account_id <> e.account_id)
        """,
    ),
    (
        "key {} counts {} credits on {} but its entries say otherwise",
        """
        SELECT d.api_key_id, d.credits, CAST(d.day AS varchar) FROM api_key_day d
        WHERE d.credits < 0
        UNION ALL SELECT id, used_in_month, CAST(used_month AS varchar) FROM api_key
        WHERE used_in_month < 0 OR used_in_month > used_ever
        UNION ALL SELECT id, used_ever, 'all days' FROM api_key WHERE used_ever < 0
        """,
    ),
    (
        "account {} counts {} credits in {} but its entries say otherwise",
        """
        SELECT id, used_in_day, CAST(used_on AS varchar) FROM account
        WHERE used_in_day < 0 OR used_in_day > used_in_month
        UNION ALL SELECT id, used_in_month, 'a month' FROM account
        WHERE used_in_month < 0 OR used_in_month > used_ever
        """,
    ),
)


def audit(database: Database) -> list[str]:
    """Sentences on everything that differs; empty when the books are right."""
    with database.read(snapshot=True) as session:
        return list(_findings(session))


def summary(database: Database) -> str:
    """One line on the size of the books."""
    with database.read(snapshot=True) as session:
        row = session.execute(
            text(
                "SELECT (SELECT count(*) FROM account), (SELECT count(*) FROM entry),"
                " (SELECT count(*) FROM hold),"
                f" (SELECT coalesce(sum(balance / {_PART}), 0) FROM account),"
                f" (SELECT coalesce(sum(balance % {_PART}), 0) FROM account)"
            )
        ).one()
        credits = int(row[3]) * _PART + int(row[4])
        return f"{row[0]} accounts, {row[1]} entries, {credits} credits, {row[2]} open holds"


def _findings(session: Session) -> Iterator[str]:
    for sentence, statement in _CHECKS:
        for row in session.execute(text(statement)):
            yield sentence.format(*row)
    for found in miscounts(session):
        yield found.sentence
