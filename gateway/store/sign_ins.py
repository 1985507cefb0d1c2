"""Sessions of the console and one-time links: made and looked up.

    link ──┐
    person ┼─▶ begin ──▶ session row ◀── look-up, once a request ──▶ ended: `sign_outs`, idle, over
    key ───┘

Owns how long a session lasts and how many somebody has. Cookies and links hold random bits, rows
only their SHA-256. Each sign-in removes the rows of those that are over, so there are not more of
them than sign-ins of half a day.
"""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256

from msgspec import Struct
from sqlalchemy import ColumnElement, delete, exists, or_, update
from sqlmodel import Session, col, select

from gateway.core.console_spec import ConsoleSessions
from gateway.store.console_tables import PersonRow, SessionRow, SignInLinkRow
from gateway.store.database import Database
from gateway.store.key_origins import people_of
from gateway.store.people import (
    Identity,
    NamespaceRole,
    OwnAccount,
    bind_own_account,
    keep_person,
    read_accounts,
    read_bindings,
    read_own_bindings,
    read_roles,
)
from gateway.store.session_log import Origin, log_begun
from gateway.store.tables import Account, ApiKeyHash, ApiKeyRow

#: sessions that a person, or a key, has at a time; the one not used for longest gives way
SESSIONS_MAX = 20
#: the ends of sessions where nothing is set
USUAL = ConsoleSessions()
LINK_LASTS = timedelta(minutes=10)
#: the last use is noted so seldom, so that looking at pages writes little
_NOTED = timedelta(minutes=1)
_CODE_BYTES = 20
_SESSION_BYTES = 32
LINK_ISSUER = "one-time link"
KEY_ISSUER = "API key"


class OwnAccountRule(Struct, frozen=True):
    """The account of its own that a person gets: its namespace, and its name if that is free."""

    namespace: str
    label: str


class SignIn(Struct, frozen=True, kw_only=True):
    """A sign-in of a person: `roles` are those that it gives.

    With `is_admitted` unset only a binding that was made here lets the person in.
    """

    identity: Identity
    roles: tuple[NamespaceRole, ...] = ()
    is_admitted: bool = True
    own_account: OwnAccountRule | None = None
    #: of the identity provider, for signing out there; the token is sealed
    issuer_session: str | None = None
    id_token: bytes | None = None
    authenticated_at: datetime | None = None
    origin: Origin = Origin("identity provider")
    times: ConsoleSessions = USUAL


class Begun(Struct, frozen=True):
    """A new session, by the secret of its cookie."""

    secret: str
    #: the person's own account, where it has one
    own_account: NamespaceRole | None = None


class FoundSession(Struct, frozen=True, kw_only=True):
    """A session that has not ended, as of one moment of the database's clock."""

    id: int
    #: None where an API key has signed in
    person_id: int | None
    identity: Identity
    #: the row of the key that has signed in, and its id
    key_row: int | None
    key_id: str | None
    #: roles in whole namespaces, of the sign-in and given here
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
            roles=_kept(roles),
            ends_at=now + LINK_LASTS,
        )
        session.add(row)
    return code


