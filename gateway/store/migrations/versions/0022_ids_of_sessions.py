"""ids of sessions"""

from alembic import op

revision = "0022"
down_revision = "0021"

#: the highest id that a session has had, or that an event names
_HIGHEST = """
    SELECT coalesce(max(id), 0) FROM (
        SELECT id FROM session
        UNION ALL
        SELECT json_extract(detail, '$.session') FROM change_log
        WHERE kind = 'session.begun' AND json_valid(detail)
    )
"""


def upgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        return  # a sequence of PostgreSQL gives no number twice
    # SQLite gives the id of the newest row again once that is gone, and events name sessions by it.
    # It changes that by writing a new table, which has none of the checks.
    with op.batch_alter_table(
        "session", recreate="always", table_kwargs={"sqlite_autoincrement": True}
    ) as batch:
        batch.create_check_constraint(
            "session_of_one", "(person_id IS NULL) <> (api_key_id IS NULL)"
        )
    op.execute("DELETE FROM sqlite_sequence WHERE name = 'session'")
    op.execute(f"INSERT INTO sqlite_sequence (name, seq) VALUES ('session', ({_HIGHEST}))")
