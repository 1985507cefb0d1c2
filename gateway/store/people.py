"""People: known by issuer and subject, with the roles and accounts that they were given here."""

import secrets
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import get_args

from msgspec import Struct
from sqlalchemy import ColumnElement
from sqlmodel import Session, col, select

from gateway.core.principal import Role
from gateway.core.spec_fields import LABEL_CHARACTERS_MAX
from gateway.store.console_tables import BindingRow, PersonRow
from gateway.store.inserts import insert_into
from gateway.store.tables import Account

_NAME_CHARACTERS_MAX = 256
#: accounts `tina`, `tina-2`, … before one gets random characters
_NUMBERED_MAX = 9
_RANDOM_BYTES = 4
_SUFFIX_CHARACTERS = 2 * _RANDOM_BYTES + 1
#: the giver of a person's own account
SIGN_UP = "sign-up"


class Identity(Struct, frozen=True):
    """A person as an issuer knows them; name and e-mail are chosen by people, and only shown."""

    issuer: str
    subject: str
    name: str = ""
    email: str = ""

    @property
    def shown(self) -> str:
        """The part of it that nobody chooses."""
        return f"{self.subject} of {self.issuer}"


class NamespaceRole(Struct, frozen=True, order=True):
    """A role in a namespace, `*` for all of them, or in one account of it."""

    namespace: str
    role: Role
    account: str = ""


class OwnAccount(Struct, frozen=True):
    """An account that somebody is bound to."""

    id: int
    namespace: str
    name: str
    #: credits now, and right after the latest grant
    balance: int = 0
    granted: int = 0

    @property
    def shown(self) -> str:
        return f"{self.namespace}/{self.name}"


def keep_person(session: Session, installation: str, identity: Identity, now: datetime) -> int:
    """The id of the person's row, made at the first sign-in; the row is locked."""
    shown = {
        "name": shown_text(identity.name),
        "email": shown_text(identity.email),
        "signed_in_at": now,
    }
    kept = (
        insert_into(session, PersonRow)
        .values(
            installation=installation,
            issuer=identity.issuer,
            subject=identity.subject,
            made_at=now,
            **shown,
        )
        .on_conflict_do_update(index_elements=["installation", "issuer", "subject"], set_=shown)
        .returning(col(PersonRow.id))
    )
    person_id: int = session.execute(kept).scalar_one()
    return person_id


def read_bindings(session: Session, person_id: int) -> list[NamespaceRole]:
    """The roles that a person was given here by somebody."""
    return _read_bindings(session, person_id, BindingRow.made_by != SIGN_UP)


def read_own_bindings(session: Session, person_id: int) -> list[NamespaceRole]:
    """The roles in accounts of its own that a person got by signing up.

    They hold in sessions of somebody who may sign up, and not after that.
    """
    return _read_bindings(session, person_id, BindingRow.made_by == SIGN_UP)


def _read_bindings(
    session: Session, person_id: int, which: ColumnElement[bool] | bool
) -> list[NamespaceRole]:
    asked = select(BindingRow).where(BindingRow.person_id == person_id, which)
    found = session.exec(asked.order_by(col(BindingRow.id))).all()
    return list(read_roles((row.namespace, row.role, row.account) for row in found))


def read_accounts(
    session: Session, installation: str, roles: Iterable[NamespaceRole]
) -> list[OwnAccount]:
    """The accounts in which somebody has a role, as far as they are there."""
    names = {(role.namespace, role.account) for role in roles if role.account}
    if not names:
        return []
    asked = select(Account).where(
        Account.installation == installation,
        col(Account.namespace).in_({namespace for namespace, _ in names}),
        col(Account.name).in_({name for _, name in names}),
    )
    return [
        OwnAccount(row.id, row.namespace, row.name, row.balance, row.granted)
        for row in session.exec(asked.order_by(col(Account.id)))
        if (row.namespace, row.name) in names
    ]


def read_roles(kept: Iterable[Iterable[str]]) -> Iterator[NamespaceRole]:
    """The roles that this release knows; others give nobody anything."""
    known: dict[str, Role] = {role: role for role in get_args(Role)}
    for namespace, role, *account in kept:
        if role in known:
            yield NamespaceRole(namespace, known[role], *account)


def bind_own_account(
    session: Session, installation: str, person_id: int, namespace: str, label: str, now: datetime
) -> NamespaceRole:
    """Bind a person to a new account of its own; the person's row is locked.

    An account that is there already is somebody's: the next free name is taken.
    """
    for name in _names(label):
        made = (
            insert_into(session, Account)
            .values(installation=installation, namespace=namespace, name=name, created_at=now)
            .on_conflict_do_nothing()
            .returning(col(Account.id))
        )
        if session.execute(made).scalar_one_or_none() is not None:
            break
    row = BindingRow(
        person_id=person_id,
        namespace=namespace,
        account=name,
        role="member",
        made_at=now,
        made_by=SIGN_UP,
    )
    session.add(row)
    session.flush()
    return NamespaceRole(namespace, "member", name)


def _names(label: str) -> Iterator[str]:
    stem = label[: LABEL_CHARACTERS_MAX - _SUFFIX_CHARACTERS].rstrip("-")
    yield stem
    for number in range(2, _NUMBERED_MAX + 1):
        yield f"{stem}-{number}"
    while True:
        yield f"{stem}-{secrets.token_hex(_RANDOM_BYTES)}"


def shown_text(text: str) -> str:
    """A text as it may be kept and logged: without line breaks and all else that is not shown."""
    return "".join(each for each in text if each.isprintable())[:_NAME_CHARACTERS_MAX]
