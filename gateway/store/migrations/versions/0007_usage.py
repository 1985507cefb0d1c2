"""usage"""

import sqlalchemy as sa
from alembic import op

from gateway.store.columns import BIG

revision = "0007"
down_revision = "0006"

_SUMS = (
    "requests",
    "failed",
    "charged",
    "refunded",
    "input_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
)


def upgrade() -> None:
    for table in ("usage_day", "usage_hour"):
        op.create_table(
            table,
            sa.Column("account_id", BIG, primary_key=True, autoincrement=False),
            sa.Column("start", BIG, primary_key=True, autoincrement=False),
            sa.Column("api_key_id", BIG, primary_key=True, autoincrement=False),
            sa.Column("model", sa.String(), primary_key=True),
            sa.Column("route", sa.String(), primary_key=True),
            *(
                sa.Column(name, sa.BigInteger(), server_default="0", nullable=False)
                for name in _SUMS
            ),
        )
    op.create_index("usage_hour_start", "usage_hour", ["start"])
    op.create_table(
        "usage_checkpoint",
        sa.Column("account_id", BIG, primary_key=True, autoincrement=False),
        sa.Column("entry_id", sa.BigInteger(), nullable=False),
        sa.Column("credits", sa.BigInteger(), nullable=False),
        sa.Column("unmarked", sa.Integer(), nullable=False),
    )
    op.create_table(
        "usage_mark",
        sa.Column("account_id", BIG, primary_key=True, autoincrement=False),
        sa.Column("entry_id", BIG, primary_key=True, autoincrement=False),
        sa.Column("balance", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "usage_open",
        sa.Column("request_id", sa.String(), primary_key=True),
    )