def begin_by_link(
    database: Database,
    installation: str,
    code: str,
    network: str = "",
    times: ConsoleSessions = USUAL,
) -> Begun | None:
    """A new session, or None for a link that is unknown, used or over.

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
        subject = " ".join(f"{each.role}:{each.namespace}" for each in sorted(roles))
        identity, origin = Identity(LINK_ISSUER, subject), Origin("link", network)
        sign_in = SignIn(identity=identity, roles=roles, origin=origin, times=times)
        return _begin(session, installation, sign_in, now)


def begin_session(database: Database, installation: str, sign_in: SignIn) -> Begun | None:
    """A new session; None for a person that nothing lets in, who is known from now on.

    Raises `DatabaseUnavailable`.
    """
    with database.write() as session:
        return _begin(session, installation, sign_in, database.now(session))


def begin_by_key(
    database: Database,
    installation: str,
    hashes: Sequence[bytes],
    network: str = "",
    times: ConsoleSessions = USUAL,
) -> Begun | None:
    """A new session of the key with one of these hashes, or None. Raises `DatabaseUnavailable`."""
    with database.write() as session:
        now = database.now(session)
        found = session.execute(
            select(ApiKeyRow, ApiKeyHash)
            .join(ApiKeyHash, col(ApiKeyHash.api_key_id) == col(ApiKeyRow.id))
            .where(
                col(ApiKeyHash.hash).in_(hashes),
                col(ApiKeyHash.revoked_at).is_(None),
                col(ApiKeyRow.installation).in_((installation, people_of(installation))),
            )
        ).first()
        if found is None:
            return None
        key, issued = found
        is_over = issued.expires_at is not None and issued.expires_at <= now
        if is_over or not _is_alive(key, now):
            return None
        row = SessionRow(
            installation=installation, api_key_id=key.id, roles=[], authenticated_at=now
        )
        identity = Identity(KEY_ISSUER, key.key_id, key.prefix)
        return Begun(_add(session, row, identity, Origin("API key", network), times, now))


def find_session(
    database: Database, installation: str, secret: str, idle: timedelta = USUAL.idle
) -> FoundSession | None:
    """The session of a secret if it has not ended, and its key is alive; its use is noted.

    Raises `DatabaseUnavailable`.
    """
    with database.read() as session:
        now = database.now(session)
        asked = select(SessionRow).where(
            SessionRow.hash == _hash(secret), SessionRow.installation == installation
        )
        row = session.exec(asked).one_or_none()
        if row is None or _is_over(row, idle, now):
            return None
        found = _read(session, installation, row, now)
    if found is not None and row.seen_at + _NOTED < now:
        with database.write() as session:
            session.execute(
                update(SessionRow).where(col(SessionRow.id) == row.id).values(seen_at=now)
            )
    return found


class SessionLine(Struct, frozen=True):
    """A session as its person sees it in a list."""

    id: int
    made_at: datetime
    seen_at: datetime
    ends_at: datetime


def list_sessions(
    database: Database, person_id: int, idle: timedelta = USUAL.idle
) -> list[SessionLine]:
    """A person's sessions that have not ended, the newest first. Raises `DatabaseUnavailable`."""
    with database.read() as session:
        now = database.now(session)
        asked = select(SessionRow).where(SessionRow.person_id == person_id)
        return [
            SessionLine(row.id, row.made_at, row.seen_at, row.ends_at)
            for row in session.exec(asked.order_by(col(SessionRow.id).desc()))
            if not _is_over(row, idle, now)
        ]


def _hash(secret: str) -> bytes:
    return sha256(secret.encode()).digest()


def _is_over(row: SessionRow, idle: timedelta, now: datetime) -> bool:
    return row.ends_at <= now or row.seen_at + idle <= now


def _kept(roles: Sequence[NamespaceRole]) -> list[list[str]]:
    return [[each.namespace, each.role, each.account] for each in roles]


def _begin(session: Session, installation: str, sign_in: SignIn, now: datetime) -> Begun | None:
    person_id = keep_person(session, installation, sign_in.identity, now)
    given = read_bindings(session, person_id)
    if not sign_in.is_admitted and not given:
        _set_roles(session, person_id, [], sign_in.times, now)
        return None
    own, rule, roles = None, sign_in.own_account, list(sign_in.roles)
    if sign_in.is_admitted:
        roles += read_own_bindings(session, person_id)
    if rule is not None and sign_in.is_admitted:
        held = (*roles, *given)
        mine = (each for each in held if each.account and each.namespace == rule.namespace)
        own = next(mine, None) or bind_own_account(
            session, installation, person_id, rule.namespace, rule.label, now
        )
        # A given one is read at each look: a copy in the session would outlive its taking.
        if own not in given:
            roles.append(own)
    kept = _kept(list(dict.fromkeys(roles)))
    _set_roles(session, person_id, kept, sign_in.times, now)
    row = SessionRow(
        installation=installation,
        person_id=person_id,
        roles=kept,
        issuer_session=sign_in.issuer_session,
        id_token=sign_in.id_token,
        authenticated_at=min(sign_in.authenticated_at or now, now),
    )
    secret = _add(session, row, sign_in.identity, sign_in.origin, sign_in.times, now)
    return Begun(secret, own)


