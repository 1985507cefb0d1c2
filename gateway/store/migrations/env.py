"""Alembic's entry: runs the steps on the connection that `gateway.store.migrate` hands over."""

from alembic import context

from gateway.store.usage_tables import UsageRow

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=UsageRow.metadata,
    transactional_ddl=False,  # the caller's transaction is the only one
)
context.run_migrations()
