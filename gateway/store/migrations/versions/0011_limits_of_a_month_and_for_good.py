"""limits of a month and for good"""

import sqlalchemy as sa
from alembic import op

from gateway.store.migrations.locks import lock_tables

revision = "0011"
down_revision = "0010"
LOCKED = ("api_key", "hold")


def upgrade() -> None:
    lock_tables()
    for name in ("credits_per_month", "credits"):
        op.add_column("api_key", sa.Column(name, sa.BigInteger(), nullable=True))
    op.add_column("api_key", sa.Column("used_month", sa.Date(), nullable=True))
    for name in ("used_in_month", "used_ever"):
        op.add_column(
            "api_key", sa.Column(name, sa.BigInteger(), nullable=False, server_default="0")
        )
    op.add_column("hold", sa.Column("month", sa.Date(), nullable=True))