def _set_roles(
    session: Session, person_id: int, roles: list[list[str]], times: ConsoleSessions, now: datetime
) -> None:
    """Give all sessions of a person the roles of the newest sign-in: a lost one ends in each."""
    # Those that are over are left: two sign-ins that remove them would wait for each other.
    live = col(SessionRow.person_id) == person_id, ~_are_over(times.idle, now)
    session.execute(update(SessionRow).where(*live).values(roles=roles))


def _are_over(idle: timedelta, now: datetime) -> ColumnElement[bool]:
    return or_(col(SessionRow.ends_at) <= now, col(SessionRow.seen_at) <= now - idle)


def _add(
    session: Session,
    row: SessionRow,
    identity: Identity,
    origin: Origin,
    times: ConsoleSessions,
    now: datetime,
) -> str:
    """Add a session, and remove those that are over or too many; the secret of its cookie."""
    session.execute(delete(SessionRow).where(_are_over(times.idle, now)))
    owned = (
        col(SessionRow.person_id) == row.person_id
        if row.api_key_id is None
        else col(SessionRow.api_key_id) == row.api_key_id
    )
    by_use = select(SessionRow.id).where(owned).order_by(col(SessionRow.seen_at).desc())
    too_many = session.exec(by_use.offset(SESSIONS_MAX - 1)).all()
    session.execute(delete(SessionRow).where(col(SessionRow.id).in_(too_many)))
    secret = secrets.token_urlsafe(_SESSION_BYTES)
    row.hash = _hash(secret)
    row.made_at = row.seen_at = now
    row.ends_at = now + times.longest
    session.add(row)
    session.flush()
    log_begun(session, row, identity, origin, now)
    return secret


def _read(
    session: Session, installation: str, row: SessionRow, now: datetime
) -> FoundSession | None:
    roles = list(read_roles(row.roles))
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
        if not _has_secret_of(session, key, row.made_at, now):
            return None
        key_id = key.key_id
        identity = Identity(KEY_ISSUER, key.key_id, key.prefix)
        accounts = [
            OwnAccount(
                account.id, account.namespace, account.name, account.balance, account.granted
            )
        ]
    else:
        person = session.get_one(PersonRow, row.person_id)
        identity = Identity(person.issuer, person.subject, person.name, person.email)
        roles += read_bindings(session, row.person_id)
        accounts = read_accounts(session, installation, roles)
    return FoundSession(
        id=row.id,
        person_id=row.person_id,
        identity=identity,
        key_row=row.api_key_id,
        key_id=key_id,
        roles=tuple(dict.fromkeys(each for each in roles if not each.account)),
        accounts=tuple(accounts),
        authenticated_at=row.authenticated_at,
        ends_at=row.ends_at,
        id_token=row.id_token,
    )


def _is_alive(key: ApiKeyRow, now: datetime) -> bool:
    is_over = key.expires_at is not None and key.expires_at <= now
    return key.revoked_at is None and not key.suspended and not is_over


def _has_secret_of(session: Session, key: ApiKeyRow, moment: datetime, now: datetime) -> bool:
    """True if a secret that the key had at a moment still holds.

    A secret that leaked and was rotated away leaves no session behind.
    """
    expires_at = col(ApiKeyHash.expires_at)
    held = exists().where(
        col(ApiKeyHash.api_key_id) == key.id,
        col(ApiKeyHash.created_at) <= moment,
        col(ApiKeyHash.revoked_at).is_(None),
        or_(expires_at.is_(None), expires_at > now),
    )
    return bool(session.execute(select(held)).scalar_one())
