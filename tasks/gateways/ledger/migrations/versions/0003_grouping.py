"""What waits for a response, and which response it may join. The tables are made anew from the entries after this."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tasks.gateways.ledger.tables import Moment

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("cases", sa.Column("triaged_by", sa.Text))
    op.add_column("cases", sa.Column("closed_at", Moment))
    op.add_column("responses", sa.Column("grouping", sa.Text))
    op.drop_table("findings")
    op.create_table(
        "findings",
        sa.Column("case_id", sa.Text, nullable=False),
        sa.Column("arn", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("updated_at", Moment, nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("gist", sa.Text, nullable=False),
        sa.Column("answered", sa.Text),
        sa.Column("seen_at", Moment, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("delivery", sa.Text),
        sa.Column("is_hasty", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("case_id", "arn", name="pk_findings"),
    )
