"""the parts of a price"""

import sqlalchemy as sa
from alembic import op

from gateway.store.migrations.locks import lock_tables

revision = "0008"
down_revision = "0007"
LOCKED = ("request_usage",)


def upgrade() -> None:
    lock_tables()
    op.add_column("request_usage", sa.Column("price", sa.String(), nullable=True))
