"""rotations asked for once"""

import sqlalchemy as sa
from alembic import op

from gateway.store.migrations.locks import lock_tables

revision = "0020"
down_revision = "0019"
LOCKED = ("api_key_hash",)


def upgrade() -> None:
    lock_tables()
    op.add_column("api_key_hash", sa.Column("asked", sa.LargeBinary(32), nullable=True))
