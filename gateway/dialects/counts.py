"""Numbers of tokens as an upstream reports them."""

from typing import Annotated, Any

from msgspec import Meta

from gateway.dialects.odd_values import number_of

#: no answer has more, and what no column takes would keep ends from being written
_TOKENS_MAX = 2**31 - 1
_NUMBER_MAX = 2**63 - 1
Count = Annotated[int, Meta(ge=0, le=_TOKENS_MAX)]


def add_counts(counts: dict[str, Any], more: Any) -> None:
    """Add the counts of a later event; what is zero or null there takes nothing away."""
    if isinstance(more, dict):
        counts |= {name: value for name, value in more.items() if value}


def read_count(holder: Any, name: str) -> int:
    """Return a number of tokens, at most what a column holds; 0 for a value that is none."""
    value = holder.get(name) if isinstance(holder, dict) else None
    if type(value) is not int:
        value = number_of(value, _NUMBER_MAX) or 0
    return min(max(value, 0), _TOKENS_MAX)


def add_up(*counts: int) -> int:
    """The sum of numbers of tokens that an upstream counts apart, bounded as each of them is."""
    return min(sum(counts), _TOKENS_MAX)
