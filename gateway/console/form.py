"""A form as it was sent, and what is wrong with it."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta

from msgspec import Struct, field
from starlette.datastructures import FormData

from gateway.console.language import marked
from gateway.core.digits import whole_number

_LATER = marked("This must be a date in the future, or empty.")
_LAST_DAY = date(9998, 12, 31)


class Form(Struct):
    """The fields as they were typed, and what is wrong with some."""

    values: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    def number(self, name: str) -> int | None:
        """The whole number of a field, with commas and blanks or without; None for other texts."""
        return whole_number(self.values[name].replace(",", "").replace(" ", ""))

    def last_day(self) -> datetime | None:
        """The end of the day in the field `expires_at`.

        None where it is empty, and where it is no day from today on: that is an error of the form.
        """
        text = self.values["expires_at"]
        if not text:
            return None
        try:
            day = date.fromisoformat(text)
            if datetime.now(UTC).date() <= day <= _LAST_DAY:
                return end_of_day(day)
        except ValueError:
            pass
        self.errors["expires_at"] = _LATER
        return None


def read_fields(form: FormData, names: Iterable[str], characters_max: int) -> dict[str, str]:
    """The fields of these names, without blanks around them, cut to a length."""
    return {name: str(form.get(name, "")).strip()[:characters_max] for name in names}


def end_of_day(day: date, days: int = 0) -> datetime:
    """The last second of a day or of one some `days` later, in UTC: the page shows the day."""
    return datetime.combine(day + timedelta(days=days), time(23, 59, 59), UTC)
