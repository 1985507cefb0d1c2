"""closings"""

import sqlalchemy as sa
from alembic import op

from gateway.store.columns import BIG, UtcDateTime
from gateway.store.migrations.locks import lock_tables

revision = "0015"
down_revision = "0014"
LOCKED = ("entry",)

_SIGN = (
    "(kind IN ('grant', 'refund') AND credits >= 0)"
    " OR (kind IN ('charge', 'expiry', 'void') AND credits <= 0) OR kind = 'carry'"
)
_CAUSE = (
    "(kind IN ('charge', 'refund')) = (request_id IS NOT NULL)"
    " AND (kind IN ('grant', 'expiry', 'void')) = (grant_id IS NOT NULL)"
)


def upgrade() -> None:
    op.create_table(
        "closing",
        sa.Column("account_id", BIG, primary_key=True, autoincrement=False),
        sa.Column("before", UtcDateTime(), nullable=False),
        sa.Column("entry_id", sa.BigInteger(), nullable=False),
        sa.Column("entries", sa.BigInteger(), nullable=False),
    )
    if op.get_bind().dialect.name == "sqlite":
        # SQLite changes a check by writing a new table, which has none of the checks.
        with op.batch_alter_table("entry", recreate="always") as batch:
            batch.create_check_constraint("entry_sign", _SIGN)
            batch.create_check_constraint("entry_cause", _CAUSE)
        return
    lock_tables()
    op.drop_constraint("entry_sign", "entry")
    # All rows keep the narrower rule already, so the table need not be read under the lock.
    op.execute(f"ALTER TABLE entry ADD CONSTRAINT entry_sign CHECK ({_SIGN}) NOT VALID")
