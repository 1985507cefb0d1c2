"""Stored responses in PostgreSQL, on one connection of their own; expiry is by its clock."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.core.errors import ChargeUnknown, DatabaseUnavailable
from gateway.core.seal import Sealer
from gateway.store.hot_connection import Lane, StatementRefused
from gateway.store.outage import Outage
from gateway.store.response_store import PURGE_ROWS, ResponseRecord, ResponseStore

_REFUSED = "the database refused a stored response"

_READ = """
SELECT sealed, floor(extract(epoch FROM expires_at))::bigint FROM response
WHERE account_id = %(account_id)s AND id = %(id)s AND expires_at > clock_timestamp()
"""

_READ_ITEMS = """
SELECT id, sealed FROM response_item
WHERE account_id = %(account_id)s AND id = ANY(%(ids)s::text[]) AND expires_at > clock_timestamp()
"""

_WRITE = """
WITH kept AS (
  INSERT INTO response (account_id, id, sealed, expires_at)
  VALUES (%(account_id)s, %(id)s, %(sealed)s, clock_timestamp() + make_interval(days => %(days)s))
  ON CONFLICT DO NOTHING
  RETURNING account_id, id, expires_at
)
INSERT INTO response_item (account_id, id, response_id, sealed, expires_at)
SELECT kept.account_id, item.id, kept.id, item.sealed, kept.expires_at
FROM kept CROSS JOIN unnest(%(item_ids)s::text[], %(items)s::text[]) AS item(id, sealed)
RETURNING id
"""

_DELETE = """
DELETE FROM response WHERE account_id = %(account_id)s AND id = %(id)s
RETURNING expires_at > clock_timestamp()
"""

_PURGE = """
DELETE FROM response WHERE (account_id, id) IN (
  SELECT account_id, id FROM response WHERE expires_at <= clock_timestamp()
  ORDER BY expires_at LIMIT %(rows)s FOR UPDATE SKIP LOCKED
) RETURNING id
"""


class PostgresResponses(ResponseStore):
    """The tables are made by the migrations; a lost connection is opened again by the next call."""

    def __init__(
        self,
        url: str,
        sealer: Sealer,
        *,
        retention_days: int,
        bytes_max: int,
        outage: Outage | None = None,
    ) -> None:
        super().__init__(sealer, retention_days=retention_days, bytes_max=bytes_max)
        self._lane = Lane(url, outage)
        self._lock = asyncio.Lock()

    async def close(self) -> None:
        async with self._lock:
            await self._lane.close()

    async def _read(self, account_id: int, response_id: str) -> tuple[str, int] | None:
        rows = await self._run(_READ, {"account_id": account_id, "id": response_id})
        return (rows[0][0], rows[0][1]) if rows else None

    async def _read_items(self, account_id: int, ids: list[str]) -> list[tuple[str, str]]:
        rows = await self._run(_READ_ITEMS, {"account_id": account_id, "ids": ids})
        return [(item_id, sealed) for item_id, sealed in rows]

    async def _write(self, record: ResponseRecord) -> None:
        await self._run(
            _WRITE,
            {
                "account_id": record.account_id,
                "id": record.id,
                "sealed": record.sealed,
                "days": self.retention_days,
                "item_ids": list(record.items),
                "items": list(record.items.values()),
            },
        )

    async def _delete(self, account_id: int, response_id: str) -> bool:
        rows = await self._run(_DELETE, {"account_id": account_id, "id": response_id})
        return bool(rows) and bool(rows[0][0])

    async def _purge(self) -> int:
        return len(await self._run(_PURGE, {"rows": PURGE_ROWS}))

    async def _run(self, statement: str, values: Mapping[str, Any]) -> Sequence[Any]:
        """Run one statement; once more where the connection was lost, for all can be repeated."""
        async with self._lock:
            try:
                return await self._lane.run(statement, values)
            except ChargeUnknown:
                pass
            except StatementRefused as refused:
                if not refused.has_ended_the_connection:
                    raise DatabaseUnavailable(_REFUSED, cause=refused.cause) from refused
            try:
                return await self._lane.run(statement, values)
            except (ChargeUnknown, StatementRefused) as error:
                raise DatabaseUnavailable("the database does not answer") from error
