"""An account's own view of itself: balance, the last entries, and all about one request."""

from typing import Any

import msgspec
from sqlmodel import col, select

from gateway.core.statement import stamp
from gateway.store.account_limits import read_limits
from gateway.store.database import Database
from gateway.store.key_list import used_this_month
from gateway.store.request_tables import Hold, RequestUsage, RetryRow
from gateway.store.tables import Account, ApiKeyDay, ApiKeyRow, Entry

ENTRIES_MAX = 50


def read_statement(database: Database, account_id: int, api_key_id: int) -> dict[str, Any]:
    """Balance, next expiry, credits the key used of its limits, the limits of the account and of
    those above it, and the newest entries first.

    Times are RFC 3339 in UTC. Raises `DatabaseUnavailable`.
    """
    with database.read(snapshot=True) as session:
        account = session.get_one(Account, account_id)
        rows = session.exec(
            select(Entry)
            .where(Entry.account_id == account_id)
            .order_by(col(Entry.id).desc())
            .limit(ENTRIES_MAX)
        ).all()
        day = database.now(session).date()
        today = session.get(ApiKeyDay, (api_key_id, day))
        key = session.get_one(ApiKeyRow, api_key_id)
        return {
            "balance": account.balance,
            "next_expiry": stamp(account.next_expiry),
            "credits_used_today": today.credits if today else 0,
            "credits_used_this_month": used_this_month(key, day),
            "credits_used_ever": key.used_ever,
            "account_limits": read_limits(session, account, day),
            "entries": [
                {
                    "id": row.id,
                    "kind": row.kind,
                    "credits": row.credits,
                    "request_id": row.request_id,
                    "model": row.model,
                    "route": row.route,
                    "created_at": stamp(row.created_at),
                }
                for row in rows
            ],
        }


def read_request(database: Database, account_id: int, request_id: str) -> dict[str, Any] | None:
    """All that the ledger has of one charged request; None where the account has no such request.

    A request is `open` until its end is written, with its tokens; then it is `ended`, or `refunded`
    where all credits went back. Raises `DatabaseUnavailable`.
    """
    with database.read(snapshot=True) as session:
        found = select(Entry).where(Entry.request_id == request_id, Entry.account_id == account_id)
        entries = session.exec(found.order_by(col(Entry.id))).all()
        charge = next((entry for entry in entries if entry.kind == "charge"), None)
        if charge is None:
            return None
        key = session.get(ApiKeyRow, charge.api_key_id)
        usage = session.get(RequestUsage, request_id)
        is_open = session.get(Hold, request_id) is not None
        credits = -sum(entry.credits for entry in entries)
        retry = session.get(RetryRow, request_id)
        price = usage and usage.price and msgspec.json.decode(usage.price)
        # A price may be nothing, and of a retry nothing may be left to pay.
        has_cost_nothing = price and price["credits"] <= (retry.credits if retry else 0)
        is_refunded = len(entries) > 1 and credits == 0 and not has_cost_nothing
        return {
            "request_id": request_id,
            "state": "open" if is_open else "refunded" if is_refunded else "ended",
            "credits": credits,
            "key": key and {"name": f"{key.namespace}/{key.name}", "key_id": key.key_id},
            "model": charge.model,
            "route": charge.route,
            "idempotency_key": charge.idempotency_key,
            "retry_count": charge.retry_count,
            "standing": retry and {"request_id": retry.earlier_id, "credits": retry.credits},
            "tokens": usage
            and {
                "input": usage.input_tokens,
                "cached": usage.cached_tokens,
                "cache_write": usage.cache_write_tokens,
                "output": usage.output_tokens,
                "reasoning": usage.reasoning_tokens,
            },
            "price": price,
            "entries": [
                {
                    "id": entry.id,
                    "kind": entry.kind,
                    "credits": entry.credits,
                    "created_at": stamp(entry.created_at),
                }
                for entry in entries
            ],
        }
