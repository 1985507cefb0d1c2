"""Usage as JSON and as CSV. The same sums are the same bytes."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import astuple

from gateway.core.principal import AccountSet
from gateway.core.statement import stamp
from gateway.core.usage import UsageLine, UsageQuery, UsageSums
from gateway.http.spreadsheet import csv_lines

_SUMS = (
    "requests", "failed", "credits_charged", "credits_refunded", "input_tokens", "cached_tokens",
    "cache_write_tokens", "output_tokens", "reasoning_tokens",
)  # fmt: skip


def usage_json(
    whose: str | AccountSet,
    query: UsageQuery,
    complete_until: datetime | None,
    total: UsageSums,
    lines: Sequence[UsageLine],
) -> bytes:
    """The whole answer, of one account or of namespaces."""
    document = {
        "object": "usage",
        "account": whose if isinstance(whose, str) else None,
        "namespaces": None if isinstance(whose, str) else sorted(whose.namespaces),
        "from": stamp(query.period.begin),
        "to": stamp(query.period.end),
        "timezone": query.zone,
        "group_by": query.columns,
        "complete_until": stamp(complete_until),
        "total": _members(total),
        "data": [{**_group(query, line), **_members(line.sums)} for line in lines],
    }
    return msgspec.json.encode(document) + b"\n"


def usage_csv_head(query: UsageQuery) -> bytes:
    """The first line: the names of the columns."""
    names: list[str] = []
    for name in query.columns:
        names += ("key", "key_id") if name == "key" else (name,)
    return csv_lines([(*names, *_SUMS, "credits")])


def usage_csv(query: UsageQuery, lines: Sequence[UsageLine]) -> bytes:
    """Some more lines."""
    return csv_lines(
        (*_group(query, line).values(), *astuple(line.sums), _credits(line.sums)) for line in lines
    )


def _group(query: UsageQuery, line: UsageLine) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for group, name in zip(query.group_by, query.columns, strict=True):
        if group == "key":
            members |= {"key": line.key, "key_id": line.key_id}
        else:
            others = {
                "namespace": line.namespace,
                "account": line.account,
                "model": line.model,
                "route": line.route,
                "tag": line.tag,
            }
            members[name] = others.get(group, line.time)
    return members


def _members(sums: UsageSums) -> dict[str, Any]:
    return {
        "requests": sums.requests,
        "failed": sums.failed,
        "credits": _credits(sums),
        "credits_charged": sums.charged,
        "credits_refunded": sums.refunded,
        "tokens": {
            "input": sums.input_tokens,
            "cached": sums.cached_tokens,
            "cache_write": sums.cache_write_tokens,
            "output": sums.output_tokens,
            "reasoning": sums.reasoning_tokens,
        },
    }


def _credits(sums: UsageSums) -> int:
    return sums.charged - sums.refunded
