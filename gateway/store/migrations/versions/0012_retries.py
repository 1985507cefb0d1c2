"""retries"""

import sqlalchemy as sa
from alembic import op

from gateway.store.columns import UtcDateTime

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "standing_charge",
        sa.Column("request_id", sa.String(), primary_key=True),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("idempotency_key", sa.String(), nullable=False),
        sa.Column("credits", sa.BigInteger(), nullable=False),
        sa.Column("retries", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("retries BETWEEN 0 AND 3", name="standing_charge_retries"),
    )
    op.create_index("standing_charge_account", "standing_charge", ["account_id", "idempotency_key"])
    op.create_table(
        "retry",
        sa.Column("request_id", sa.String(), primary_key=True),
        sa.Column("earlier_id", sa.String(), nullable=False),
        sa.Column("credits", sa.BigInteger(), nullable=False),
    )
    op.create_index("retry_earlier", "retry", ["earlier_id"])
