"""The end of sessions: by those who sign out, by the identity provider, and by a manager."""

from datetime import timedelta

from sqlalchemy import ColumnElement, delete
from sqlmodel import Session, col, select

from gateway.core.actor import Actor
from gateway.store.console_tables import LogoutTokenRow, PersonRow, SessionRow
from gateway.store.database import Database
from gateway.store.inserts import insert_into
from gateway.store.session_log import log_ended, log_signed_out

#: longer than a logout token is believed
_KEPT = timedelta(hours=1)


def end_session(database: Database, session_id: int, actor: Actor) -> None:
    """Sign out. Raises `DatabaseUnavailable`."""
    with database.write() as session:
        for row in _end(session, col(SessionRow.id) == session_id):
            log_signed_out(session, row, actor, database.now(session))


def end_sessions_of(
    database: Database, person_id: int, actor: Actor, session_id: int | None = None
) -> int:
    """End one session of a person, or all of them; how many they were.

    Raises `DatabaseUnavailable`.
    """
    which = [col(SessionRow.person_id) == person_id]
    if session_id is not None:
        which.append(col(SessionRow.id) == session_id)
    with database.write() as session:
        ended = _end(session, *which)
        log_ended(session, ended, actor, database.now(session))
        return len(ended)


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
        kept = session.execute(
            insert_into(session, LogoutTokenRow)
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
        ended = _end(session, *named)
        log_ended(session, ended, Actor(f"identity provider {issuer}"), now)
        return len(ended)


def _end(session: Session, *which: ColumnElement[bool]) -> list[SessionRow]:
    """Remove sessions; their rows, as they were."""
    return list(session.scalars(delete(SessionRow).where(*which).returning(SessionRow)))
