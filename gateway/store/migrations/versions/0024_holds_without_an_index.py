"""holds without an index"""

from alembic import op

from gateway.store.migrations.locks import lock_tables

revision = "0024"
down_revision = "0023"
LOCKED = ("hold",)


def upgrade() -> None:
    lock_tables()
    op.drop_index("hold_replica", "hold")
