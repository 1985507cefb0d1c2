"""Sessions that an identity provider ends: those of a person there, or of one session there."""

from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col, select

from gateway.store.console_tables import LogoutTokenRow, PersonRow, SessionRow
from gateway.store.database import Database

#: longer than a logout token is believed
_KEPT = timedelta(hours=1)


def end_sessions_by_issuer(
    database: Database,
    installation: str,
    issuer: str,
    subject: str | None,
    issuer_session: str | None,
    token: bytes,
) -> int | None:
    """End the sessions that a logout token names, by its hash; None for one that came before.

    A token with both ends that session of that person. Raises `DatabaseUnavailable`.
    """
    with database.write() as session:
        now = database.now(session)
        session.execute(delete(LogoutTokenRow).where(col(LogoutTokenRow.ends_at) <= now))
        dialect = sqlite if database.is_sqlite else postgresql
        kept = session.execute(
            dialect.insert(LogoutTokenRow)
            .values(hash=token, ends_at=now + _KEPT)
            .on_conflict_do_nothing()
            .returning(col(LogoutTokenRow.hash))
        )
        if kept.scalar_one_or_none() is None:
            return None
        people = select(PersonRow.id).where(
            PersonRow.installation == installation, PersonRow.issuer == issuer
        )
        if subject is not None:
            people = people.where(PersonRow.subject == subject)
        named: list[ColumnElement[bool]] = [col(SessionRow.person_id).in_(people)]
        if issuer_session is not None:
            named.append(col(SessionRow.issuer_session) == issuer_session)
        ended: Any = session.execute(delete(SessionRow).where(*named))
        return int(ended.rowcount)
