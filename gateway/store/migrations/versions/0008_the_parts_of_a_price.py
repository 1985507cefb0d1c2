"""the parts of a price"""

import sqlalchemy as sa
from alembic import op

from gateway.store.migrations.locks import lock_tables

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    lock_tables("request_usage")
    op.add_column("request_usage", sa.Column("price", sa.String(), nullable=True))
