"""Alembic's entry: runs the steps on the connection that `gateway.store.migrate` hands over."""

from alembic import context

from gateway.store.closing_table import Closing
from gateway.store.console_tables import PersonRow
from gateway.store.notice_table import Notice
from gateway.store.request_tables import Hold
from gateway.store.response_tables import ResponseRow
from gateway.store.tables import Account
from gateway.store.usage_tables import UsageRow

assert PersonRow.metadata is ResponseRow.metadata is UsageRow.metadata is Closing.metadata, (
    "all tables are named at once"
)
assert Account.metadata is Hold.metadata is Notice.metadata is UsageRow.metadata
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=UsageRow.metadata,
    transactional_ddl=False,  # the caller's transaction is the only one
)
context.run_migrations()
