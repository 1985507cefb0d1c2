"""The last day of a key or a grant, as a form has it and as a moment."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta

from gateway.console.language import marked

_FIELD = "expires_at"
_LATER = marked("This must be a date in the future, or empty.")
_LAST_DAY = date(9998, 12, 31)


def read_last_day(values: Mapping[str, str], errors: dict[str, str]) -> datetime | None:
    """The end of the day in the field `expires_at`; None without one, and for one that is none."""
    text = values[_FIELD]
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
        if datetime.now(UTC).date() <= day <= _LAST_DAY:
            return end_of_day(day)
    except ValueError:
        pass
    errors[_FIELD] = _LATER
    return None


def end_of_day(day: date, days: int = 0) -> datetime:
    """The last second of a day, UTC: the page shows the day."""
    return datetime.combine(day + timedelta(days=days), time(23, 59, 59), UTC)
