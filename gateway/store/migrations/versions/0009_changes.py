"""changes"""

import sqlalchemy as sa
from alembic import op

from gateway.store.columns import BIG, UtcDateTime

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "change_log",
        sa.Column("id", BIG, primary_key=True, autoincrement=True),
        sa.Column("installation", sa.String(), nullable=False),
        sa.Column("account_id", BIG, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("acted_at", UtcDateTime(), nullable=True),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
    )
    op.create_index("change_log_account", "change_log", ["account_id", "id"])
