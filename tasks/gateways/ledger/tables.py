"""The ledger's tables. The migrations make exactly these; a test compares the two.

`entries` is the record, `streams` its heads, stored apart. `cases`, `findings`, `responses`, `approvals` and
`admissions` are projections: what the entries say, in a form that is unique or quick to ask, rebuilt from them at any
time. `inbox`, `dispatches` and `leases` are not history but work: what has arrived, which run was started, who may act
now.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)


class Moment(TypeDecorator[datetime]):
    """An aware UTC datetime with microseconds, on a database with time zones and on one without."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    }
)

_Position = BigInteger().with_variant(Integer(), "sqlite")

entries = Table(
    "entries",
    metadata,
    Column("position", _Position, primary_key=True, autoincrement=True),
    Column("stream", Text, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Column("body", Text, nullable=False),
    Column("previous", Text, nullable=False),
    Column("hash", Text, nullable=False),
    UniqueConstraint("stream", "sequence"),
)

streams = Table(
    "streams",
    metadata,
    Column("stream", Text, primary_key=True),
    Column("sequence", Integer, nullable=False),
    Column("hash", Text, nullable=False),
)

inbox = Table(
    "inbox",
    metadata,
    Column("position", _Position, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("received_at", Moment, nullable=False),
    Column("state", Text, nullable=False),
    Column("settled_at", Moment),
    Column("code", Text),
    Column("reason", Text),
    UniqueConstraint("id"),
    UniqueConstraint("key"),
    Index(None, "state", "position"),
)

cases = Table(
    "cases",
    metadata,
    Column("id", Text, primary_key=True),
    Column("runbook", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("region", Text, nullable=False),
    Column("resource_type", Text, nullable=False),
    Column("resource_id", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("response_id", Text),
    Column("last_response_id", Text),
    Column("responses", Integer, nullable=False),
    Column("opened_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("triaged_by", Text),
    Column("closed_at", Moment),
    Index(None, "status", "opened_at"),
    Index(None, "resource_id"),
    Index(None, "response_id"),
)

findings = Table(
    "findings",
    metadata,
    Column("case_id", Text, nullable=False),
    Column("arn", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("gist", Text, nullable=False),
    Column("answered", Text),
    Column("seen_at", Moment, nullable=False),
    Column("source", Text, nullable=False),
    Column("delivery", Text),
    Column("is_hasty", Boolean, nullable=False),
    PrimaryKeyConstraint("case_id", "arn"),
)
"""The newest sighting of each finding of a case; `sequence` is its entry in the case's stream.

`gist` is what of it calls for an answer, `seen_at` since when it says so, and `answered` the gist that a response has
read, or that a person was given. An active finding whose gist is not the answered one waits for a response.
"""

responses = Table(
    "responses",
    metadata,
    Column("id", Text, primary_key=True),
    Column("runbook", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("cases", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("flow_run", Text),
    Column("waiting_for", Text),
    Column("look_again_at", Moment),
    Column("result", Text),
    Column("started_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("waiting_phase", Text),
    Column("grouping", Text),
    Index(None, "status", "look_again_at"),
)
"""`attempt` is the last one that ran; a later one that was only asked for is in `dispatches`."""

approvals = Table(
    "approvals",
    metadata,
    Column("digest", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("response_id", Text, nullable=False),
    Column("asked_at", Moment),
    Column("expires_at", Moment),
    Column("flow_run", Text),
    Column("answer", Text),
    Column("answered_at", Moment),
    Column("approver", Text),
    Column("channel", Text),
    Column("comment", Text),
    Column("reason", Text),
    PrimaryKeyConstraint("digest", "attempt"),
    Index(None, "response_id"),
    Index(None, "answer", "expires_at"),
)

admissions = Table(
    "admissions",
    metadata,
    Column("digest", Text, nullable=False),
    Column("case_id", Text, nullable=False),
    Column("response_id", Text, nullable=False),
    Column("phase", Text, nullable=False),
    Column("extent", Text, nullable=False),
    Column("pre_authorised", Boolean, nullable=False),
    Column("admitted_at", Moment, nullable=False),
    Column("ended_at", Moment),
    PrimaryKeyConstraint("digest", "case_id"),
    Index(None, "response_id"),
    Index(None, "ended_at"),
    Index(None, "admitted_at"),
)
"""What the limits count: a plan's cases, from its admission until its phase or its response has ended."""

dispatches = Table(
    "dispatches",
    metadata,
    Column("response_id", Text, primary_key=True),
    Column("attempt", Integer, nullable=False),
    Column("flow_run", Text),
    Column("starting_at", Moment, nullable=False),
)
"""The newest run asked for, per response."""

leases = Table(
    "leases",
    metadata,
    Column("resource", Text, primary_key=True),
    Column("epoch", Integer, nullable=False),
    Column("holder", Text),
    Column("expires_at", Moment),
    Index(None, "holder"),
)
"""Rows are never deleted: an epoch only rises. Holder and expiry NULL: released. Holder NULL alone: taken away."""

PROJECTIONS = (cases, findings, responses, approvals, admissions)
