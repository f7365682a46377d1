"""Alembic's migrations of the ledger. They are run by `tasks.gateways.ledger.schema`, which hands over a connection."""
