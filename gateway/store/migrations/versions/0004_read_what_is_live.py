"""read what is live"""

import sqlalchemy as sa
from alembic import op

from gateway.store.migrations.locks import lock_tables

revision = "0004"
down_revision = "0003"
LOCKED = ("api_key", "credit_grant")

_NOT_REVOKED = sa.text("revoked_at IS NULL")
_LEFT = sa.text("remaining > 0")
_DUE = sa.text("expires_at IS NOT NULL AND expired_at IS NULL AND voided_at IS NULL")


def upgrade() -> None:
    # the point to which each account is counted from zero again: the gateways before do not know of
    # it
    for column in ("recount_entry_id", "recount_credits"):
        op.add_column(
            "audit_checkpoint",
            sa.Column(column, sa.BigInteger(), server_default="0", nullable=False),
        )
    lock_tables()
    op.create_index(
        "api_key_live",
        "api_key",
        ["version"],
        postgresql_where=_NOT_REVOKED,
        sqlite_where=_NOT_REVOKED,
    )
    op.create_index(
        "credit_grant_live",
        "credit_grant",
        ["account_id", "expires_at", "id"],
        postgresql_where=_LEFT,
        sqlite_where=_LEFT,
    )
    op.create_index(
        "credit_grant_due",
        "credit_grant",
        ["account_id", "expires_at", "id"],
        postgresql_where=_DUE,
        sqlite_where=_DUE,
    )
