"""The hot side of the ledger on SQLite: a batch of requests is a handful of statements."""

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import chain
from operator import itemgetter
from typing import Any

import msgspec

from gateway.core.errors import FaregateError
from gateway.core.events import Usage
from gateway.store.batch_writer import BatchWriter
from gateway.store.groups_sqlite import Groups, give_back, read_groups
from gateway.store.ledger import (
    Charge,
    ChargeReply,
    ChargeResult,
    Claim,
    End,
    Ledger,
    Limit,
    MeteredEnd,
    Refund,
    RefundReply,
    note_late_ends,
)
from gateway.store.moments import utc_text
from gateway.store.outage import Outage
from gateway.store.retries import claim_rows
from gateway.store.statements_sqlite import (
    DAYS,
    GIVE,
    GIVE_DAY,
    GIVE_LONGER,
    KEYS,
    LONGER,
    METERED_USAGE,
    REFUND_ENTRY,
    RELEASE,
    STAND,
    TAGS,
    TAKE,
    charge_statements,
    end_statement,
    parts,
    usage_statement,
)


class _Row(msgspec.Struct, array_like=True):
    """The columns that `KEYS` reads for one hash: its key, its account and whether it may be
    charged. `day` and `month` are set where limits of the key count; `lefts` are in the order of
    `_LIMITS`. `in_group`: the account has a parent or limits."""

    hash: str
    api_key_id: int
    account_id: int
    balance: int
    day: str | None
    month: str | None
    lefts: tuple[int | None, int | None, int | None]
    in_group: int
    expiry_due: int
    live: int


#: the longest first
_LIMITS: tuple[Limit, ...] = ("ever", "month", "day")
#: by key with limits: what the one that has least leaves, and which it is
_Lefts = dict[int, tuple[int, Limit]]
_decode_rows = msgspec.json.Decoder(list[_Row]).decode
_encode = msgspec.json.Encoder().encode


class SqliteLedger(Ledger):
    """The ledger on a SQLite file."""

    def __init__(
        self,
        path: str,
        replica_id: str,
        *,
        behind_seconds: float = 0.25,
        outage: Outage | None = None,
    ) -> None:
        super().__init__(behind_seconds)
        self._path = path
        self._replica_id = replica_id
        self._writer = BatchWriter("ledger", outage or Outage())
        self._connection: sqlite3.Connection

    async def start(self) -> None:
        self._connection = await self._writer.open(self._path)

    async def _charge_batch(self, batch: list[Charge]) -> list[ChargeReply]:
        return await self._writer.write_soon(batch, self._charge_rows)

    async def _refund_batch(self, batch: list[Refund]) -> list[RefundReply]:
        return await self._writer.write(batch, self._refund_rows)

    async def _end_batch(self, batch: Sequence[End]) -> Sequence[FaregateError | None]:
        return await self._writer.write(batch, self._end_rows)

    async def _metered_end_batch(
        self, batch: Sequence[MeteredEnd]
    ) -> Sequence[FaregateError | None]:
        return await self._writer.write(batch, self._metered_end_rows)

    async def _claim_batch(self, batch: list[Claim]) -> Sequence[int | FaregateError]:
        return await self._writer.write(batch, self._claim_rows)

    async def _close(self) -> None:
        await self._writer.close()

    def _claim_rows(self, batch: Sequence[Claim]) -> list[int]:
        return claim_rows(self._connection, batch, datetime.now(UTC))

    def _charge_rows(self, batch: Sequence[Charge]) -> list[ChargeResult]:
        now = utc_text(datetime.now(UTC))
        day = now[:10]
        rows = self._read_keys({charge.key_hash for charge in batch}, now, day)
        # Two keys may share an account, and two hashes a key.
        before = {row.account_id: row.balance for row in rows.values()}
        balances = dict(before)
        lefts = {row.api_key_id: _least(row) for row in rows.values() if row.day or row.month}
        charged: list[tuple[Charge, _Row]] = []
        has_day = has_month = has_tags = False
        groups = read_groups(self._connection, rows.values(), day)
        results = []
        for charge in batch:
            row = rows.get(charge.key_hash)
            own = _judge(charge, row, balances, lefts)
            result = own if groups is None else groups.judge(charge, own)
            results.append(result)
            if row is None or result.outcome != "charged":
                continue
            balances[row.account_id] = own.balance
            if own.limit_left is not None and own.limit is not None:
                lefts[row.api_key_id] = (own.limit_left, own.limit)
                has_day = has_day or row.day is not None
                has_month = has_month or row.month is not None
            has_tags = has_tags or charge.tags is not None
            charged.append((charge, row))
        if charged:
            taken = [
                (account, before[account] - left)
                for account, left in balances.items()
                if left < before[account]
            ]
            self._connection.execute(TAKE, {"taken": _encode(taken).decode()})
            columns = _columns(charged, groups)
            self._write_charged(columns, now)
            if has_tags:
                tagged = [(charge.request_id, charge.tags) for charge, _ in charged if charge.tags]
                self._connection.execute(TAGS, {"tagged": _encode(tagged).decode()})
            if has_day or has_month:
                values = {"charged": _encode(columns).decode()}
                if has_day:
                    self._connection.execute(DAYS, values)
                if has_month:
                    self._connection.execute(LONGER, values)
            if groups is not None:
                groups.count(self._connection)
        return results

    def _write_charged(self, columns: Sequence[Sequence[Any]], now: str) -> None:
        for part in parts(columns):
            values = (now, self._replica_id, *chain.from_iterable(part))
            for statement in charge_statements(len(part)):
                self._connection.execute(statement, values)

    def _read_keys(self, hashes: set[bytes], now: str, day: str) -> dict[bytes, _Row]:
        places = ",".join(f":hash_{number}" for number in range(len(hashes)))
        values = {f"hash_{number}": hashed for number, hashed in enumerate(hashes)}
        statement = KEYS.format(places=places)
        (found,) = self._connection.execute(
            statement, {**values, "now": now, "day": day, "month": f"{day[:7]}-01"}
        ).fetchone()
        return {bytes.fromhex(row.hash): row for row in _decode_rows(found)}

    def _refund_rows(self, batch: Sequence[Refund]) -> list[bool]:
        now = utc_text(datetime.now(UTC))
        return [self._refund_one(refund, now) is not None for refund in batch]

    def _refund_one(
        self, refund: Refund | MeteredEnd, now: str, most: int | None = None
    ) -> int | None:
        """Release a hold and give it back, or `most` of it; what is kept, None if it was gone."""
        row = self._connection.execute(RELEASE, (refund.request_id,)).fetchone()
        if row is None:
            return None
        account_id, api_key_id, credits, day, month, counted = row
        kept = 0
        if most is not None:
            kept = max(0, int(credits) - most)
            credits -= kept
            if credits == 0:
                return kept
        self._connection.execute(
            REFUND_ENTRY, (account_id, credits, refund.request_id, api_key_id, now)
        )
        self._connection.execute(GIVE, (credits, account_id))
        if day is not None:
            self._connection.execute(GIVE_DAY, (credits, api_key_id, day))
        if month is not None:
            given = {"credits": credits, "api_key_id": api_key_id, "month": month}
            self._connection.execute(GIVE_LONGER, given)
        if counted is not None:
            give_back(self._connection, counted, credits)
        return kept

    def _metered_end_rows(self, batch: Sequence[MeteredEnd]) -> list[None]:
        now = utc_text(datetime.now(UTC))
        kept = [self._refund_one(end, now, end.unused) for end in batch]
        note_late_ends(kept.count(None))
        self._connection.executemany(
            METERED_USAGE,
            [(*_tokens(end.request_id, end.usage), end.price) for end in batch if end.usage],
        )
        self._connection.executemany(
            STAND,
            [
                (end.request_id, end.account_id, left.model, left.idempotency_key, credits, now)
                for end, credits in zip(batch, kept, strict=True)
                if (left := end.left) is not None and credits
            ],
        )
        return [None] * len(batch)

    def _end_rows(self, batch: Sequence[End]) -> list[None]:
        ended = 0
        for part in parts([end.request_id for end in batch]):
            ended += self._connection.execute(end_statement(len(part)), part).rowcount
        note_late_ends(len(batch) - ended)
        used = [
            (end.request_id, use.input, use.cached, use.output, use.reasoning, use.cache_write)
            for end in batch
            if (use := end.usage) is not None
        ]
        for rows in parts(used):
            values = tuple(chain.from_iterable(rows))
            self._connection.execute(usage_statement(len(rows)), values)
        return [None] * len(batch)


