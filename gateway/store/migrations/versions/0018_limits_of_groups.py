"""limits of groups"""

import sqlalchemy as sa
from alembic import op

from gateway.store.migrations.locks import lock_tables

revision = "0018"
down_revision = "0017"
LOCKED = ("account", "hold")

_LIMITS = ("credits_per_day", "credits_per_month", "credits")


def upgrade() -> None:
    lock_tables()
    for name in ("parent_id", *_LIMITS, *(f"child_{limit}" for limit in _LIMITS)):
        op.add_column("account", sa.Column(name, sa.BigInteger(), nullable=True))
    op.add_column("account", sa.Column("used_on", sa.Date(), nullable=True))
    for name in ("used_in_day", "used_in_month", "used_ever"):
        op.add_column(
            "account", sa.Column(name, sa.BigInteger(), nullable=False, server_default="0")
        )
    for name in ("object_name", "object_uid"):
        op.add_column("account", sa.Column(name, sa.String(), nullable=True))
    op.add_column("hold", sa.Column("counted", sa.JSON(), nullable=True))
    # Of the rows that there are, it holds none.
    op.create_index(
        "account_parent",
        "account",
        ["parent_id"],
        postgresql_where=sa.text("parent_id IS NOT NULL"),
        sqlite_where=sa.text("parent_id IS NOT NULL"),
    )
