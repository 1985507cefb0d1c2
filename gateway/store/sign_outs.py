"""Sessions that somebody else ends: the identity provider, or a manager in the console."""

from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col, select

from gateway.core.actor import Actor
from gateway.store.change_log import log_sessions_ended
from gateway.store.console_tables import BindingRow, LogoutTokenRow, PersonRow, SessionRow
from gateway.store.database import Database
from gateway.store.tables import Account

#: longer than a logout token is believed
_KEPT = timedelta(hours=1)
#: of an event that is about no account
_NO_ACCOUNT = 0


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


def end_sessions_by(database: Database, installation: str, person_id: int, actor: Actor) -> int:
    """End all sessions of a person, as an event of each of its accounts; how many they were.

    Of a person without an account it is an event of the installation. Raises
    `DatabaseUnavailable`.
    """
    with database.write() as session:
        now = database.now(session)
        person = session.get_one(PersonRow, person_id)
        ended: Any = session.execute(
            delete(SessionRow).where(col(SessionRow.person_id) == person_id)
        )
        bound = (
            select(Account.id)
            .join(BindingRow, col(BindingRow.account) == col(Account.name))
            .where(
                BindingRow.person_id == person_id,
                BindingRow.namespace == Account.namespace,
                Account.installation == installation,
            )
        )
        number, shown = int(ended.rowcount), f"{person.subject} of {person.issuer}"
        for account_id in session.exec(bound).all() or [_NO_ACCOUNT]:
            log_sessions_ended(session, installation, account_id, shown, actor, now, number)
        return number
