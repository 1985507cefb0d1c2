"""The plain statements that an act sends, noted on their way."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from gateway.store.transaction import Transaction


@contextmanager
def statements() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """Each statement with its values, of all databases of this process."""
    noted: list[tuple[str, dict[str, Any]]] = []
    rows = Transaction.rows

    def note(self: Transaction, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        noted.append((statement, values))
        return rows(self, statement, **values)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Transaction, "rows", note)
        yield noted
