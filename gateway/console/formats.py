"""Numbers and moments as the pages show them, in both languages alike where a table holds them."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from gateway.console.language import marked
from gateway.core.statement import stamp
from gateway.http.statement_page import grouped

#: a language's own words for a text
Gettext = Callable[[str], str]


def credits_line(credits: int) -> str:
    """Credits of an entry, with their sign.

    >>> credits_line(1200), credits_line(-3)
    ('+1,200', '−3')
    """
    return f"+{grouped(credits)}" if credits > 0 else grouped(credits)


def known(number: int | None) -> str:
    """A number, or a dash where it is not known: a zero would claim that it is."""
    return "–" if number is None else grouped(number)


def moment(value: datetime | str | None) -> datetime | None:
    """A moment in UTC, from itself or from RFC 3339."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return None if value is None else value.astimezone(UTC)


def minute(value: datetime | str) -> str:
    """A moment as tables show it.

    >>> minute("2026-10-01T09:30:59Z")
    '2026-10-01 09:30'
    """
    at = moment(value)
    assert at is not None
    return f"{at:%Y-%m-%d %H:%M}"


def long_day(value: datetime | str, gettext: Gettext) -> str:
    """A moment in a sentence.

    >>> long_day("2027-04-01T00:00:00Z", str)
    '1 April 2027, 00:00 UTC'
    """
    at = moment(value)
    assert at is not None
    form = gettext(_MOMENT)
    month = gettext(_MONTHS[at.month - 1])
    return form.format(day=at.day, month=month, year=at.year, time=f"{at:%H:%M}")


def lifetime(days: str, gettext: Gettext) -> str:
    """A new key's days to live, or `never`, in words; any other text as it is.

    >>> lifetime("365", str), lifetime("45", str), lifetime("?", str)
    ('In a year', 'In 45 days', '?')
    """
    words = _LIFETIMES.get(days) or (_IN_DAYS if days.isdecimal() else "")
    return gettext(words).format(days=days) if words else days


def rfc3339(value: datetime | str) -> str:
    """A moment for programs."""
    return stamp(moment(value)) or ""


_MONTHS = (
    *(marked("January"), marked("February"), marked("March"), marked("April"), marked("May")),
    *(marked("June"), marked("July"), marked("August"), marked("September"), marked("October")),
    *(marked("November"), marked("December")),
)
_MOMENT = marked("{day} {month} {year}, {time} UTC")
_LIFETIMES = {
    "30": marked("In 30 days"),
    "90": marked("In 90 days"),
    "365": marked("In a year"),
    "never": marked("Never"),
}
_IN_DAYS = marked("In {days} days")

FILTERS: dict[str, Callable[..., Any]] = {
    "number": grouped,
    "credits": credits_line,
    "known": known,
    "minute": minute,
    "rfc3339": rfc3339,
}
