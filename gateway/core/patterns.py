"""Names with `*` as the only wildcard, as models and key limits use them."""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import TypeVar


@lru_cache(maxsize=4096)
def _expression(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in pattern.split("*")), re.DOTALL)


def matches(pattern: str, name: str) -> bool:
    """Whether `name` is `pattern`, where each `*` stands for any text."""
    return _expression(pattern).fullmatch(name) is not None


T = TypeVar("T")


def first_match(patterns: Iterable[tuple[str, T]], name: str) -> T | None:
    """What belongs to the first pattern that matches, or None."""
    return next((value for pattern, value in patterns if matches(pattern, name)), None)
