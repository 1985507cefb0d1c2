"""Locks by which a migration step takes tables that gateways are writing to."""

import logging
import time

from alembic import op
from sqlalchemy import text

from gateway.core.errors import DatabaseBusy
from gateway.store.driver_errors import translated_errors

_log = logging.getLogger(__name__)
#: others that ask for a table after us wait behind us, so we wait only for as long as a charge may
_WAIT_MILLISECONDS = 300
_PAUSE_SECONDS = 1.0


def lock_tables(*names: str) -> None:
    """Have tables alone until the step is over, without holding up others before.

    Tried again until nobody else has one, such as a backup. SQLite has the whole file already.
    """
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
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
