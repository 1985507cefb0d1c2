"""Values of a database that Python or the gateway cannot read, and what stands for them.

Values that are written have bounds (`gateway.core.spec`). But a row may be older than they are, or
have been changed by hand: PostgreSQL knows the year 10000, BC and infinity, SQLite keeps any text.
To read one of those must never fail the statement, as it reads everybody else's rows, too. So it
reads as a value that no object can have, by which nothing is allowed, and the row is set aside
where that is possible.
"""

import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

#: in a comparison it is over
UNREADABLE = datetime.min.replace(tzinfo=UTC)
#: is no model's name
UNREADABLE_NAME = "\0"

_log = logging.getLogger(__name__)


def read_utc_text(text: Any) -> datetime:
    """A moment as SQLite holds it."""
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except (TypeError, ValueError):
        return UNREADABLE


def read_names(value: Any) -> list[str]:
    """A list of texts as JSON holds it."""
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return value
    return [UNREADABLE_NAME]


def can_be_read(moment: datetime | None, names: Iterable[str] = ()) -> bool:
    return moment != UNREADABLE and UNREADABLE_NAME not in names


def set_aside(row: str) -> None:
    """Log a row that cannot be used as it is; its reader goes on with the others."""
    _log.warning("%s is set aside: its row holds what nobody can read", row)
