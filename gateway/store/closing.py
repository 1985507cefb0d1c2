"""Closing: an account's older requests leave the ledger, and one entry has their sum.

    before   grant  charge  charge  refund  charge │ charge …        balance = sum of all entries
    after    grant                          carry  │ charge …        the same sum and balance
                                                   └ the moment of the closing

The carry takes the place of the newest entry that left, so every later entry has the balance after
it that it had. A refund leaves with its charge; a charge stays while its refund is newer than the
moment, or its request is open. Grants, expiries and voids stay: they are few, and their objects
name them.

Entries leave in slices, each in a transaction of its own under the account's lock, so charges of
the account wait for one slice at most. The records that the audit and the counting of usage keep of
these entries leave in the same transaction.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import BigInteger, String, bindparam, text
from sqlmodel import Session, select

from gateway.store import entry_ranges
from gateway.store.accounts import lock_accounts
from gateway.store.closing_table import Closing
from gateway.store.database import Database
from gateway.store.entry_ranges import ask, first_since
from gateway.store.tables import Account

#: entries that one transaction moves; charges of the account wait for it
SLICE = 2_000
#: a round of the audit has its checkpoints alone for so long
_AUDIT_SECONDS = 60
_LOCK_SECONDS = 1

#: the columns of an entry that leaves
COLUMNS = (
    *("account", "id", "created_at", "kind", "credits", "request_id", "key", "key_id"),
    *("model", "route", "idempotency_key", "retry_count"),
    *("input_tokens", "cached_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens"),
    *("price", "tags"),
)
_ID, _KIND, _CREDITS, _REQUEST = (
    COLUMNS.index(name) for name in ("id", "kind", "credits", "request_id")
)

_SEEN = f"SELECT max(id), count(*) FROM ({entry_ranges.SLICE}) AS s"
_LEAVING = f"""
WITH charges AS (
  SELECT s.* FROM ({entry_ranges.SLICE}) AS s
  LEFT JOIN hold h ON h.request_id = s.request_id
  LEFT JOIN entry r ON r.request_id = s.request_id AND r.kind = 'refund'
  WHERE s.kind = 'charge' AND h.request_id IS NULL AND (r.id IS NULL OR r.id <= :until)
), leaving AS (
  SELECT * FROM charges
  UNION ALL SELECT r.* FROM charges c JOIN entry r ON r.request_id = c.request_id
  WHERE r.kind = 'refund'
)
SELECT a.namespace || '/' || a.name, e.id, e.created_at, e.kind, e.credits, e.request_id,
  k.namespace || '/' || k.name, k.key_id, e.model, e.route, e.idempotency_key, e.retry_count,
  u.input_tokens, u.cached_tokens, u.cache_write_tokens, u.output_tokens, u.reasoning_tokens,
  u.price, t.tags
FROM leaving e JOIN account a ON a.id = e.account_id
LEFT JOIN api_key k ON k.id = e.api_key_id
LEFT JOIN request_usage u ON u.request_id = e.request_id AND e.kind = 'charge'
LEFT JOIN request_tags t ON t.request_id = e.request_id AND e.kind = 'charge'
ORDER BY e.id
"""
_CARRY = """
UPDATE entry SET kind = 'carry', credits = :credits, request_id = NULL, api_key_id = NULL,
  model = NULL, route = NULL, idempotency_key = NULL, retry_count = NULL
WHERE id = :entry_id
"""
_CARRIED = "SELECT credits FROM entry WHERE id = :entry_id"
_DELETE = "DELETE FROM entry WHERE id IN :ids"
#: what stands beside a charge: its tokens and tags, and the retries for which it stood
_DELETE_BESIDE = (
    "DELETE FROM request_usage WHERE request_id IN :ids",
    "DELETE FROM request_tags WHERE request_id IN :ids",
    "DELETE FROM standing_charge WHERE request_id IN :ids",
    "DELETE FROM retry WHERE earlier_id IN :ids",
)
_FORGET = (
    "DELETE FROM audit_checkpoint WHERE account_id = :account",
    "DELETE FROM usage_mark WHERE account_id = :account AND entry_id <= :last",
)
_COUNTED = "SELECT entry_id FROM usage_checkpoint WHERE account_id = :account"
_OPEN = "SELECT request_id FROM usage_open WHERE request_id IN :ids LIMIT 1"


class NotCounted(RuntimeError):
    """The usage of an account's entries is not counted yet; they cannot leave before."""


class Closed(Struct, frozen=True):
    """The entries that left an account in one slice, and their sum."""

    entries: int
    credits: int


