"""Alembic's entry: runs on the connection it is handed, inside its transaction."""

from alembic import context

from tasks.gateways.ledger.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
