"""The revocations of people's keys, for a copy outside the database that outlives a restore."""

from collections.abc import Collection
from datetime import datetime, timedelta

from msgspec import Struct
from sqlmodel import col, select

from gateway.store.database import Database
from gateway.store.key_origins import people_of
from gateway.store.tables import ApiKeyRow

#: keys that one statement asks for
_ASKED = 500


class Revocation(Struct, frozen=True):
    """A person's key that was revoked, and whose it was."""

    key_id: str
    account_id: int
    revoked_at: datetime


def read_revocations(
    database: Database, installation: str, age: timedelta
) -> tuple[list[Revocation], datetime]:
    """The revocations of people's keys that are no older, and the database's time.

    Raises `DatabaseUnavailable`.
    """
    revoked_at = col(ApiKeyRow.revoked_at)
    with database.read() as session:
        now = database.now(session)
        found = session.exec(
            select(ApiKeyRow.key_id, ApiKeyRow.account_id, revoked_at).where(
                ApiKeyRow.installation == people_of(installation), revoked_at > now - age
            )
        ).all()
    return [Revocation(key_id, account, at) for key_id, account, at in found if at], now


def find_living(database: Database, installation: str, key_ids: Collection[str]) -> list[str]:
    """Those of people's keys that are not revoked. Raises `DatabaseUnavailable`."""
    asked, living = sorted(key_ids), list[str]()
    with database.read() as session:
        for first in range(0, len(asked), _ASKED):
            found = session.exec(
                select(ApiKeyRow.key_id).where(
                    ApiKeyRow.installation == people_of(installation),
                    col(ApiKeyRow.key_id).in_(asked[first : first + _ASKED]),
                    col(ApiKeyRow.revoked_at).is_(None),
                )
            )
            living += found.all()
    return living
