"""the books at a glance"""

import sqlalchemy as sa
from alembic import op

from gateway.store.columns import BIG, UtcDateTime
from gateway.store.migrations.locks import lock_tables

revision = "0003"
down_revision = "0002"
LOCKED = ("account", "api_key")

#: counted back from the balance, so that only what came after the latest grant is read
_GRANTED = """
CREATE TABLE granted_before AS
SELECT a.id, a.balance - coalesce((
         SELECT sum(e.credits) FROM entry e WHERE e.account_id = a.id AND e.id > g.entry_id
       ), 0) AS granted
FROM account a JOIN (
  SELECT account_id, max(id) AS entry_id FROM entry WHERE kind = 'grant' AND grant_id IS NOT NULL
  GROUP BY account_id
) AS g ON g.account_id = a.id
"""


#: an account's marks of the past are not announced afterwards
_SHOWN = """
UPDATE account SET granted = b.granted,
  announced = CASE WHEN balance <= 0 THEN 100 WHEN balance <= b.granted / 20 THEN 95
                   WHEN balance <= b.granted / 5 THEN 80 ELSE 0 END
FROM granted_before AS b WHERE b.id = account.id AND b.granted > 0
"""


def upgrade() -> None:
    op.create_table(
        "audit_checkpoint",
        sa.Column("account_id", BIG, primary_key=True, autoincrement=False),
        sa.Column("entry_id", sa.BigInteger(), nullable=False),
        sa.Column("credits", sa.BigInteger(), nullable=False),
        sa.Column("counted_at", UtcDateTime(), nullable=False),
    )
    # Read before the tables are locked: what gateways charge meanwhile does not change it.
    op.execute(_GRANTED)
    # From here on charges wait, so all that takes long comes before. A table that names another as
    # its reference locks that one, too.
    lock_tables()
    for column in (
        sa.Column("granted", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("announced", sa.Integer(), server_default="0", nullable=False),
    ):
        op.add_column("account", column)
    op.execute(_SHOWN)
    op.execute("DROP TABLE granted_before")
    op.create_table(
        "api_key_use",
        sa.Column("api_key_id", BIG, sa.ForeignKey("api_key.id"), primary_key=True),
        sa.Column("used_at", UtcDateTime(), nullable=False),
    )
    # The old column stays for the gateways of the release before, which read and write it.
    op.execute(
        "INSERT INTO api_key_use (api_key_id, used_at)"
        " SELECT id, last_used_at FROM api_key WHERE last_used_at IS NOT NULL"
    )
