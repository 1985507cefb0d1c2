"""leases name their length"""

import sqlalchemy as sa
from alembic import op

from gateway.store.migrations.locks import lock_tables

revision = "0005"
down_revision = "0004"
LOCKED = ("replica",)


def upgrade() -> None:
    lock_tables()
    op.add_column("replica", sa.Column("lease_seconds", sa.Float(), nullable=True))
