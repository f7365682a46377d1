"""What a demonstration came to: the object that `--json` prints, from the ledger alone."""

from __future__ import annotations

import json
from typing import Any

import httpx

from deployments.local import Local
from runbooks.case import case_stream
from runbooks.history import ResponseHistory
from runbooks.model import Model
from runbooks.plan import Phase
from runbooks.records import CaseVerdict
from runbooks.steps.base import operation_id
from tasks.gateways.ledger import Ledger, ResponseRow
from tasks.journal import read_history


class Report(Model):
    """The demonstration's end. `verdict` is None where nothing was to be judged; `reason` says why."""

    case: str | None
    runbook: str | None
    verdict: str | None
    reason: str
    result: str
    cases: int = 0
    """Of the response."""
    fixed: int = 0
    """How many of them were proven to be."""
    plans: tuple[dict[str, Any], ...] = ()
    steps: tuple[dict[str, Any], ...] = ()
    ledger: dict[str, Any]
    ticket: str | None = None
    slack_messages: int = 0
    containment_released: bool | None = None
    """None where nothing was contained."""
    seconds: float

    @property
    def good(self) -> bool:
        """Fixed, or rightly nothing done."""
        return self.result in ("fixed", "nothing-to-do", "set-aside", "handled")


def make_report(ledger: Ledger, local: Local, delivery: str, *, seconds: float) -> Report:
    """The report on what became of a delivery."""
    verification = ledger.verify()
    ends: dict[str, Any] = {
        "ledger": {"entries": verification.entries, "verified": verification.ok},
        "seconds": round(seconds, 1),
        "slack_messages": _slack_messages(local),
    }
    responses = ledger.responses()
    if not responses:
        arrived = ledger.delivery(delivery)
        reason = (arrived.reason if arrived else None) or "it calls for nothing"
        result = arrived.state if arrived else "handled"
        return Report(case=None, runbook=None, verdict=None, reason=reason, result=result, **ends)
    return Report(**_of_response(ledger, responses[0]), **ends)


def _of_response(ledger: Ledger, response: ResponseRow) -> dict[str, Any]:
    history = read_history(ledger, response.id)
    ended, contain = history.ended, history.plan(Phase.CONTAIN)
    case = response.cases[0]
    verdicts = [_verdict(ledger, response, each) for each in response.cases]
    ticket = history.outcomes.get(operation_id(response.id, "create-ticket/alert"))
    return {
        "case": case,
        "runbook": response.runbook,
        "verdict": verdicts[0],
        "cases": len(verdicts),
        "fixed": verdicts.count("fixed"),
        "reason": ended.reason if ended else "not ended",
        "result": ended.result if ended else "not ended",
        "plans": tuple(_plans(history)),
        "steps": tuple(_steps(history)),
        "ticket": ticket.result.get("key") if ticket else None,
        "containment_released": None if contain is None or not history.spent(contain.digest) else not history.contained,
    }


def _verdict(ledger: Ledger, response: ResponseRow, case: str) -> str | None:
    records = (entry.record() for entry in reversed(ledger.entries(case_stream(case))))
    mine = (record for record in records if isinstance(record, CaseVerdict) and record.response == response.id)
    newest = next(mine, None)
    return newest.verdict.kind.value if newest else None


def _plans(history: ResponseHistory) -> list[dict[str, Any]]:
    return [
        {
            "phase": plan.phase.value,
            "digest": digest,
            "approval": _approval(history, digest),
        }
        for digest, plan in history.plans.items()
    ]


def _approval(history: ResponseHistory, digest: str) -> dict[str, Any] | None:
    decision = history.decisions.get(digest)
    if decision is None:
        return None
    return decision.model_dump(include={"answer", "approver", "channel", "comment", "reason"})


def _steps(history: ResponseHistory) -> list[dict[str, Any]]:
    return [
        {"key": step.key, "outcome": outcome.status}
        for plan in history.plans.values()
        for step in plan.steps
        if (outcome := history.outcome(plan, step)) is not None
    ]


def _slack_messages(local: Local) -> int:
    if not local.slack:
        return 0
    answer = httpx.get(local.slack.replace("/api/", "/sandbox/messages"), trust_env=False, timeout=30)
    found = json.loads(answer.text)
    return len(found if isinstance(found, list) else found["messages"])
