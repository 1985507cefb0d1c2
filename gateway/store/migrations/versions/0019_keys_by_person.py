"""keys by person"""

import sqlalchemy as sa
from alembic import op

from gateway.store.migrations.locks import lock_tables

revision = "0019"
down_revision = "0018"
LOCKED = ("api_key",)


def upgrade() -> None:
    lock_tables()
    # Only keys that people made have a person: an upgrade from the release before finds none.
    op.create_index(
        "api_key_person",
        "api_key",
        ["person_id"],
        postgresql_where=sa.text("person_id IS NOT NULL"),
        sqlite_where=sa.text("person_id IS NOT NULL"),
    )
