"""notices"""

import sqlalchemy as sa
from alembic import op

from gateway.store.columns import BIG, UtcDateTime

revision = "0021"
down_revision = "0020"

_ONCE = (
    "receiver",
    "subject",
    "subject_id",
    "limit_name",
    "period",
    "credits",
    "percent",
)


def upgrade() -> None:
    op.create_table(
        "notice",
        sa.Column("id", BIG, primary_key=True, autoincrement=True, nullable=False),
        sa.Column("receiver", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("subject_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("limit_name", sa.String(), nullable=False),
        sa.Column("period", sa.String(), nullable=False),
        sa.Column("credits", sa.BigInteger(), nullable=False),
        sa.Column("percent", sa.Integer(), nullable=False),
        sa.Column("message_id", sa.String(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("next_attempt_at", UtcDateTime(), nullable=True),
        sa.UniqueConstraint(*_ONCE, name="notice_once"),
    )
    op.create_index(
        "notice_due",
        "notice",
        ["receiver", "next_attempt_at"],
        postgresql_where=sa.text("next_attempt_at IS NOT NULL"),
        sqlite_where=sa.text("next_attempt_at IS NOT NULL"),
    )
