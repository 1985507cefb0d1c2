"""stored responses"""

import sqlalchemy as sa
from alembic import op

from gateway.store.columns import BIG, UtcDateTime

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "response",
        sa.Column("account_id", BIG, primary_key=True, autoincrement=False),
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
    )
    op.create_index("response_expiry", "response", ["expires_at"])
    op.create_table(
        "response_item",
        sa.Column("account_id", BIG, primary_key=True, autoincrement=False),
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("response_id", sa.String(), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id", "response_id"],
            ["response.account_id", "response.id"],
            ondelete="CASCADE",
        ),
    )
    op.create_index("response_item_response", "response_item", ["account_id", "response_id"])
