"""Several responses in one house, one after another: what one contained and another counts on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from runbooks.case import CaseKey
from runbooks.definition import Runbook
from runbooks.event import read_payload
from runbooks.plan import Phase, Plan
from runbooks.records import PhaseEnded, ResponseEnded
from tasks.containments import is_contained
from tasks.triage import triage_cases
from tests.tasks.harness import House
from tests.tasks.playing import Playing


class Ward(Playing):
    """Responses one after another, each over the cases it is given, with whatever runbook they have."""

    def __init__(self, house: House, folder: Path) -> None:
        house.built[0].setdefault("bucket", "none")
        super().__init__(house, folder)

    def begin(self) -> Any:
        self.run: Any = None
        return None

    def respond(self, *cases: str, purpose: Any = "respond", runbook: Runbook | None = None) -> str:
        """A response over these cases begins, and is triaged."""
        self.house.runbook = runbook or self.house.runbook
        self.house.sandbox.advance(1)
        ledger = self.house.ledger
        self.house.response = ledger.start_response(self.house.runbook.name, cases, "webhook", purpose=purpose).id
        self.run = self.house.take_over()
        if purpose == "respond":
            with self.running():
                triage_cases()
        return self.house.response

    def contain(self, *cases: str, runbook: Runbook | None = None, answer: str = "approved") -> PhaseEnded:
        """The cases are contained by a response of their own, which a person then takes over."""
        self.respond(*cases, runbook=runbook)
        ended = self.phase(Phase.CONTAIN, answer=lambda plan: answer)
        self.end("person")
        return ended

    def release(self, *cases: str, runbook: Runbook | None = None, **meddling: Any) -> PhaseEnded:
        """A person ends the containment of the cases."""
        self.respond(*cases, purpose="release", runbook=runbook)
        ended = self.phase(Phase.RELEASE, **meddling)
        self.end("released")
        return ended

    def go_on(self, plan: Plan) -> None:
        """A plan that was made and answered before."""
        with self.running():
            self.carry_out(plan)

    def end(self, result: str) -> None:
        row = self.house.ledger.response(self.house.response)
        assert row is not None
        contained = is_contained(self.house.ledger, row)
        self.house.ledger.end_response(row.id, ResponseEnded(result=result, reason=result, contained=contained), {})
        self.house.ledger.release(self.run.lease)

    def is_contained(self, case: str) -> bool:
        row = next(row for row in reversed(self.house.ledger.responses()) if case in row.cases)
        return is_contained(self.house.ledger, row.model_copy(update={"cases": (case,)}))


def take_in(house: House, built: dict[str, Any]) -> str:
    """The finding on what was built arrives; its case."""
    house.built.append(built)
    (finding,) = read_payload(json.dumps(built["event"], default=str)).findings
    key = CaseKey.of(finding, house.runbook.name)
    house.ledger.take_finding(key, finding, "webhook")
    return key.id
