"""The revocations of people's keys, for a copy outside the database that outlives a restore."""

from collections.abc import Collection
from datetime import datetime, timedelta

from msgspec import Struct
from sqlmodel import col, func, select

from gateway.store.database import Database
from gateway.store.key_origins import people_of
from gateway.store.tables import ApiKeyRow

#: keys that one statement asks for
_ASKED = 500
#: a copy holds whole seconds
_ROUNDED = timedelta(seconds=1)


class Revocation(Struct, frozen=True):
    """A person's key that was revoked, and whose it was."""

    key_id: str
    account_id: int
    revoked_at: datetime


def read_revocations(
    database: Database, installation: str, age: timedelta, most: int
) -> tuple[list[Revocation], datetime]:
    """The revocations of people's keys that are no older, and the database's time.

    Of more than `most`, each account's newest come first: who revokes keys without end is not read
    to the end. Raises `DatabaseUnavailable`.
    """
    account, revoked_at = col(ApiKeyRow.account_id), col(ApiKeyRow.revoked_at)
    newest_first = func.row_number().over(partition_by=account, order_by=revoked_at.desc())
    with database.read() as session:
        now = database.now(session)
        found = session.exec(
            select(ApiKeyRow.key_id, account, revoked_at)
            .where(ApiKeyRow.installation == people_of(installation), revoked_at > now - age)
            .order_by(newest_first)
            .limit(most)
        ).all()
    return [Revocation(key_id, account_id, at) for key_id, account_id, at in found if at], now


def find_living(
    database: Database, installation: str, revocations: Collection[Revocation]
) -> list[str]:
    """The ids of people's keys that live, and were there already when they were revoked.

    One that was made later has only the id in common: who asks again for a key that a restored
    database does not know gets the same id, and another secret. Raises `DatabaseUnavailable`.
    """
    ends = {one.key_id: one.revoked_at + _ROUNDED for one in revocations}
    asked, living = sorted(ends), list[str]()
    with database.read() as session:
        for first in range(0, len(asked), _ASKED):
            found = session.exec(
                select(ApiKeyRow.key_id, ApiKeyRow.created_at).where(
                    ApiKeyRow.installation == people_of(installation),
                    col(ApiKeyRow.key_id).in_(asked[first : first + _ASKED]),
                    col(ApiKeyRow.revoked_at).is_(None),
                )
            )
            living += [key_id for key_id, created_at in found if created_at < ends[key_id]]
    return living
