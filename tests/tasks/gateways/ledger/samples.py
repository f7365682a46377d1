"""What the ledger's tests are told with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select, text

from runbooks.case import CaseKey, case_stream
from runbooks.finding import Finding, Resource
from runbooks.records import ApprovalAsked, CaseTriaged, Decision
from runbooks.triage import assess
from tasks.gateways.ledger import Ledger, tables
from tests.runbooks.builders import a_runbook, case_facts

MORNING = datetime(2026, 3, 2, 8, 0, 0, 123456, tzinfo=UTC)
RUNBOOK = "ec2-critical"
DIGEST = "d" * 64


@dataclass
class Clock:
    """The time, which stands still until it is moved."""

    now: datetime = field(default=MORNING)

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, **duration: float) -> datetime:
        self.now += timedelta(**duration)
        return self.now


def a_key(resource: str = "i-0a", *, runbook: str = RUNBOOK) -> CaseKey:
    where = {"account": "111122223333", "region": "eu-west-1"}
    return CaseKey(runbook=runbook, resource_type="AWS_EC2_INSTANCE", resource_id=resource, **where)


def a_finding(
    number: int = 1,
    *,
    resource: str = "i-0a",
    severity: str = "HIGH",
    status: str = "ACTIVE",
    updated_at: datetime = MORNING,
    **extra: Any,
) -> Finding:
    return Finding(
        arn=f"arn:aws:inspector2:eu-west-1:111122223333:finding/{number}",
        type="PACKAGE_VULNERABILITY",
        status=status,
        severity=severity,
        title=f"CVE-2026-{number}",
        resource=Resource(type="AWS_EC2_INSTANCE", id=resource, account="111122223333", region="eu-west-1"),
        first_observed_at=MORNING,
        last_observed_at=updated_at,
        updated_at=updated_at,
        extra=extra,
    )


def open_case(ledger: Ledger, resource: str = "i-0a", **finding: Any) -> str:
    """Takes a first finding on the resource; the id of the case it opened."""
    taken = ledger.take_finding(a_key(resource), a_finding(resource=resource, **finding), "webhook", None)
    assert taken.case is not None
    return taken.case.id


def start(ledger: Ledger, *resources: str) -> str:
    """A response over new cases on the resources; its id."""
    cases = [open_case(ledger, resource) for resource in resources or ("i-0a",)]
    return ledger.start_response(RUNBOOK, cases, "intake").id


def triaged(ledger: Ledger, response: str, through: Mapping[str, int] | None = None) -> None:
    """A run of the response has read its cases: what was seen of them until then is answered.

    Args:
        through: what `findings_through` said before it read; None: nothing came while it did.
    """
    through = ledger.findings_through([case.id for case in ledger.cases()]) if through is None else through
    row = ledger.response(response)
    assert row is not None
    for case in row.cases:
        assessment = assess(case_facts(case=case), a_runbook())
        record = CaseTriaged(response=response, assessment=assessment, findings_through=through.get(case, 0))
        ledger.append(case_stream(case), record)


def question(attempt: int = 1, *, digest: str = DIGEST, minutes: float = 60) -> ApprovalAsked:
    expires = MORNING + timedelta(minutes=minutes)
    return ApprovalAsked(digest=digest, attempt=attempt, expires_at=expires, flow_run="run-1")


def answer(word: Any = "approved", attempt: int = 1, *, digest: str = DIGEST) -> Decision:
    return Decision(digest=digest, attempt=attempt, answer=word, approver="ana", channel="slack", comment="go")


def kinds(ledger: Ledger, stream: str) -> list[str]:
    return [entry.kind for entry in ledger.entries(stream)]


def contents(ledger: Ledger) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table."""
    with ledger._database.reading() as connection:
        return {
            table.name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
            for table in tables.metadata.sorted_tables
        }


def tamper(ledger: Ledger, *statements: str) -> None:
    """As the owner of the database, who can take the fence down first."""
    with ledger._database.writing() as connection:
        if connection.dialect.name == "sqlite":
            connection.execute(text("DROP TRIGGER entries_refuse_update"))
            connection.execute(text("DROP TRIGGER entries_refuse_delete"))
        else:
            connection.execute(text("DROP TRIGGER entries_refuse_change ON entries"))
        for statement in statements:
            connection.execute(text(statement))
