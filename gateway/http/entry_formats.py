"""Entries as JSON and as CSV."""

from collections.abc import Sequence

import msgspec
from msgspec.structs import astuple

from gateway.core.entries import EntryGrant, EntryKey, EntryLine, EntryTokens
from gateway.http.spreadsheet import csv_lines

_COLUMNS = (
    *("id", "created_at", "kind", "credits", "balance_after", "request_id", "key", "key_id"),
    *("model", "route", "idempotency_key", "retry_count"),
    *(f"{name}_tokens" for name in EntryTokens.__struct_fields__),
    *("price", "grant", "reference", "reason", "tags"),
)
_NO_TOKENS = (None,) * len(EntryTokens.__struct_fields__)
_NO_GRANT = (None,) * len(EntryGrant.__struct_fields__)
_NO_KEY = (None,) * len(EntryKey.__struct_fields__)


def entries_json(
    account: str, lines: Sequence[EntryLine], *, has_more: bool, last_id: int | None
) -> bytes:
    """One page."""
    document = {
        "object": "list",
        "account": account,
        "data": lines,
        "has_more": has_more,
        "last_id": last_id,
    }
    return msgspec.json.encode(document) + b"\n"


def entries_csv_head() -> bytes:
    """The first line: the names of the columns."""
    return csv_lines([_COLUMNS])


def entries_csv(lines: Sequence[EntryLine]) -> bytes:
    """Some more lines."""
    return csv_lines(
        (
            line.id,
            line.created_at,
            line.kind,
            line.credits,
            line.balance_after,
            line.request_id,
            *(_NO_KEY if line.key is None else astuple(line.key)),
            line.model,
            line.route,
            line.idempotency_key,
            line.retry_count,
            *(_NO_TOKENS if line.tokens is None else astuple(line.tokens)),
            None if line.price is None else bytes(line.price).decode(),
            *(_NO_GRANT if line.grant is None else astuple(line.grant)),
            None if line.tags is None else bytes(line.tags).decode(),
        )
        for line in lines
    )
