"""what is limited"""

import sqlalchemy as sa
from alembic import op

from gateway.store.migrations.locks import lock_tables

revision = "0023"
down_revision = "0022"
LOCKED = ("account", "api_key")

_LIMIT = "credits_per_day IS NOT NULL OR credits_per_month IS NOT NULL OR credits IS NOT NULL"


def upgrade() -> None:
    lock_tables()
    for name, table, column, condition in (
        ("account_limited", "account", "installation", f"{_LIMIT} OR parent_id IS NOT NULL"),
        ("api_key_limited", "api_key", "account_id", f"({_LIMIT}) AND revoked_at IS NULL"),
    ):
        where = sa.text(condition)
        op.create_index(name, table, [column], postgresql_where=where, sqlite_where=where)
