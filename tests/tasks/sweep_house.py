"""The services of one sweep around a ledger, a clock, a Slack and a Prefect of the test's own."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from deployments.sandbox.slack import slack_app
from deployments.sandbox.slack_workspace import TOKEN, Channel, Workspace
from runbooks.case import case_stream, response_stream
from runbooks.inspector import to_detail
from runbooks.plan import Plan
from runbooks.records import ApprovalAsked, CaseTriaged, CaseVerdict, PlanMade, ResponseEnded
from runbooks.verdict import Verdict, VerdictKind
from tasks.gateways.ledger import CaseRow, Ledger, ResponseRow
from tasks.services import Services
from tasks.settings import Settings
from tasks.sweep import Swept, sweep
from tests.runbooks.builders import (
    REGION,
    RUNBOOK,
    a_contain_plan,
    a_finding,
    a_resource,
    an_assessment,
    case_facts,
)
from tests.serving import serving
from tests.tasks.gateways.ledger.samples import Clock
from tests.tasks.prefect_api import PrefectApi

SIGNING_KEY = base64.b64encode(b"a signing key of thirty-two byte").decode()
INSPECTOR = "999988887777"
"""The account that Inspector is administered from."""


@dataclass(frozen=True)
class SweepHouse(Services):
    """One process that sweeps; `again` is another one, on the same ledger."""

    clock: Clock = field(default_factory=Clock)

    def now(self) -> datetime:
        return self.clock.now

    def sweep(self) -> Swept:
        return asyncio.run(sweep(self))

    def again(self, ledger: Ledger | None = None) -> SweepHouse:
        other = SweepHouse(self.settings, self.clock)
        vars(other)["ledger"] = ledger or Ledger.open(self.settings.ledger, clock=self.clock, sign=self.sign)
        return other

    def deliver(self, number: int = 1, instance: str = "i-0a1b2c3d4e5f60718", **changes: Any) -> None:
        """A finding arrives by webhook; `number` makes another vulnerability of it."""
        values = {"resource": a_resource(instance), **_times(self.now()), **changes}
        finding = a_finding(number, **values)
        self.ledger.receive(f"{finding.arn}/{finding.updated_at}", "webhook", json.dumps(to_detail(finding)).encode())

    def case_on(self, instance: str) -> CaseRow:
        (case,) = self.ledger.find_cases(instance)
        return case

    def newest(self, instance: str) -> ResponseRow:
        """The newest response about the instance."""
        row = self.ledger.response(self.case_on(instance).last_response_id or "")
        assert row is not None
        return row

    def take_over(self, response: str, flow_run: str = "run") -> Any:
        """A run of the response begins."""
        row = self.ledger.response(response)
        assert row is not None
        return self.ledger.take_over(response, row.attempt, row.flow_run or flow_run, (), 30.0)

    def ask(self, response: str, **changes: Any) -> Plan:
        """The response's run asks about a plan to contain, or what the changes make of it."""
        row = self.ledger.response(response)
        assert row is not None
        plan = a_contain_plan(response=response, cases=row.cases, **changes)
        self.ledger.append(response_stream(response), PlanMade(digest=plan.digest, plan=plan))
        until = self.now() + timedelta(minutes=60)
        asked = ApprovalAsked(digest=plan.digest, attempt=1, expires_at=until, flow_run=row.flow_run or "run")
        self.ledger.ask(response, asked)
        return plan

    def end(self, response: str, result: str, kind: VerdictKind | None = None, *, close: bool = False) -> None:
        """The response ends, with this verdict on its cases; those that it closes it has triaged before."""
        row = self.ledger.response(response)
        assert row is not None
        for case in row.cases:
            if close:
                assessment = an_assessment(case_facts(*self.ledger.case_findings(case), case=case))
                self.ledger.append(case_stream(case), CaseTriaged(response=response, assessment=assessment))
            if kind is not None:
                verdict = Verdict(case=case, kind=kind, reasons=("it was looked at",), evidence=())
                judged = CaseVerdict(response=response, remediation=None, verdict=verdict)
                self.ledger.append(case_stream(case), self.sign(case_stream(case), judged))
        closing = dict.fromkeys(row.cases, "fixed") if close else {}
        self.ledger.end_response(response, ResponseEnded(result=result, reason="it was"), closing)


@contextmanager
def sweep_house(folder: Path, **settings: Any) -> Iterator[SweepHouse]:
    """A house without Prefect and Slack, in which no case waits for others like it."""
    chosen = Settings.model_validate({"home": folder, "signing_key": SIGNING_KEY, "grouping_seconds": 0, **settings})
    house = SweepHouse(chosen)
    vars(house)["ledger"] = Ledger.open(chosen.ledger, clock=house.clock, sign=house.sign)
    try:
        yield house
    finally:
        house.ledger.close()


@contextmanager
def slack_workspace() -> Iterator[tuple[Workspace, dict[str, Any]]]:
    """A Slack, and the settings that lead to it."""
    workspace = Workspace([Channel("C0SECURITY", "security")])
    with serving(slack_app(workspace)) as url:
        yield workspace, {"slack_url": f"{url}/api/", "slack_token": TOKEN, "slack_channel": "#security"}


@contextmanager
def prefect_api() -> Iterator[PrefectApi]:
    api = PrefectApi()
    with api.up():
        yield api


def written(ledger: Ledger) -> dict[str, list[str]]:
    """What every stream holds, by kind."""
    return {stream: [entry.kind for entry in ledger.entries(stream)] for stream in ledger.streams()}


def _times(at: datetime) -> dict[str, datetime]:
    return {"first_observed_at": at, "last_observed_at": at, "updated_at": at}


__all__ = ["INSPECTOR", "REGION", "RUNBOOK", "SweepHouse", "prefect_api", "slack_workspace", "sweep_house", "written"]
