"""Names with `*` as the only wildcard, as models and key limits use them.

A stranger may have written a pattern, so the time for each match grows with the lengths of the name
and of the pattern only: nothing is tried a second time.
"""

from collections.abc import Iterable
from typing import TypeVar


def matches(pattern: str, name: str) -> bool:
    """True if `name` is `pattern`, where each `*` stands for any text.

    >>> matches("gpt-*-mini", "gpt-5-mini"), matches("a*a", "a"), matches("**", "")
    (True, False, True)
    """
    if "*" not in pattern:
        return pattern == name
    first, *middle, last = pattern.split("*")
    end = len(name) - len(last)
    if end < len(first) or not name.startswith(first) or not name.endswith(last):
        return False
    # The first place that fits leaves most for those that follow, so no other need be tried.
    position = len(first)
    for part in middle:
        position = name.find(part, position, end)
        if position < 0:
            return False
        position += len(part)
    return True


T = TypeVar("T")


def first_match(patterns: Iterable[tuple[str, T]], name: str) -> T | None:
    """The value of the first pattern that matches, or None."""
    return next((value for pattern, value in patterns if matches(pattern, name)), None)
