"""The tables of the console: people, their accounts and roles, and who is signed in.

    person ──< binding             accounts and roles that were given to a person here
       └─────< session             browsers that are signed in; an API key may sign in, too

Secrets are kept as SHA-256 of 160 random bits or more. No foreign keys to accounts: their checks
would lock accounts that are being charged.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    UniqueConstraint,
)
from sqlmodel import Field, SQLModel

from gateway.store.columns import BIG, id_column, moment_column


def _person(*, nullable: bool = False) -> Any:
    owner = ForeignKey("person.id", ondelete="CASCADE")
    column: Column[int] = Column(BIG, owner, nullable=nullable, index=True)
    return Field(default=None, sa_column=column)


def _hash() -> Any:
    return Field(sa_column=Column(LargeBinary, nullable=False, unique=True))


class PersonRow(SQLModel, table=True):
    """A person, known by issuer and subject; name and e-mail are for display only."""

    __tablename__ = "person"
    __table_args__ = (UniqueConstraint("installation", "issuer", "subject"),)
    id: int = id_column()
    installation: str
    issuer: str
    subject: str
    name: str = ""
    email: str = ""
    made_at: datetime = moment_column()
    signed_in_at: datetime = moment_column()


class BindingRow(SQLModel, table=True):
    """A role that a person was given, in one account or (`account` is empty) in a namespace."""

    __tablename__ = "binding"
    __table_args__ = (UniqueConstraint("person_id", "namespace", "account"),)
    id: int = id_column()
    person_id: int = _person()
    namespace: str
    account: str = ""
    role: str
    made_at: datetime = moment_column()
    made_by: str


class SessionRow(SQLModel, table=True):
    """A browser that is signed in, as a person or by an API key; no two ever have the same id.

    `roles` are those that the sign-in gave, as pairs of namespace and role. `issuer_session` and
    `id_token` (sealed) are the identity provider's, for signing out there.
    """

    __tablename__ = "session"
    __table_args__ = (
        CheckConstraint("(person_id IS NULL) <> (api_key_id IS NULL)", name="session_of_one"),
        Index("session_ends", "ends_at"),
        {"sqlite_autoincrement": True},
    )
    id: int = id_column()
    hash: bytes = _hash()
    installation: str
    person_id: int | None = _person(nullable=True)
    api_key_id: int | None = Field(default=None, sa_column=Column(BIG, nullable=True, index=True))
    roles: list[list[str]] = Field(sa_column=Column(JSON, nullable=False))
    issuer_session: str | None = Field(default=None, sa_column=Column(String, index=True))
    id_token: bytes | None = None
    authenticated_at: datetime = moment_column()
    made_at: datetime = moment_column()
    seen_at: datetime = moment_column()
    ends_at: datetime = moment_column()


class SignInLinkRow(SQLModel, table=True):
    """A link that signs in once, with these roles."""

    __tablename__ = "sign_in_link"
    id: int = id_column()
    hash: bytes = _hash()
    installation: str
    roles: list[list[str]] = Field(sa_column=Column(JSON, nullable=False))
    ends_at: datetime = moment_column()


class LogoutTokenRow(SQLModel, table=True):
    """A logout token that was obeyed and is not obeyed again."""

    __tablename__ = "logout_token"
    hash: bytes = Field(primary_key=True)
    ends_at: datetime = moment_column()
