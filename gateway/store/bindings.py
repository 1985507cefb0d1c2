"""Accounts that somebody gives to people, and takes from them again.

The account of its own that a person got by signing up stays, and what groups give is the identity
provider's to take.
"""

from typing import Any

from sqlalchemy import delete
from sqlmodel import Session, col, select

from gateway.core.actor import Actor
from gateway.core.principal import ALL, RIGHTS, AccountSet
from gateway.store.change_log import log_change
from gateway.store.console_tables import BindingRow, PersonRow, SessionRow
from gateway.store.database import Database
from gateway.store.people import (
    SIGN_UP,
    Identity,
    OwnAccount,
    read_bindings,
    read_own_bindings,
    read_roles,
)
from gateway.store.people_list import live_keys_of
from gateway.store.suspending import LOST_ROLE, suspend_keys


def find_person(database: Database, installation: str, issuer: str, subject: str) -> int | None:
    """The row of a person who has tried to sign in. Raises `DatabaseUnavailable`."""
    with database.read() as session:
        asked = select(PersonRow.id).where(
            PersonRow.installation == installation,
            PersonRow.issuer == issuer,
            PersonRow.subject == subject,
        )
        return session.exec(asked).one_or_none()


def bind_person(
    database: Database, installation: str, person_id: int, account: OwnAccount, actor: Actor
) -> bool:
    """Make a person a member of an account, from the next look at it on; False if it is one.

    Raises `DatabaseUnavailable`.
    """
    with database.write() as session:
        # Locked: two who bind the same person at once must not both find nothing.
        person = _locked(session, person_id)
        if session.exec(select(BindingRow.id).where(*_of(person_id, account))).first() is not None:
            return False
        now = database.now(session)
        row = BindingRow(
            person_id=person_id,
            namespace=account.namespace,
            account=account.name,
            role="member",
            made_at=now,
            made_by=actor.name,
        )
        session.add(row)
        subject = Identity(person.issuer, person.subject).shown
        log_change(
            session, installation, account.id, "person.bound", subject, actor, now,
            {"role": row.role},
        )  # fmt: skip
        return True


def unbind_person(
    database: Database, installation: str, person_id: int, account: OwnAccount, actor: Actor
) -> bool:
    """Take an account from a person again, whose keys in it are suspended; False if it has none.

    They go on if groups make the person a member, too. The keys stop first: where the database
    fails in between, the account can be taken once more. Raises `DatabaseUnavailable`.
    """
    given = (*_of(person_id, account), col(BindingRow.made_by) != SIGN_UP)
    with database.read() as session:
        if session.exec(select(BindingRow.id).where(*given)).first() is None:
            return False
        makes_keys = _makes_keys(session, person_id, account)
    if not makes_keys:
        _suspend(database, installation, person_id, account)
    with database.write() as session:
        person = _locked(session, person_id)
        taken = delete(BindingRow).where(*given).returning(col(BindingRow.role))
        role = session.execute(taken).scalar_one_or_none()
        if role is None:
            return False
        subject = Identity(person.issuer, person.subject).shown
        log_change(
            session, installation, account.id, "person.unbound", subject, actor,
            database.now(session), {"role": role},
        )  # fmt: skip
        makes_keys = _makes_keys(session, person_id, account)
    if not makes_keys:  # those that were made meanwhile
        _suspend(database, installation, person_id, account)
    return True


def _suspend(database: Database, installation: str, person_id: int, account: OwnAccount) -> None:
    """Suspend a person's keys of an account."""
    reach = AccountSet.of(account.shown)
    left = live_keys_of(database, installation, reach, person_id)
    suspend_keys(database, installation, left, LOST_ROLE)


def _locked(session: Session, person_id: int) -> PersonRow:
    return session.exec(select(PersonRow).where(PersonRow.id == person_id).with_for_update()).one()


def _of(person_id: int, account: OwnAccount) -> tuple[Any, ...]:
    return (
        BindingRow.person_id == person_id,
        BindingRow.namespace == account.namespace,
        BindingRow.account == account.name,
    )


def _makes_keys(session: Session, person_id: int, account: OwnAccount) -> bool:
    """True if a role other than the one given here lets a person make keys in an account."""
    given = read_bindings(session, person_id)
    here = (account.namespace, account.name)
    roles = [each for each in given if (each.namespace, each.account) != here]
    roles += read_own_bindings(session, person_id)
    kept = session.exec(select(SessionRow.roles).where(SessionRow.person_id == person_id)).all()
    roles += [role for each in kept for role in read_roles(each)]
    return any(
        "keys" in RIGHTS[each.role]
        and each.namespace in (ALL, account.namespace)
        and each.account in ("", account.name)
        for each in roles
    )
