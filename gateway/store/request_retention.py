"""Retention: tokens, parts of the price and tags of each request are forgotten after some days.

Entries, credits and the sums of usage stay as they are. No entry is forgotten before it is counted,
so this runs behind a round that has counted everything (`usage_rounds`). In a database that several
installations share there is no such round, and each has days of its own.
"""

from datetime import timedelta

from gateway.core.request_ids import first_id_of
from gateway.store.database import Database

#: rows of one table that a round deletes
ROWS_MAX = 5_000
#: both from the ends of an index
_INSTALLATIONS = "SELECT min(installation), max(installation) FROM account"
#: one that is open, or was when it was counted, still needs them
_FORGET = """
DELETE FROM {table} WHERE request_id IN (
  SELECT r.request_id FROM {table} r WHERE r.request_id < :before
  AND NOT EXISTS (SELECT 1 FROM usage_open o WHERE o.request_id = r.request_id)
  AND NOT EXISTS (SELECT 1 FROM hold h WHERE h.request_id = r.request_id)
  ORDER BY r.request_id LIMIT :most)
"""


def forget_requests(database: Database, installation: str, days: int) -> None:
    """Forget some of what is older, where the database is this installation's alone.

    Raises `DatabaseUnavailable`.
    """
    if {*database.glance(_INSTALLATIONS)} != {installation}:
        return
    for table in ("request_usage", "request_tags"):
        with database.plain_read() as transaction:
            before = first_id_of(transaction.now() - timedelta(days=days))
            ((oldest,),) = transaction.rows(f"SELECT min(request_id) FROM {table}")
        if oldest is not None and oldest < before:  # writing takes a lock
            with database.plain_write() as transaction:
                transaction.rows(_FORGET.format(table=table), before=before, most=ROWS_MAX)
