"""Limits on waiting for PostgreSQL: its own for a session, and ours for its answers."""

LOCK_TIMEOUT_SECONDS = 1
STATEMENT_TIMEOUT_SECONDS = 5
#: beyond the server's own time-out, so that its word usually comes first
ANSWER_TIMEOUT_SECONDS = STATEMENT_TIMEOUT_SECONDS + 1.0