def _least(row: _Row) -> tuple[int, Limit]:
    """The limit of a key that leaves least; of two that leave the same, the longer one."""
    lefts = [
        (left, limit) for left, limit in zip(row.lefts, _LIMITS, strict=True) if left is not None
    ]
    return min(lefts, key=itemgetter(0))


def _judge(
    charge: Charge, row: _Row | None, balances: dict[int, int], lefts: _Lefts
) -> ChargeResult:
    if (
        row is None
        or not row.live
        or (row.api_key_id, row.account_id) != (charge.api_key_id, charge.account_id)
    ):
        return ChargeResult("dead")
    balance = balances[row.account_id]
    if row.expiry_due:
        return ChargeResult("expiry_due", balance)
    if row.api_key_id not in lefts:
        if charge.credits > balance:
            return ChargeResult("exhausted", balance)
        return ChargeResult("charged", balance - charge.credits)
    left, limit = lefts[row.api_key_id]
    if charge.credits > balance:
        return ChargeResult("exhausted", balance, left, limit)
    if charge.credits > left and charge.credits:  # of a limit that was lowered, less than 0 is left
        return ChargeResult("capped", balance, left, limit)
    return ChargeResult("charged", balance - charge.credits, left - charge.credits, limit)


def _columns(
    charged: Sequence[tuple[Charge, _Row]], groups: Groups | None
) -> list[tuple[Any, ...]]:
    """The columns of each charge, as `CHARGED` names them."""
    return [
        (
            charge.account_id,
            charge.api_key_id,
            row.day,
            charge.credits,
            charge.model,
            charge.route,
            charge.idempotency_key,
            charge.retry_count,
            row.month,
            None if groups is None else groups.counting(charge),
            charge.request_id,
        )
        for charge, row in charged
    ]


def _tokens(request_id: str, use: Usage) -> tuple[Any, ...]:
    return (request_id, use.input, use.cached, use.output, use.reasoning, use.cache_write)
