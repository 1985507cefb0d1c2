"""tokens written to a cache"""

import sqlalchemy as sa
from alembic import op

from gateway.store.migrations.locks import lock_tables

revision = "0006"
down_revision = "0005"
LOCKED = ("request_usage",)


def upgrade() -> None:
    lock_tables()
    op.add_column(
        "request_usage",
        sa.Column("cache_write_tokens", sa.Integer(), server_default="0", nullable=False),
    )
