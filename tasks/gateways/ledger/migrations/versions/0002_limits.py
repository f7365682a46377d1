"""What the limits count, and what a waiting response waits for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tasks.gateways.ledger.tables import Moment

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("responses", sa.Column("waiting_phase", sa.Text))
    op.create_table(
        "admissions",
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("case_id", sa.Text, nullable=False),
        sa.Column("response_id", sa.Text, nullable=False),
        sa.Column("phase", sa.Text, nullable=False),
        sa.Column("extent", sa.Text, nullable=False),
        sa.Column("pre_authorised", sa.Boolean, nullable=False),
        sa.Column("admitted_at", Moment, nullable=False),
        sa.Column("ended_at", Moment),
        sa.PrimaryKeyConstraint("digest", "case_id", name="pk_admissions"),
    )
    for column in ("response_id", "ended_at", "admitted_at"):
        op.create_index(f"ix_admissions_{column}", "admissions", [column])
