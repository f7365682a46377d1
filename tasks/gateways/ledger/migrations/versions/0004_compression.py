"""PostgreSQL compresses deliveries by LZ4, at a third of the time; where it was built without, as before."""

from __future__ import annotations

from alembic import op
from sqlalchemy.exc import DBAPIError

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return
    try:
        with connection.begin_nested():
            op.execute("ALTER TABLE inbox ALTER COLUMN body SET COMPRESSION lz4")
    except DBAPIError as error:
        # 0A000, feature_not_supported: built without LZ4; 42601, syntax_error: before PostgreSQL 14.
        if getattr(error.orig, "sqlstate", None) not in ("0A000", "42601"):
            raise
