"""Brings a database to this version's tables, once, however many processes start at the same moment."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from runbooks.errors import LedgerError
from tasks.gateways.ledger.database import Database
from tasks.gateways.ledger.journal import remake

REVISION = "0004"
"""The newest migration under `migrations/versions`."""

_SCRIPTS = Path(__file__).parent / "migrations"


def upgrade(database: Database) -> None:
    """Runs the migrations that are missing, all in one transaction that no other writer enters.

    Raises:
        LedgerError: The tables are of a newer version than this program, or cannot be written.
    """
    with database.reading() as connection:
        if _revision(connection) == REVISION:
            return
    with database.writing() as connection:
        if _revision(connection) != REVISION:
            _migrate(connection)
            remake(connection)  # A newer version may read more from the same entries.


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _migrate(connection: Connection) -> None:
    from alembic import command  # a tenth of a second that only the first start has to pay
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise LedgerError(f"the ledger's tables are not of this version: {error}; use the newer program") from error
