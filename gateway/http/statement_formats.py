"""A statement as JSON, as CSV and as a page. The same statement is the same bytes."""

import csv
import io
from collections.abc import Callable, Iterator
from typing import Any, Literal

import msgspec

from gateway.core.statement import KINDS, Below, BelowLine, RequestLine, Statement, stamp
from gateway.http.spreadsheet import CSV_TYPE, cell
from gateway.http.statement_page import page

Format = Literal["json", "csv", "html"]

#: names of the totals, by the kind of entry
_PLURALS = {
    "grant": "grants",
    "charge": "charges",
    "refund": "refunds",
    "expiry": "expiries",
    "void": "voids",
}
_COLUMNS = (
    "line", "at", "entry_id", "grant", "reference", "reason", "expires_at", "key", "key_id",
    "model", "requests", "credits",
)  # fmt: skip


def as_json(statement: Statement) -> bytes:
    lines = [
        {
            "entry_id": line.entry_id,
            "kind": line.kind,
            "created_at": stamp(line.at),
            "credits": line.credits,
            "grant": line.grant,
            "reference": line.reference,
            "reason": line.reason,
            "expires_at": stamp(line.expires_at),
        }
        for line in statement.grants
    ]
    document: dict[str, Any] = {
        "object": "statement",
        "account": statement.account,
        "from": stamp(statement.period.begin),
        "to": stamp(statement.period.end),
        "closed": statement.is_closed,
        "opening": statement.opening,
        "totals": {_PLURALS[kind]: statement.totals[kind] for kind in KINDS},
        "closing": statement.closing,
        "grants": lines,
        "unlisted": {_PLURALS[kind]: number for kind, number in statement.unlisted.items()},
        "charges": statement.charges,
        "refunds": statement.refunds,
    }
    if statement.below is not None:
        document["below"] = _below(statement.below)
    return msgspec.json.encode(document) + b"\n"


def as_csv(statement: Statement) -> bytes:
    """RFC 4180; one line each for the opening balance, every line of the statement, the closing.

    The accounts below come after it, with a column of their own.
    """
    text = io.StringIO(newline="")
    columns = _COLUMNS if statement.below is None else (*_COLUMNS, "account")
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\r\n")
    writer.writeheader()
    for row in _rows(statement):
        writer.writerow({name: cell(value) for name, value in row.items()})
    return text.getvalue().encode()


def as_html(statement: Statement) -> bytes:
    return page(statement).encode()


FORMATS: dict[Format, Callable[[Statement], bytes]] = {
    "json": as_json,
    "csv": as_csv,
    "html": as_html,
}
CONTENT_TYPES: dict[Format, str] = {
    "json": "application/json",
    "csv": CSV_TYPE,
    "html": "text/html; charset=utf-8",
}


def _rows(statement: Statement) -> Iterator[dict[str, Any]]:
    period = statement.period
    yield {"line": "opening", "at": stamp(period.begin), "credits": statement.opening}
    for line in statement.grants:
        yield {
            "line": line.kind,
            "at": stamp(line.at),
            "entry_id": line.entry_id,
            "grant": line.grant,
            "reference": line.reference,
            "reason": line.reason,
            "expires_at": stamp(line.expires_at),
            "credits": line.credits,
        }
    for kind in statement.unlisted:
        listed = sum(line.credits for line in statement.grants if line.kind == kind)
        yield {"line": kind, "credits": statement.totals[kind] - listed}
    yield from (_request_row("charge", line) for line in statement.charges)
    yield from (_request_row("refund", line) for line in statement.refunds)
    yield {"line": "closing", "at": stamp(period.end), "credits": statement.closing}
    for below in statement.below.lines if statement.below is not None else ():
        yield {"line": "below_charge", "account": below.account, "credits": below.charges}
        yield {"line": "below_refund", "account": below.account, "credits": below.refunds}


def _request_row(kind: str, line: RequestLine) -> dict[str, Any]:
    return {
        "line": kind,
        "key": line.key,
        "key_id": line.key_id,
        "model": line.model,
        "requests": line.requests,
        "credits": line.credits,
    }


def _below(below: Below) -> dict[str, Any]:
    return {
        "complete_until": stamp(below.complete_until),
        "total": _sums(below.total),
        "accounts": [{"account": line.account, **_sums(line)} for line in below.lines],
    }


def _sums(line: BelowLine) -> dict[str, int]:
    return {"charges": line.charges, "refunds": line.refunds, "credits": line.credits}
