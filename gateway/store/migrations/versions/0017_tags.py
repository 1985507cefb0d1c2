"""tags"""

import sqlalchemy as sa
from alembic import op

from gateway.store.columns import BIG

revision = "0017"
down_revision = "0016"

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
    op.create_table(
        "request_tags",
        sa.Column("request_id", sa.String(), primary_key=True),
        sa.Column("tags", sa.String(), nullable=False),
    )
    for table in ("usage_tag_day", "usage_tag_hour"):
        op.create_table(
            table,
            sa.Column("account_id", BIG, primary_key=True, autoincrement=False),
            sa.Column("name", sa.String(), primary_key=True),
            sa.Column("start", BIG, primary_key=True, autoincrement=False),
            sa.Column("value", sa.String(), primary_key=True),
            sa.Column("api_key_id", BIG, primary_key=True, autoincrement=False),
            sa.Column("model", sa.String(), primary_key=True),
            sa.Column("route", sa.String(), primary_key=True),
            *(
                sa.Column(name, sa.BigInteger(), server_default="0", nullable=False)
                for name in _SUMS
            ),
        )
    op.create_index(
        "usage_tag_day_values", "usage_tag_day", ["account_id", "start", "name", "value"]
    )
    op.create_index("usage_tag_hour_start", "usage_tag_hour", ["start"])
