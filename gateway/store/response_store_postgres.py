"""Stored responses in PostgreSQL, on one connection of their own; expiry is by its clock."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gateway.core.errors import DatabaseUnavailable, DataRefused
from gateway.core.seal import Sealer
from gateway.store.hot_connection import HotConnection, OutcomeUnknown, StatementRefused
from gateway.store.outage import Outage
from gateway.store.response_store import PURGE_ROWS, ResponseStore, Unwritten

_REFUSED = "the database refused a stored response"

_READ = """
SELECT sealed, floor(extract(epoch FROM expires_at))::bigint FROM response
WHERE account_id = %(account_id)s AND id = %(id)s AND expires_at > clock_timestamp()
"""

_READ_ITEMS = """
SELECT id, sealed FROM response_item
WHERE account_id = %(account_id)s AND id = ANY(%(ids)s::text[]) AND expires_at > clock_timestamp()
"""

# Of a response that is there already nothing is written: the statement is repeated where its first
# answer was lost.
_WRITE = """
WITH kept AS (
  INSERT INTO response (account_id, id, sealed, expires_at)
  SELECT (value ->> 0)::bigint, value ->> 1, value ->> 2,
         clock_timestamp() + make_interval(days => %(days)s)
  FROM json_array_elements(%(responses)s::json) AS given(value)
  ON CONFLICT DO NOTHING
  RETURNING account_id, id, expires_at
)
INSERT INTO response_item (account_id, id, response_id, sealed, expires_at)
SELECT kept.account_id, value ->> 1, kept.id, value ->> 3, kept.expires_at
FROM json_array_elements(%(items)s::json) AS given(value)
JOIN kept ON kept.account_id = (value ->> 0)::bigint AND kept.id = value ->> 2
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
        self._connection = HotConnection(url, outage)
        self._lock = asyncio.Lock()

    async def _close(self) -> None:
        async with self._lock:
            await self._connection.close()

    async def _read(self, account_id: int, response_id: str) -> tuple[str, int] | None:
        rows = await self._run(_READ, {"account_id": account_id, "id": response_id})
        return (rows[0][0], rows[0][1]) if rows else None

    async def _read_items(self, account_id: int, ids: list[str]) -> list[tuple[str, str]]:
        rows = await self._run(_READ_ITEMS, {"account_id": account_id, "ids": ids})
        return [(item_id, sealed) for item_id, sealed in rows]

    async def _write(self, batch: list[Unwritten]) -> None:
        def values() -> dict[str, Any]:
            rows = self._rows(batch)
            return {
                "responses": msgspec.json.encode(rows.responses).decode(),
                "items": msgspec.json.encode(rows.items).decode(),
                "days": self.retention_days,
            }

        await self._run(_WRITE, await asyncio.to_thread(values))

    async def _delete(self, account_id: int, response_id: str) -> bool:
        rows = await self._run(_DELETE, {"account_id": account_id, "id": response_id})
        return bool(rows) and bool(rows[0][0])

    async def _purge(self) -> int:
        return len(await self._run(_PURGE, {"rows": PURGE_ROWS}))

    async def _run(self, statement: str, values: Mapping[str, Any]) -> Sequence[Any]:
        """Run one statement; once more where the connection was lost, for all can be repeated."""
        async with self._lock:
            try:
                return await self._connection.run(statement, values)
            except OutcomeUnknown:
                pass
            except StatementRefused as refused:
                if refused.is_about_data:
                    raise DataRefused(_REFUSED, cause=refused.cause) from refused
                if not refused.has_ended_the_connection:
                    raise DatabaseUnavailable(_REFUSED, cause=refused.cause) from refused
            try:
                return await self._connection.run(statement, values)
            except (OutcomeUnknown, StatementRefused) as error:
                raise DatabaseUnavailable("the database does not answer") from error
