"""Numbers that clients and people write: digits alone, and no more of them than a column holds."""

_DIGITS_MAX = 18


def whole_number(text: str) -> int | None:
    """The number, or None for anything else.

    >>> [whole_number(text) for text in ("12", "", "-1", "²", "1 ")]
    [12, None, None, None, None]
    """
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX else None