#: keeps some moved entries, in `COLUMNS`, for good; called before they leave
Keep = Callable[[Sequence[Sequence[Any]]], None]


def accounts_to_close(database: Database, installation: str) -> list[tuple[int, str]]:
    """The accounts of an installation: their ids and shown names."""
    with database.read() as session:
        rows = session.exec(
            select(Account.id, Account.namespace, Account.name).where(
                Account.installation == installation
            )
        )
        return sorted((row[0], f"{row[1]}/{row[2]}") for row in rows)


def close_account(
    database: Database, account_id: int, before: datetime, keep: Keep, *, slice_size: int = SLICE
) -> Iterator[Closed]:
    """Move the entries of before a moment, slice by slice.

    Raises `NotCounted` and `DatabaseUnavailable`; then the slice is not moved, though it may be
    kept.
    """
    with database.read(snapshot=True) as session:
        ends = session.execute(text(entry_ranges.ENDS), {"account": account_id})
        oldest, newest = ends.one()
        end = first_since(session, account_id, before, oldest, newest) - 1
        counted = session.execute(text(_COUNTED), {"account": account_id}).scalar()
    if oldest > end:
        return
    if (counted or 0) < end:
        raise NotCounted("its usage is not counted so far yet; try again in a minute")
    after = oldest - 1
    while after < end:
        after, closed = _move(database, account_id, before, keep, (after, end, slice_size))
        if closed is not None:
            yield closed


def _move(
    database: Database, account_id: int, before: datetime, keep: Keep, place: tuple[int, int, int]
) -> tuple[int, Closed | None]:
    """Move one slice; the last entry that was looked at, and what has left."""
    after, end, most = place
    values = {"account": account_id, "after": after, "last": end, "most": most}
    with database.write() as session:
        _lock(database, session, account_id)
        last, seen = ask(session, _SEEN, values).one()
        rows = ask(session, _LEAVING, {**values, "until": end}).all()
        if rows:
            _refuse_open(session, rows)
            keep(rows)
            _replace(session, account_id, before, rows)
    closed = Closed(len(rows), sum(row[_CREDITS] for row in rows)) if rows else None
    return (last if seen == most else end), closed


def _lock(database: Database, session: Session, account_id: int) -> None:
    """Have the account alone; the audit is waited for before, while charges still go on."""
    if not database.is_sqlite:
        session.execute(text(f"SET LOCAL lock_timeout = '{_AUDIT_SECONDS}s'"))
        database.allow(session, _AUDIT_SECONDS)
        session.execute(text("LOCK TABLE audit_checkpoint IN ROW EXCLUSIVE MODE"))
        session.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'"))
    lock_accounts(session, [account_id])


def _refuse_open(session: Session, rows: Sequence[Sequence[Any]]) -> None:
    if _run(session, _OPEN, _requests(rows)).first() is not None:
        raise NotCounted("tokens of a request are not counted yet; try again in a minute")


def _replace(
    session: Session, account_id: int, before: datetime, rows: Sequence[Sequence[Any]]
) -> None:
    """Put the carry in the place of the newest entry that leaves."""
    ids = [row[_ID] for row in rows]
    credits = sum(row[_CREDITS] for row in rows)
    closing = session.get(Closing, account_id)
    if closing is None:
        closing = Closing(account_id=account_id, before=before, entry_id=0, entries=0)
    else:
        ids.append(closing.entry_id)
        credits += session.execute(text(_CARRIED), {"entry_id": closing.entry_id}).scalar_one()
    last = max(ids)
    ids.remove(last)
    deleted = _run(session, _DELETE, ids, BigInteger).rowcount
    assert deleted == len(ids), "the account is locked"
    session.execute(text(_CARRY), {"credits": credits, "entry_id": last})
    for statement in _DELETE_BESIDE:
        _run(session, statement, _requests(rows))
    for statement in _FORGET:
        session.execute(text(statement), {"account": account_id, "last": last})
    closing.before = max(before, closing.before)
    closing.entry_id = last
    closing.entries += len(rows)
    session.add(closing)


def _requests(rows: Sequence[Sequence[Any]]) -> list[str]:
    return [row[_REQUEST] for row in rows if row[_KIND] == "charge"]


def _run(session: Session, statement: str, ids: Sequence[Any], kind: Any = String) -> Any:
    asked = text(statement).bindparams(bindparam("ids", type_=kind, expanding=True))
    return session.execute(asked, {"ids": list(ids)})
