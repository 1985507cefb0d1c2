"""the console"""

import sqlalchemy as sa
from alembic import op

from gateway.store.columns import BIG, UtcDateTime

revision = "0014"
down_revision = "0012"


def _moment(name: str) -> sa.Column[object]:
    return sa.Column(name, UtcDateTime(), nullable=False)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(), nullable=False)


def _person(*, nullable: bool) -> sa.Column[int]:
    owner = sa.ForeignKey("person.id", ondelete="CASCADE")
    return sa.Column("person_id", BIG, owner, nullable=nullable, index=True)


def upgrade() -> None:
    op.create_table(
        "person",
        sa.Column("id", BIG, primary_key=True, autoincrement=True),
        *map(_text, ("installation", "issuer", "subject", "name", "email")),
        *map(_moment, ("made_at", "signed_in_at")),
        sa.UniqueConstraint("installation", "issuer", "subject"),
    )
    op.create_table(
        "binding",
        sa.Column("id", BIG, primary_key=True, autoincrement=True),
        _person(nullable=False),
        *map(_text, ("namespace", "account", "role", "made_by")),
        _moment("made_at"),
        sa.UniqueConstraint("person_id", "namespace", "account"),
    )
    op.create_table(
        "session",
        sa.Column("id", BIG, primary_key=True, autoincrement=True),
        sa.Column("hash", sa.LargeBinary(), nullable=False, unique=True),
        _text("installation"),
        _person(nullable=True),
        sa.Column("api_key_id", BIG, nullable=True, index=True),
        sa.Column("roles", sa.JSON(), nullable=False),
        sa.Column("issuer_session", sa.String(), nullable=True, index=True),
        sa.Column("id_token", sa.LargeBinary(), nullable=True),
        *map(_moment, ("authenticated_at", "made_at", "seen_at", "ends_at")),
        sa.CheckConstraint("(person_id IS NULL) <> (api_key_id IS NULL)", name="session_of_one"),
        sa.Index("session_ends", "ends_at"),
    )
    op.create_table(
        "sign_in_link",
        sa.Column("id", BIG, primary_key=True, autoincrement=True),
        sa.Column("hash", sa.LargeBinary(), nullable=False, unique=True),
        _text("installation"),
        sa.Column("roles", sa.JSON(), nullable=False),
        _moment("ends_at"),
    )
    op.create_table(
        "logout_token",
        sa.Column("hash", sa.LargeBinary(), primary_key=True),
        _moment("ends_at"),
    )
