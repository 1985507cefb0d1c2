"""People as a list, with what they have: accounts, sessions, live keys."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, and_, exists, func, or_, true
from sqlmodel import Session, col, select

from gateway.core.principal import ALL, AccountSet
from gateway.store.account_sets import within
from gateway.store.console_tables import BindingRow, PersonRow, SessionRow
from gateway.store.database import Database
from gateway.store.key_list import is_live
from gateway.store.people import SIGN_UP
from gateway.store.sign_ins import USUAL
from gateway.store.tables import Account, ApiKeyRow

PEOPLE_MAX = 50


class PersonLine(Struct, frozen=True):
    """One person, with the accounts and namespaces in reach that they are bound to."""

    id: int
    issuer: str
    subject: str
    name: str
    email: str
    signed_in_at: datetime
    accounts: list[str]
    #: those of them that somebody gave to the person here
    given: list[str]
    sessions: int
    keys: int


def list_people(
    database: Database,
    installation: str,
    reach: AccountSet,
    *,
    after: int | None = None,
    limit: int = PEOPLE_MAX,
    idle: timedelta = USUAL.idle,
) -> tuple[list[PersonLine], bool]:
    """People who are bound in reach, the newest first, and whether there are more.

    Raises `DatabaseUnavailable`.
    """
    asked = select(PersonRow).where(PersonRow.installation == installation, _is_bound(reach))
    if after is not None:
        asked = asked.where(col(PersonRow.id) < after)
    with database.read(snapshot=True) as session:
        found = session.exec(asked.order_by(col(PersonRow.id).desc()).limit(limit + 1)).all()
        rows = found[:limit]
        ids, now = [row.id for row in rows], database.now(session)
        bound: dict[int, list[str]] = {}
        given: dict[int, list[str]] = {}
        for row in session.exec(select(BindingRow).where(col(BindingRow.person_id).in_(ids))):
            shown = f"{row.namespace}/{row.account or '*'}"
            if reach.holds(shown):
                bound.setdefault(row.person_id, []).append(shown)
                if row.account and row.made_by != SIGN_UP:
                    given.setdefault(row.person_id, []).append(shown)
        sessions = _count(
            session,
            col(SessionRow.person_id),
            col(SessionRow.person_id).in_(ids),
            col(SessionRow.ends_at) > now,
            col(SessionRow.seen_at) > now - idle,
        )
        keys = _count(
            session,
            col(ApiKeyRow.person_id),
            col(ApiKeyRow.person_id).in_(ids),
            is_live(now),
        )
    people = [
        PersonLine(
            row.id,
            row.issuer,
            row.subject,
            row.name,
            row.email,
            row.signed_in_at,
            bound.get(row.id, []),
            given.get(row.id, []),
            sessions.get(row.id, 0),
            keys.get(row.id, 0),
        )
        for row in rows
    ]
    return people, len(found) > limit


def live_keys_of(
    database: Database, installation: str, reach: AccountSet, person_id: int
) -> Sequence[str]:
    """The ids of a person's keys in reach that work. Raises `DatabaseUnavailable`."""
    with database.read() as session:
        asked = (
            select(ApiKeyRow.key_id)
            .join(Account, col(Account.id) == col(ApiKeyRow.account_id))
            .where(Account.installation == installation, within(reach))
            .where(ApiKeyRow.person_id == person_id, is_live(database.now(session)))
            .where(~col(ApiKeyRow.suspended))
        )
        return session.exec(asked).all()


def _is_bound(reach: AccountSet) -> ColumnElement[bool]:
    """True of people who are bound to an account or a namespace in reach."""
    if ALL in reach.namespaces:
        return true()
    places: list[ColumnElement[bool]] = [col(BindingRow.namespace).in_(sorted(reach.namespaces))]
    for shown in sorted(reach.accounts):
        namespace, _, name = shown.partition("/")
        places.append(and_(col(BindingRow.namespace) == namespace, col(BindingRow.account) == name))
    return exists().where(col(BindingRow.person_id) == col(PersonRow.id), or_(*places))


def _count(session: Session, by: Any, *which: ColumnElement[bool]) -> dict[int, int]:
    asked: Any = select(by, func.count()).where(*which).group_by(by)
    return dict(session.exec(asked).all())
