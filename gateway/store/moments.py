"""Moments and lists of names as the two databases hold them: PostgreSQL by its types, SQLite as
text. One that cannot be read has a value that stands for it (`unreadable`)."""

import json
from datetime import UTC, datetime
from typing import Any

from gateway.store.unreadable import read_names, read_utc_text


def utc_text(moment: datetime) -> str:
    """The text that SQLite holds for a moment; its order is the order of time."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


def read_moment(value: Any) -> datetime | None:
    """A moment, as a driver returns it."""
    if value is None:
        return None
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    return read_utc_text(value)


def read_list(value: Any) -> list[str]:
    """A list of names, as a driver returns it: read already, or as JSON's text."""
    try:
        return read_names(json.loads(value) if isinstance(value, str) else value)
    except ValueError:
        return read_names(None)
