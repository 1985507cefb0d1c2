"""When keys were last used: beside their rows, which every charge locks."""

from collections.abc import Sequence

from gateway.store.database import Database

#: keys whose use is noted in one transaction
_USES_AT_ONCE = 1000
_NOTE = """
INSERT INTO api_key_use (api_key_id, used_at) VALUES (:id, :now)
ON CONFLICT (api_key_id) DO UPDATE SET used_at = excluded.used_at
"""


def note_use(database: Database, key_row_ids: Sequence[int]) -> None:
    """Remember that these keys were used just now.

    Several replicas may do it at once: all write in the order of the ids, some at a time, and none
    touches a row that a charge waits for. Raises `DatabaseUnavailable`.
    """
    ids = sorted(key_row_ids)
    for start in range(0, len(ids), _USES_AT_ONCE):
        with database.plain_write() as transaction:
            now = transaction.now()
            some = ids[start : start + _USES_AT_ONCE]
            transaction.repeat(_NOTE, [{"id": row_id, "now": now} for row_id in some])
