"""Sessions of the console and one-time links: made, looked up, ended.

    link ──┐
    person ┼─▶ begin ──▶ session row ◀── look-up, once a request ──▶ ended: sign-out, idle, over
    key ───┘

Owns how long a session lasts and how many somebody has. Cookies and links hold random bits, rows
only their SHA-256. Each sign-in removes the rows of those that are over, so there are not more of
them than sign-ins of half a day.
"""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, delete, or_, update
from sqlmodel import Session, col, select

from gateway.store.console_tables import PersonRow, SessionRow, SignInLinkRow
from gateway.store.database import Database
from gateway.store.people import (
    Identity,
    NamespaceRole,
    OwnAccount,
    keep_person,
    read_bindings,
    read_roles,
)
from gateway.store.tables import Account, ApiKeyRow

#: a session ends after so long without a request, and after so long in any case
IDLE = timedelta(hours=1)
LONGEST = timedelta(hours=12)
#: sessions that a person, or a key, has at a time; the one not used for longest gives way
SESSIONS_MAX = 20
LINK_LASTS = timedelta(minutes=10)
#: the last use is noted so seldom, so that looking at pages writes little
_NOTED = timedelta(minutes=1)
_CODE_BYTES = 20
_SESSION_BYTES = 32
LINK_ISSUER = "one-time link"


class SignIn(Struct, frozen=True):
    """A sign-in: `roles` are those that it gives, `by_key` is a key's row where a key signs in."""

    identity: Identity | None = None
    by_key: int | None = None
    roles: tuple[NamespaceRole, ...] = ()
    #: of the identity provider, for signing out there; the token is sealed
    issuer_session: str | None = None
    id_token: bytes | None = None


class FoundSession(Struct, frozen=True, kw_only=True):
    """A session that has not ended, as of one moment of the database's clock."""

    id: int
    #: None where an API key has signed in
    person_id: int | None
    identity: Identity
    #: the row of the key that has signed in, and its id
    key_row: int | None
    key_id: str | None
    #: roles in namespaces, of the sign-in and given here
    roles: tuple[NamespaceRole, ...]
    #: the person's own accounts, or the one of the key
    accounts: tuple[OwnAccount, ...]
    authenticated_at: datetime
    ends_at: datetime
    id_token: bytes | None


def make_link(database: Database, installation: str, roles: Sequence[NamespaceRole]) -> str:
    """The code of a new link that signs in once. Raises `DatabaseUnavailable`."""
    code = secrets.token_urlsafe(_CODE_BYTES)
    with database.write() as session:
        now = database.now(session)
        session.execute(delete(SignInLinkRow).where(col(SignInLinkRow.ends_at) <= now))
        row = SignInLinkRow(
            hash=_hash(code),
            installation=installation,
            roles=[list(pair) for pair in roles],
            ends_at=now + LINK_LASTS,
        )
        session.add(row)
    return code


def begin_by_link(database: Database, installation: str, code: str) -> str | None:
    """The secret of a new session, or None for a link that is unknown, used or over.

    Raises `DatabaseUnavailable`.
    """
    with database.write() as session:
        now = database.now(session)
        used = (
            delete(SignInLinkRow)
            .where(
                col(SignInLinkRow.hash) == _hash(code),
                col(SignInLinkRow.installation) == installation,
                col(SignInLinkRow.ends_at) > now,
            )
            .returning(col(SignInLinkRow.roles))
        )
        pairs = session.execute(used).scalar_one_or_none()
        if pairs is None:
            return None
        roles = tuple(read_roles(pairs))
        subject = " ".join(f"{role}:{namespace}" for namespace, role in sorted(roles))
        identity = Identity(LINK_ISSUER, subject)
        return _begin(session, installation, SignIn(identity, roles=roles), now)


def begin_session(database: Database, installation: str, sign_in: SignIn) -> str:
    """The secret of a new session. Raises `DatabaseUnavailable`."""
    with database.write() as session:
        return _begin(session, installation, sign_in, database.now(session))


def find_session(database: Database, installation: str, secret: str) -> FoundSession | None:
    """The session of a secret if it has not ended, and its key is alive; its use is noted.

    Raises `DatabaseUnavailable`.
    """
    with database.read() as session:
        now = database.now(session)
        asked = select(SessionRow).where(
            SessionRow.hash == _hash(secret), SessionRow.installation == installation
        )
        row = session.exec(asked).one_or_none()
        if row is None or _is_over(row, now):
            return None
        found = _read(session, installation, row, now)
    if found is not None and row.seen_at + _NOTED < now:
        with database.write() as session:
            session.execute(
                update(SessionRow).where(col(SessionRow.id) == row.id).values(seen_at=now)
            )
    return found


