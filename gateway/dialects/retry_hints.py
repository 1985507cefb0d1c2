"""The pause that an upstream asks for: in a header, a member of its error, or its words. Pure.

Sources: RFC 9110, `retry-after`; OpenAI and Azure, `retry-after-ms`; Groq, "Please try again in
2m59s"; Google, RetryInfo and "Please retry in 37s"; LiteLLM, "Try again in 5 seconds".
"""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

_SECONDS_MAX = 3600.0
#: `1h2m3.5s`, `250ms`
_DURATION = re.compile(
    r"(?=\d)(?:(?P<h>\d{1,4})h)?(?:(?P<m>\d{1,6})m(?!s))?(?:(?P<s>\d{1,8}(?:\.\d{1,9})?)s)?"
    r"(?:(?P<ms>\d{1,9}(?:\.\d{1,9})?)ms)?"
)
_LENGTHS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_HINT = re.compile(
    r"(?:try again|retry|reset) (?:in|after) (?P<number>\d[\d.hms]{0,20}) ?"
    r"(?P<unit>second|minute)?",
    re.IGNORECASE,
)
#: members of an error with a number of seconds
_MEMBERS = ("resets_in_seconds", "retry_after")
#: details of one error that are looked at
_DETAILS_MAX = 5


def read_headers(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait, within an hour; None where no header names them. `now` is Unix time."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return _bounded(milliseconds / 1000)
    value = headers.get("retry-after")
    if value is None:
        return None
    seconds = _number(value)
    if seconds is None:
        seconds = _duration(value)
    if seconds is None:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - now
        except (ValueError, OverflowError):
            return None
    return _bounded(seconds)


def read_members(error: Mapping[str, Any]) -> float | None:
    """Seconds to wait as the members of an error have them: OpenAI's, or Google's RetryInfo."""
    for name in _MEMBERS:
        value = error.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return _bounded(min(value, _SECONDS_MAX))
    details = error.get("details")
    for detail in details[:_DETAILS_MAX] if isinstance(details, list) else ():
        delay = detail.get("retryDelay") if isinstance(detail, dict) else None
        if isinstance(delay, str):
            return _duration(delay)
    return None


def read_words(message: str) -> float | None:
    """Seconds to wait as a sentence has them."""
    found = _HINT.search(message)
    if found is None:
        return None
    number, unit = found["number"].rstrip("."), found["unit"]
    if unit is None:
        return _duration(number)
    seconds = _number(number)
    return None if seconds is None else _bounded(seconds * (60 if unit.lower() == "minute" else 1))


def _duration(text: str) -> float | None:
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        return None
    parts = found.groupdict()
    return _bounded(sum(float(parts[name]) * _LENGTHS[name] for name in parts if parts[name]))


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return None if number != number else number


def _bounded(seconds: float) -> float:
    return min(max(seconds, 0.0), _SECONDS_MAX)
