"""keys of people"""

import sqlalchemy as sa
from alembic import op

from gateway.store.migrations.locks import lock_tables

revision = "0016"
down_revision = "0015"
LOCKED = ("api_key",)


def upgrade() -> None:
    lock_tables()
    for name, first in (("origin", "object"), ("scope", "inference"), ("label", "")):
        op.add_column("api_key", sa.Column(name, sa.String(), nullable=False, server_default=first))
    op.add_column("api_key", sa.Column("person_id", sa.BigInteger(), nullable=True))