def end_session(database: Database, session_id: int) -> None:
    """Sign out. Raises `DatabaseUnavailable`."""
    _end(database, col(SessionRow.id) == session_id)


def end_sessions_of(database: Database, person_id: int, session_id: int | None = None) -> int:
    """End one session of a person, or all of them; how many they were.

    Raises `DatabaseUnavailable`.
    """
    which = [col(SessionRow.person_id) == person_id]
    if session_id is not None:
        which.append(col(SessionRow.id) == session_id)
    return _end(database, *which)


class SessionLine(Struct, frozen=True):
    """A session as its person sees it in a list."""

    id: int
    made_at: datetime
    seen_at: datetime
    ends_at: datetime


def list_sessions(database: Database, person_id: int) -> list[SessionLine]:
    """A person's sessions that have not ended, the newest first. Raises `DatabaseUnavailable`."""
    with database.read() as session:
        now = database.now(session)
        asked = select(SessionRow).where(SessionRow.person_id == person_id)
        return [
            SessionLine(row.id, row.made_at, row.seen_at, row.ends_at)
            for row in session.exec(asked.order_by(col(SessionRow.id).desc()))
            if not _is_over(row, now)
        ]


def _end(database: Database, *which: ColumnElement[bool]) -> int:
    with database.write() as session:
        ended: Any = session.execute(delete(SessionRow).where(*which))
        return int(ended.rowcount)


def _hash(secret: str) -> bytes:
    return sha256(secret.encode()).digest()


def _is_over(row: SessionRow, now: datetime) -> bool:
    return row.ends_at <= now or row.seen_at + IDLE <= now


def _begin(session: Session, installation: str, sign_in: SignIn, now: datetime) -> str:
    over = or_(col(SessionRow.ends_at) <= now, col(SessionRow.seen_at) <= now - IDLE)
    session.execute(delete(SessionRow).where(over))
    if sign_in.by_key is None:
        assert sign_in.identity is not None, "a person or a key signs in"
        person_id = keep_person(session, installation, sign_in.identity, now)
        owned = col(SessionRow.person_id) == person_id
    else:
        person_id = None
        owned = col(SessionRow.api_key_id) == sign_in.by_key
    by_use = select(SessionRow.id).where(owned).order_by(col(SessionRow.seen_at).desc())
    too_many = session.exec(by_use.offset(SESSIONS_MAX - 1)).all()
    session.execute(delete(SessionRow).where(col(SessionRow.id).in_(too_many)))
    secret = secrets.token_urlsafe(_SESSION_BYTES)
    row = SessionRow(
        hash=_hash(secret),
        installation=installation,
        person_id=person_id,
        api_key_id=sign_in.by_key,
        roles=[list(pair) for pair in sign_in.roles],
        issuer_session=sign_in.issuer_session,
        id_token=sign_in.id_token,
        authenticated_at=now,
        made_at=now,
        seen_at=now,
        ends_at=now + LONGEST,
    )
    session.add(row)
    return secret


def _read(
    session: Session, installation: str, row: SessionRow, now: datetime
) -> FoundSession | None:
    roles = read_roles(row.roles)
    key_id = None
    if row.person_id is None:
        found = session.execute(
            select(ApiKeyRow, Account)
            .join(Account, col(Account.id) == col(ApiKeyRow.account_id))
            .where(ApiKeyRow.id == row.api_key_id)
        ).one_or_none()
        if found is None or not _is_alive(found[0], now):
            return None
        key, account = found
        key_id = key.key_id
        identity = Identity("API key", key.key_id, key.prefix)
        accounts = [OwnAccount(account.id, account.namespace, account.name)]
    else:
        person = session.get_one(PersonRow, row.person_id)
        identity = Identity(person.issuer, person.subject, person.name, person.email)
        given, accounts = read_bindings(session, installation, row.person_id)
        roles += given
    return FoundSession(
        id=row.id,
        person_id=row.person_id,
        identity=identity,
        key_row=row.api_key_id,
        key_id=key_id,
        roles=tuple(dict.fromkeys(roles)),
        accounts=tuple(accounts),
        authenticated_at=row.authenticated_at,
        ends_at=row.ends_at,
        id_token=row.id_token,
    )


def _is_alive(key: ApiKeyRow, now: datetime) -> bool:
    return key.revoked_at is None and (key.expires_at is None or key.expires_at > now)
