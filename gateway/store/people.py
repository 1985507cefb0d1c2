"""People: known by issuer and subject, with the roles and accounts that they were given here."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal, get_args

from msgspec import Struct
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col, select

from gateway.store.console_tables import BindingRow, PersonRow
from gateway.store.tables import Account

Role = Literal["member", "manager", "treasurer", "auditor"]
#: a namespace, `*` for all of them, and a role in it
NamespaceRole = tuple[str, Role]

ALL_NAMESPACES = "*"
_NAME_CHARACTERS_MAX = 256


class Identity(Struct, frozen=True):
    """A person as an issuer knows them; name and e-mail are chosen by people, and only shown."""

    issuer: str
    subject: str
    name: str = ""
    email: str = ""


class OwnAccount(Struct, frozen=True):
    """An account that somebody is bound to."""

    id: int
    namespace: str
    name: str

    @property
    def shown(self) -> str:
        return f"{self.namespace}/{self.name}"


def keep_person(session: Session, installation: str, identity: Identity, now: datetime) -> int:
    """The id of the person's row, made at the first sign-in."""
    shown = {
        "name": identity.name[:_NAME_CHARACTERS_MAX],
        "email": identity.email[:_NAME_CHARACTERS_MAX],
        "signed_in_at": now,
    }
    dialect = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    kept = (
        dialect.insert(PersonRow)
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


def read_bindings(
    session: Session, installation: str, person_id: int
) -> tuple[list[NamespaceRole], list[OwnAccount]]:
    """The roles in namespaces that a person was given here, and the accounts."""
    found = session.exec(select(BindingRow).where(BindingRow.person_id == person_id)).all()
    roles = read_roles((row.namespace, row.role) for row in found if not row.account)
    names = {(row.namespace, row.account) for row in found if row.account}
    if not names:
        return roles, []
    asked = select(Account).where(
        Account.installation == installation,
        col(Account.namespace).in_({namespace for namespace, _ in names}),
        col(Account.name).in_({name for _, name in names}),
    )
    accounts = [
        OwnAccount(row.id, row.namespace, row.name)
        for row in session.exec(asked.order_by(col(Account.id)))
        if (row.namespace, row.name) in names
    ]
    return roles, accounts


def read_roles(pairs: Iterable[Iterable[str]]) -> list[NamespaceRole]:
    """The pairs of namespace and role that this release knows; others give nobody anything."""
    known: dict[str, Role] = {role: role for role in get_args(Role)}
    return [(namespace, known[role]) for namespace, role in pairs if role in known]
