"""Lines of CSV (RFC 4180) that a spreadsheet takes for what they are."""

import csv
import io
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

CSV_TYPE = "text/csv; charset=utf-8; header=present"

#: a spreadsheet takes a text that begins so for a formula, some also with the wide forms of the
#: signs. Source: OWASP, "CSV Injection"
_FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")


def cell(value: Any) -> Any:
    """A value for one cell."""
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    if isinstance(value, Decimal):
        return f"{value:f}"  # never with an exponent
    return value


def csv_lines(rows: Iterable[Sequence[Any]]) -> bytes:
    """Some lines; None is an empty cell."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(map(cell, row) for row in rows)
    return text.getvalue().encode()
