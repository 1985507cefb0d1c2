"""The hot statements on PostgreSQL: one statement a batch, on a connection of its own.

How a charge stays exact while others write: the accounts are locked first, in the order of their
ids, as every other writer of accounts does; the keys' rows are read with a lock after that, so
their newest version counts, not the statement's snapshot. A key's writer takes the account's lock
before it marks the key, so after its commit no charge can be made with it.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from gateway.core.events import Usage
from gateway.errors import DatabaseUnavailable, TollgateError
from gateway.store.lane import Lane, StatementRefused
from gateway.store.ledger import Charge, End, GroupCommit, Refund, Verdict, note_late_ends

_CHARGE = """
WITH asked AS (
  SELECT * FROM unnest(
    %(request_ids)s::text[], %(account_ids)s::bigint[], %(api_key_ids)s::bigint[],
    %(hashes)s::bytea[], %(credits)s::bigint[], %(models)s::text[], %(routes)s::text[],
    %(idempotency_keys)s::text[], %(retry_counts)s::int[]
  ) WITH ORDINALITY AS asked(request_id, account_id, api_key_id, hash, credits, model, route,
                             idempotency_key, retry_count, position)
), accounts AS MATERIALIZED (
  SELECT id, balance, next_expiry FROM account
  WHERE id IN (SELECT account_id FROM asked) ORDER BY id FOR UPDATE
), moment AS MATERIALIZED (
  SELECT clock_timestamp() AS now, count(*) AS locked FROM accounts
), keys AS MATERIALIZED (
  SELECT k.id, k.account_id, h.hash, k.credits_per_day AS cap,
         k.revoked_at IS NULL AND NOT k.suspended
         AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp())
         AND h.revoked_at IS NULL
         AND (h.expires_at IS NULL OR h.expires_at > clock_timestamp()) AS live
  FROM api_key_hash h JOIN api_key k ON k.id = h.api_key_id
  WHERE h.hash = ANY(%(hashes)s::bytea[]) AND (SELECT locked FROM moment) >= 0
  ORDER BY h.hash FOR SHARE OF h, k
), judged AS (
  SELECT asked.*, a.balance, k.cap, coalesce(k.live, false) AS live,
         coalesce(a.next_expiry <= moment.now, false) AS expiry_due
  FROM asked CROSS JOIN moment
  LEFT JOIN keys k ON k.hash = asked.hash AND k.id = asked.api_key_id
                  AND k.account_id = asked.account_id
  LEFT JOIN accounts a ON a.id = k.account_id
), fitting AS (
  SELECT * FROM (
    SELECT judged.*, sum(credits) OVER (PARTITION BY account_id ORDER BY position) AS running
    FROM judged WHERE live AND NOT expiry_due
  ) AS summed WHERE running <= balance
), days AS (
  INSERT INTO api_key_day AS d (api_key_id, day, credits)
  SELECT api_key_id, (SELECT (now AT TIME ZONE 'UTC')::date FROM moment), sum(credits)
  FROM fitting WHERE cap IS NOT NULL GROUP BY api_key_id, cap HAVING sum(credits) <= cap
  ON CONFLICT (api_key_id, day) DO UPDATE SET credits = d.credits + excluded.credits
  WHERE d.credits + excluded.credits
        <= (SELECT cap FROM keys WHERE keys.id = excluded.api_key_id LIMIT 1)
  RETURNING d.api_key_id, d.day
), charged AS (
  SELECT fitting.*, days.day FROM fitting LEFT JOIN days USING (api_key_id)
  WHERE cap IS NULL OR days.day IS NOT NULL
), entries AS (
  INSERT INTO entry (account_id, kind, credits, request_id, api_key_id, model, route,
                     idempotency_key, retry_count, created_at)
  SELECT account_id, 'charge', -credits, request_id, api_key_id, model, route,
         idempotency_key, retry_count, moment.now FROM charged CROSS JOIN moment ORDER BY position
), holds AS (
  INSERT INTO hold (request_id, account_id, api_key_id, replica_id, credits, day, created_at)
  SELECT request_id, account_id, api_key_id, %(replica_id)s, credits, day, moment.now
  FROM charged CROSS JOIN moment
), balances AS (
  UPDATE account SET balance = account.balance - taken.credits
  FROM (SELECT account_id, sum(credits) AS credits FROM charged GROUP BY account_id) AS taken
  WHERE account.id = taken.account_id RETURNING account.id, account.balance
)
SELECT CASE WHEN NOT judged.live THEN 'dead' WHEN judged.expiry_due THEN 'expiry_due'
            WHEN charged.request_id IS NOT NULL THEN 'charged'
            WHEN fitting.request_id IS NOT NULL THEN 'capped' ELSE 'exhausted' END,
       coalesce(balances.balance, judged.balance, 0)
