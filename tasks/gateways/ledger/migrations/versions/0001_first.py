"""The first tables: entries and their heads, the inbox, the projections, dispatches and leases."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tasks.gateways.ledger.tables import Moment

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_POSITION = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _record()
    _inbox()
    _projections()
    _work()
    _fence()


def _record() -> None:
    op.create_table(
        "entries",
        sa.Column("position", _POSITION, primary_key=True, autoincrement=True),
        sa.Column("stream", sa.Text, nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("at", Moment, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("previous", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.UniqueConstraint("stream", "sequence", name="uq_entries_stream_sequence"),
    )
    op.create_table(
        "streams",
        sa.Column("stream", sa.Text, primary_key=True),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
    )


def _inbox() -> None:
    op.create_table(
        "inbox",
        sa.Column("position", _POSITION, primary_key=True, autoincrement=True),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("received_at", Moment, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("settled_at", Moment),
        sa.Column("code", sa.Text),
        sa.Column("reason", sa.Text),
        sa.UniqueConstraint("id", name="uq_inbox_id"),
        sa.UniqueConstraint("key", name="uq_inbox_key"),
    )
    op.create_index("ix_inbox_state_position", "inbox", ["state", "position"])


def _projections() -> None:
    op.create_table(
        "cases",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("runbook", sa.Text, nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("region", sa.Text, nullable=False),
        sa.Column("resource_type", sa.Text, nullable=False),
        sa.Column("resource_id", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("severity", sa.Text, nullable=False),
        sa.Column("response_id", sa.Text),
        sa.Column("last_response_id", sa.Text),
        sa.Column("responses", sa.Integer, nullable=False),
        sa.Column("opened_at", Moment, nullable=False),
        sa.Column("updated_at", Moment, nullable=False),
    )
    op.create_index("ix_cases_status_opened_at", "cases", ["status", "opened_at"])
    op.create_index("ix_cases_resource_id", "cases", ["resource_id"])
    op.create_index("ix_cases_response_id", "cases", ["response_id"])
    op.create_table(
        "findings",
        sa.Column("case_id", sa.Text, nullable=False),
        sa.Column("arn", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("updated_at", Moment, nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("case_id", "arn", name="pk_findings"),
    )
    op.create_table(
        "responses",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("runbook", sa.Text, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("cases", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("flow_run", sa.Text),
        sa.Column("waiting_for", sa.Text),
        sa.Column("look_again_at", Moment),
        sa.Column("result", sa.Text),
        sa.Column("started_at", Moment, nullable=False),
        sa.Column("updated_at", Moment, nullable=False),
    )
    op.create_index("ix_responses_status_look_again_at", "responses", ["status", "look_again_at"])
    op.create_table(
        "approvals",
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("response_id", sa.Text, nullable=False),
        sa.Column("asked_at", Moment),
        sa.Column("expires_at", Moment),
        sa.Column("flow_run", sa.Text),
        sa.Column("answer", sa.Text),
        sa.Column("answered_at", Moment),
        sa.Column("approver", sa.Text),
        sa.Column("channel", sa.Text),
        sa.Column("comment", sa.Text),
        sa.Column("reason", sa.Text),
        sa.PrimaryKeyConstraint("digest", "attempt", name="pk_approvals"),
    )
    op.create_index("ix_approvals_response_id", "approvals", ["response_id"])
    op.create_index("ix_approvals_answer_expires_at", "approvals", ["answer", "expires_at"])


def _work() -> None:
    op.create_table(
        "dispatches",
        sa.Column("response_id", sa.Text, primary_key=True),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("flow_run", sa.Text),
        sa.Column("starting_at", Moment, nullable=False),
    )
    op.create_table(
        "leases",
        sa.Column("resource", sa.Text, primary_key=True),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("holder", sa.Text),
        sa.Column("expires_at", Moment),
    )
    op.create_index("ix_leases_holder", "leases", ["holder"])


def _fence() -> None:
    """Entries are only ever added: the database itself refuses the rest, whoever asks."""
    if op.get_bind().dialect.name == "sqlite":
        for act in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER entries_refuse_{act.lower()} BEFORE {act} ON entries "
                "BEGIN SELECT RAISE(ABORT, 'entries of the ledger are only ever added'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION refuse_change_of_entries() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'entries of the ledger are only ever added'; END $$"
    )
    op.execute(
        "CREATE TRIGGER entries_refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON entries "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_entries()"
    )
