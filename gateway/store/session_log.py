"""Events of the console's sessions: begun, refused, ended. A part of the log of changes.

An act of a person is an event of each account of that person. It is an event of the installation
where the person has none, and where a sign-in is refused.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct
from sqlmodel import Session, select

from gateway.core.actor import UNKNOWN_ACTOR, Actor
from gateway.store.change_log import ChangeKind, log_change
from gateway.store.console_tables import PersonRow, SessionRow
from gateway.store.database import Database
from gateway.store.people import (
    Identity,
    NamespaceRole,
    read_accounts,
    read_bindings,
    read_own_bindings,
    read_roles,
    shown_text,
)
from gateway.store.tables import ApiKeyRow

Way = Literal["identity provider", "proxy", "link", "API key", "logout token"]
#: of an event that is about no account
_NO_ACCOUNT = 0
_UNKNOWN = "unknown"


class Origin(Struct, frozen=True):
    """The way somebody comes, and the network; `step_up`: again, for money or rights."""

    way: Way
    network: str = ""
    step_up: bool = False

    @property
    def facts(self) -> dict[str, Any]:
        """Those that are known, as events have them."""
        network = {"network": self.network} if self.network else {}
        return {"way": self.way, **network, **({"step_up": True} if self.step_up else {})}


def session_actor(identity: Identity, session_id: int) -> Actor:
    """The actor of a session: the subject beside the name, which people choose."""
    name = shown_text(identity.name) or shown_text(identity.email) or identity.subject
    return Actor(f"person {name} ({identity.shown}), session {session_id}")


def log_begun(
    session: Session, row: SessionRow, identity: Identity, origin: Origin, now: datetime
) -> None:
    """Add to the transaction that somebody has signed in. The session's row has its id."""
    facts = {**origin.facts, "session": row.id}
    _log(session, [row], "session.begun", session_actor(identity, row.id), now, facts)


def log_signed_out(session: Session, row: SessionRow, actor: Actor, now: datetime) -> None:
    """Add to the transaction that somebody has signed out."""
    _log(session, [row], "session.signed_out", actor, now, {"session": row.id})


def log_ended(session: Session, rows: Iterable[SessionRow], actor: Actor, now: datetime) -> None:
    """Add to the transaction that somebody has ended sessions, for each person whose they are."""
    people: dict[int | None, list[SessionRow]] = {}
    for row in rows:
        people.setdefault(row.person_id, []).append(row)
    for own in people.values():
        _log(session, own, "sessions.ended", actor, now, {"sessions": len(own)})


def log_refused(database: Database, installation: str, subject: str, facts: dict[str, Any]) -> None:
    """Write that a sign-in was refused. Raises `DatabaseUnavailable`."""
    with database.write() as session:
        log_change(
            session,
            installation,
            _NO_ACCOUNT,
            "session.refused",
            subject or _UNKNOWN,
            UNKNOWN_ACTOR,
            database.now(session),
            facts,
        )


def _log(
    session: Session,
    rows: Sequence[SessionRow],
    kind: ChangeKind,
    actor: Actor,
    now: datetime,
    facts: dict[str, Any],
) -> None:
    """Add an event of sessions of one person or key, to each account that it has."""
    installation = rows[0].installation
    subject, accounts = _owner(session, rows)
    for account_id in accounts or [_NO_ACCOUNT]:
        log_change(session, installation, account_id, kind, subject, actor, now, facts)


def _owner(session: Session, rows: Sequence[SessionRow]) -> tuple[str, list[int]]:
    """The one whose sessions they are, as events show it, and the ids of its accounts."""
    row = rows[0]
    if row.person_id is None:
        key = session.exec(select(ApiKeyRow).where(ApiKeyRow.id == row.api_key_id)).one()
        return f"{key.namespace}/{key.name}", [key.account_id]
    person = session.get_one(PersonRow, row.person_id)
    roles: list[NamespaceRole] = [role for each in rows for role in read_roles(each.roles)]
    roles += read_bindings(session, person.id)
    roles += read_own_bindings(session, person.id)
    accounts = read_accounts(session, row.installation, roles)
    return Identity(person.issuer, person.subject).shown, [each.id for each in accounts]