FROM judged LEFT JOIN charged USING (request_id) LEFT JOIN fitting USING (request_id)
LEFT JOIN balances ON balances.id = judged.account_id
ORDER BY judged.position
"""

_REFUND = """
WITH accounts AS MATERIALIZED (
  SELECT id FROM account WHERE id = ANY(%(account_ids)s::bigint[]) ORDER BY id FOR UPDATE
), held AS MATERIALIZED (
  SELECT request_id FROM hold WHERE request_id = ANY(%(request_ids)s::text[])
  AND account_id IN (SELECT id FROM accounts) ORDER BY request_id FOR UPDATE
), released AS (
  DELETE FROM hold WHERE request_id IN (SELECT request_id FROM held)
  RETURNING request_id, account_id, api_key_id, credits, day
), entries AS (
  INSERT INTO entry (account_id, kind, credits, request_id, api_key_id, created_at)
  SELECT account_id, 'refund', credits, request_id, api_key_id, clock_timestamp() FROM released
), days AS (
  UPDATE api_key_day AS d SET credits = d.credits - given.credits
  FROM (SELECT api_key_id, day, sum(credits) AS credits FROM released
        WHERE day IS NOT NULL GROUP BY api_key_id, day) AS given
  WHERE d.api_key_id = given.api_key_id AND d.day = given.day
), balances AS (
  UPDATE account SET balance = account.balance + given.credits
  FROM (SELECT account_id, sum(credits) AS credits FROM released GROUP BY account_id) AS given
  WHERE account.id = given.account_id
)
SELECT request_id FROM released
"""

_END = """
WITH held AS MATERIALIZED (
  SELECT request_id FROM hold WHERE request_id = ANY(%(request_ids)s::text[])
  ORDER BY request_id FOR UPDATE
), released AS (
  DELETE FROM hold WHERE request_id IN (SELECT request_id FROM held) RETURNING request_id
), used AS (
  INSERT INTO request_usage
    (request_id, input_tokens, cached_tokens, output_tokens, reasoning_tokens)
  SELECT * FROM unnest(%(used_ids)s::text[], %(input)s::int[], %(cached)s::int[],
                       %(output)s::int[], %(reasoning)s::int[])
  ON CONFLICT DO NOTHING
)
SELECT request_id FROM released
"""


class PostgresLedger:
    """`gateway.store.ledger.Ledger` on PostgreSQL: one connection charges, one gives back."""

    def __init__(self, url: str, replica_id: str, *, behind_seconds: float = 0.25) -> None:
        self._replica_id = replica_id
        self._charge_lane = Lane(url)
        self._behind_lane = Lane(url)
        self._behind_lock = asyncio.Lock()
        self._charges = GroupCommit[Charge, Verdict | TollgateError](self._charge_batch)
        self._refunds = GroupCommit[Refund, bool](self._refund_batch)
        self._ends = GroupCommit[End, None](
            self._end_batch, delay_seconds=behind_seconds, keeps_on_failure=True
        )

    async def start(self) -> None:
        """Nothing to do: a lane connects with its first statement."""

    async def charge(self, charge: Charge) -> Verdict:
        result = await self._charges.submit(charge)
        if isinstance(result, TollgateError):
            raise result
        return result

    async def refund(self, refund: Refund) -> bool:
        return await self._refunds.submit(refund)

    def end(self, end: End) -> None:
        self._ends.submit(end)

    def pending(self) -> Iterable[str]:
        yield from (item.request_id for item in self._ends.items())
        yield from (item.request_id for item in self._refunds.items())

    async def drain(self) -> None:
        for group in (self._charges, self._refunds, self._ends):
            await group.drain()
        await self._charge_lane.close()
        await self._behind_lane.close()

    async def _charge_batch(self, batch: list[Charge]) -> list[Verdict | TollgateError]:
        try:
            verdicts = await self._charge_rows(batch)
        except StatementRefused:
            return await self._charge_alone(batch)
        again = [i for i, verdict in enumerate(verdicts) if _was_crowded_out(batch, i, verdict)]
        results: list[Verdict | TollgateError] = list(verdicts)
        if again:
            alone = await self._charge_alone([batch[i] for i in again])
            for index, result in zip(again, alone, strict=True):
                results[index] = result
        return results

    async def _charge_alone(self, batch: list[Charge]) -> list[Verdict | TollgateError]:
        results: list[Verdict | TollgateError] = []
        locked: set[int] = set()
        for charge in batch:
            try:
                if charge.account_id in locked:
                    # Somebody holds this account's lock; one wait for it a batch is enough.
                    raise DatabaseUnavailable("the account is locked")
                results.extend(await self._charge_rows([charge]))
            except StatementRefused as refused:
                if refused.is_lock_timeout:
                    locked.add(charge.account_id)
                results.append(DatabaseUnavailable("the database refused the charge"))
            except TollgateError as error:
                results.append(error)
        return results

    async def _charge_rows(self, batch: list[Charge]) -> list[Verdict]:
        rows = await self._charge_lane.run(
            _CHARGE,
            {
                "request_ids": _texts(charge.request_id for charge in batch),
                "account_ids": _integers(charge.account_id for charge in batch),
                "api_key_ids": _integers(charge.api_key_id for charge in batch),
                "hashes": _bytes(charge.key_hash for charge in batch),
                "credits": _integers(charge.credits for charge in batch),
                "models": _texts(charge.model for charge in batch),
                "routes": _texts(charge.route for charge in batch),
                "idempotency_keys": _texts(charge.idempotency_key for charge in batch),
                "retry_counts": _integers(charge.retry_count for charge in batch),
                "replica_id": self._replica_id,
            },
        )
        return [Verdict(outcome, balance) for outcome, balance in rows]

    async def _refund_batch(self, batch: list[Refund]) -> list[bool]:
        rows = await self._behind(
            _REFUND,
            {
                "request_ids": _texts(refund.request_id for refund in batch),
                "account_ids": _integers({refund.account_id for refund in batch}),
            },
        )
        released = {row[0] for row in rows}
        return [refund.request_id in released for refund in batch]

    async def _end_batch(self, batch: list[End]) -> list[None]:
        used: list[tuple[str, Usage]] = [
            (end.request_id, end.usage) for end in batch if end.usage is not None
        ]
        rows = await self._behind(
            _END,
            {
                "request_ids": _texts(end.request_id for end in batch),
                "used_ids": _texts(request_id for request_id, _ in used),
                "input": _integers(usage.input for _, usage in used),
                "cached": _integers(usage.cached for _, usage in used),
                "output": _integers(usage.output for _, usage in used),
                "reasoning": _integers(usage.reasoning for _, usage in used),
            },
        )
        note_late_ends(len(batch) - len(rows))
        return [None] * len(batch)

    async def _behind(self, statement: str, values: dict[str, Any]) -> Sequence[Any]:
        """Both statements release holds exactly once, so they may be sent again after a failure."""
        attempts = 3
        for attempt in range(attempts):
            try:
                async with self._behind_lock:
                    return await self._behind_lane.run(statement, values)
            except (StatementRefused, DatabaseUnavailable) as error:
                if attempt == attempts - 1:
                    raise DatabaseUnavailable("the database does not answer") from error
                await asyncio.sleep(0.1 * (attempt + 1))
        raise AssertionError("unreachable")


def _was_crowded_out(batch: list[Charge], index: int, verdict: Verdict) -> bool:
    """Whether a refusal may be the others' fault: alone, the charge might fit."""
    charge = batch[index]
    if len(batch) == 1 or verdict.outcome not in ("exhausted", "capped"):
        return False
    return verdict.outcome == "capped" or charge.credits <= verdict.balance


# Arrays as text: PostgreSQL reads them faster than the driver writes its own form, and their type
# does not change with their values, so one prepared plan serves every batch.


def _integers(values: Iterable[int | None]) -> str:
    return "{" + ",".join("NULL" if value is None else str(value) for value in values) + "}"


def _texts(values: Iterable[str | None]) -> str:
    return "{" + ",".join("NULL" if value is None else _quoted(value) for value in values) + "}"


def _bytes(values: Iterable[bytes]) -> str:
    return "{" + ",".join(f'"\\\\x{value.hex()}"' for value in values) + "}"


def _quoted(value: str) -> str:
    if "\\" in value or '"' in value:
        value = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{value}"'
