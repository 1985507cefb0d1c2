"""The hot statements on SQLite: one writer thread, WAL, `synchronous=FULL`, grouped commits."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, TypeVar

from gateway.errors import DatabaseUnavailable, TollgateError
from gateway.store.database import open_sqlite
from gateway.store.ledger import Charge, End, GroupCommit, Refund, Verdict
from gateway.store.tables import utc_text

T = TypeVar("T")
R = TypeVar("R")

_KEY = """
SELECT k.revoked_at IS NULL AND NOT k.suspended AND (k.expires_at IS NULL OR k.expires_at > :now)
       AND h.revoked_at IS NULL AND (h.expires_at IS NULL OR h.expires_at > :now),
       k.credits_per_day, a.balance, a.next_expiry IS NOT NULL AND a.next_expiry <= :now
FROM api_key_hash h JOIN api_key k ON k.id = h.api_key_id JOIN account a ON a.id = k.account_id
WHERE h.hash = :hash AND k.id = :api_key_id AND a.id = :account_id
"""
_DAY = """
INSERT INTO api_key_day (api_key_id, day, credits)
SELECT :api_key_id, :day, :credits WHERE :credits <= :cap
ON CONFLICT (api_key_id, day) DO UPDATE SET credits = credits + :credits
WHERE credits + :credits <= :cap
"""
_TAKE = "UPDATE account SET balance = balance - :credits WHERE id = :account_id"
_CHARGE_ENTRY = """
INSERT INTO entry (account_id, kind, credits, request_id, api_key_id, model, route,
                   idempotency_key, retry_count, created_at)
VALUES (:account_id, 'charge', -:credits, :request_id, :api_key_id, :model, :route,
        :idempotency_key, :retry_count, :now)
"""
_HOLD = """
INSERT INTO hold (request_id, account_id, api_key_id, replica_id, credits, day, created_at)
VALUES (:request_id, :account_id, :api_key_id, :replica_id, :credits, :capped_day, :now)
"""
_RELEASE = """
DELETE FROM hold WHERE request_id = ? RETURNING account_id, api_key_id, credits, day
"""
_REFUND_ENTRY = """
INSERT INTO entry (account_id, kind, credits, request_id, api_key_id, created_at)
VALUES (?, 'refund', ?, ?, ?, ?)
"""
_GIVE = "UPDATE account SET balance = balance + ? WHERE id = ?"
_GIVE_DAY = "UPDATE api_key_day SET credits = credits - ? WHERE api_key_id = ? AND day = ?"
_USAGE = """
INSERT INTO request_usage (request_id, input_tokens, cached_tokens, output_tokens, reasoning_tokens)
VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
"""


class SqliteLedger:
    """`gateway.store.ledger.Ledger` on a SQLite file."""

    def __init__(self, path: str, replica_id: str, *, behind_seconds: float = 0.25) -> None:
        self._path = path
        self._replica_id = replica_id
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._charges = GroupCommit[Charge, Verdict | TollgateError](
            lambda batch: self._in_thread(self._write, batch, self._charge_one)
        )
        self._refunds = GroupCommit[Refund, bool | TollgateError](
            lambda batch: self._in_thread(self._write, batch, self._refund_one)
        )
        self._ends = GroupCommit[End, bool | TollgateError](
            lambda batch: self._in_thread(self._write, batch, self._end_one),
            delay_seconds=behind_seconds,
        )
        self._connection: sqlite3.Connection

    async def start(self) -> None:
        def connect() -> None:
            self._connection = open_sqlite(self._path)

        await self._in_thread(connect)

    async def charge(self, charge: Charge) -> Verdict:
        return _raised(await asyncio.shield(self._charges.submit(charge)))

    async def refund(self, refund: Refund) -> bool:
        return _raised(await asyncio.shield(self._refunds.submit(refund)))

    def end(self, end: End) -> None:
        self._ends.submit(end)

    def pending(self) -> Iterable[str]:
        yield from (item.request_id for item in self._ends.items())
        yield from (item.request_id for item in self._refunds.items())

    async def drain(self) -> None:
        for group in (self._charges, self._refunds, self._ends):
            await group.drain()
        await self._in_thread(self._connection.close)
        self._thread.shutdown()

    async def _in_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)

    def _write(
        self, batch: Sequence[T], write_one: Callable[[T, str], R]
    ) -> list[R | TollgateError]:
        """All of a batch in one transaction; after an error once more, each on its own."""
        now = utc_text(datetime.now(UTC))
        try:
            with self._transaction():
                return [write_one(item, now) for item in batch]
        except sqlite3.Error:
            return [self._write_alone(item, write_one) for item in batch]

    def _write_alone(self, item: T, write_one: Callable[[T, str], R]) -> R | TollgateError:
        try:
            with self._transaction():
                return write_one(item, utc_text(datetime.now(UTC)))
        except sqlite3.Error as error:
            unavailable = DatabaseUnavailable("the database does not answer")
            unavailable.__cause__ = error
            return unavailable

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def _charge_one(self, charge: Charge, now: str) -> Verdict:
        values = {
            "request_id": charge.request_id,
            "account_id": charge.account_id,
            "api_key_id": charge.api_key_id,
            "hash": charge.key_hash,
            "credits": charge.credits,
            "model": charge.model,
            "route": charge.route,
            "idempotency_key": charge.idempotency_key,
            "retry_count": charge.retry_count,
            "replica_id": self._replica_id,
            "now": now,
            "day": now[:10],
            "capped_day": None,
        }
        execute = self._connection.execute
        row = execute(_KEY, values).fetchone()
        if row is None or not row[0]:
            return Verdict("dead")
        _, cap, balance, expiry_due = row
        if expiry_due:
            return Verdict("expiry_due", balance)
        if charge.credits > balance:
            return Verdict("exhausted", balance)
        if cap is not None:
            values |= {"cap": cap, "capped_day": values["day"]}
            if execute(_DAY, values).rowcount == 0:
                return Verdict("capped", balance)
        execute(_TAKE, values)
        execute(_CHARGE_ENTRY, values)
        execute(_HOLD, values)
        return Verdict("charged", balance - charge.credits)

    def _refund_one(self, refund: Refund, now: str) -> bool:
        row = self._connection.execute(_RELEASE, (refund.request_id,)).fetchone()
        if row is None:
            return False
        account_id, api_key_id, credits, day = row
        self._connection.execute(
            _REFUND_ENTRY, (account_id, credits, refund.request_id, api_key_id, now)
        )
        self._connection.execute(_GIVE, (credits, account_id))
        if day is not None:
            self._connection.execute(_GIVE_DAY, (credits, api_key_id, day))
        return True

    def _end_one(self, end: End, now: str) -> bool:
        found = self._connection.execute(_RELEASE, (end.request_id,)).fetchone() is not None
        if end.usage is not None:
            usage = end.usage
            self._connection.execute(
                _USAGE,
                (end.request_id, usage.input, usage.cached, usage.output, usage.reasoning),
            )
        return found


def _raised(result: R | TollgateError) -> R:
    if isinstance(result, TollgateError):
        raise result
    return result
