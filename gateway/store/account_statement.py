"""An account's own view of itself: balance and the last entries."""

from datetime import UTC, datetime
from typing import Any

from sqlmodel import col, select

from gateway.store.database import Database
from gateway.store.tables import Account, ApiKeyDay, Entry

ENTRIES_MAX = 50


def read_statement(database: Database, account_id: int, api_key_id: int) -> dict[str, Any]:
    """Balance, next expiry, credits the key used today, and the newest entries first.

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
        today = session.get(ApiKeyDay, (api_key_id, database.now(session).date()))
        return {
            "balance": account.balance,
            "next_expiry": _stamp(account.next_expiry),
            "credits_used_today": today.credits if today else 0,
            "entries": [
                {
                    "id": row.id,
                    "kind": row.kind,
                    "credits": row.credits,
                    "request_id": row.request_id,
                    "model": row.model,
                    "route": row.route,
                    "created_at": _stamp(row.created_at),
                }
                for row in rows
            ],
        }


def read_balances(database: Database, installation: str) -> dict[str, int]:
    """Balances by the shown name of the account, `namespace/name`."""
    with database.read() as session:
        found = select(Account).where(Account.installation == installation)
        return {f"{row.namespace}/{row.name}": row.balance for row in session.exec(found)}


def _stamp(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
