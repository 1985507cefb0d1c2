"""Locks by which migration steps take tables that gateways are writing to."""

import logging
import time

from alembic import op
from sqlalchemy import Connection, inspect, text

from gateway.core.errors import DatabaseBusy
from gateway.store.driver_errors import translated_errors

_log = logging.getLogger(__name__)
#: others that ask for a table after us wait behind us, so we wait only for as long as a charge may
_WAIT_MILLISECONDS = 300
_PAUSE_SECONDS = 1.0


def lock_tables() -> None:
    """Have the tables of this step and of all later ones alone, without holding up others before.

    Each step names its own in `LOCKED`. The locks are taken together, or none of them is, and then
    tried again: another transaction, such as a backup, may hold one. If a step held one lock and
    waited for the next, it and a charge that holds the next could wait for each other. SQLite has
    the whole file already.
    """
    connection = op.get_bind()
    names = _names(connection)
    if connection.dialect.name == "sqlite" or not names:
        return
    attempts = 0
    while True:
        attempt = connection.begin_nested()
        connection.execute(text(f"SET LOCAL lock_timeout = '{_WAIT_MILLISECONDS}ms'"))
        try:
            with translated_errors():
                connection.execute(text(f"LOCK TABLE {', '.join(names)} IN ACCESS EXCLUSIVE MODE"))
        except DatabaseBusy:
            attempt.rollback()
        else:
            connection.execute(text("SET LOCAL lock_timeout = 0"))
            attempt.commit()
            return
        if attempts % 30 == 0:
            _log.warning("waiting for %s, which somebody else reads or writes", " and ".join(names))
        attempts += 1
        time.sleep(_PAUSE_SECONDS)


def _names(connection: Connection) -> list[str]:
    """The tables that are still to be locked; those that a later step makes are nobody's yet."""
    context = op.get_context()
    assert context.environment_context is not None
    pending = context.environment_context.script.iterate_revisions(
        "head", context.get_current_heads()
    )
    wanted = {name for step in pending for name in getattr(step.module, "LOCKED", ())}
    return sorted(wanted & set(inspect(connection).get_table_names()))
