"""Numbers of tokens as an upstream reports them."""

from typing import Annotated, Any

from msgspec import Meta

#: no answer has more, and what no column takes would keep ends from being written
_TOKENS_MAX = 2**31 - 1
Count = Annotated[int, Meta(ge=0, le=_TOKENS_MAX)]


def read_count(holder: Any, name: str) -> int:
    """Return a number of tokens, bounded by what a column takes; 0 for what is no number."""
    value = holder.get(name) if isinstance(holder, dict) else None
    return min(value, _TOKENS_MAX) if type(value) is int and value > 0 else 0
