"""A case as it stands, and how it came to be so: told from the ledger alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from deployments.cli.following import run_url
from runbooks.case import CaseKey, case_stream
from runbooks.finding import Finding
from runbooks.history import SUCCEEDED, ResponseHistory
from runbooks.model import Model
from runbooks.plan import Phase, Plan
from runbooks.records import CaseSuccessors, CaseVerdict, Decision
from runbooks.steps import AnyStep
from runbooks.verdict import Verdict, VerdictKind

if TYPE_CHECKING:
    from tasks.gateways.ledger import CaseRow, ResponseRow
    from tasks.services import Services


class StepStory(Model):
    what: str
    status: str
    """Its outcome's, `begun` where none was written, or `to do`."""
    detail: str = ""


class PlanStory(Model):
    phase: Phase
    revision: int
    digest: str
    answer: str
    """approved, rejected, expired, open, or none."""
    approver: str | None = None
    channel: str | None = None
    answered_or_due_at: datetime | None = None
    steps: tuple[StepStory, ...]


class ResponseStory(Model):
    id: str
    purpose: str
    started_at: datetime
    started_by: str
    status: str
    waiting_for: str | None
    look_again_at: datetime | None
    result: str | None
    reason: str
    attempt: int
    run_url: str
    phases: dict[str, str]
    plans: tuple[PlanStory, ...]
    ticket: str | None
    files: str


class CaseStory(Model):
    id: str
    key: CaseKey
    status: str
    severity: str
    opened_at: datetime
    findings: tuple[Finding, ...]
    successors: tuple[str, ...]
    verdict: Verdict | None
    still_contained: tuple[str, ...]
    next: str
    responses: tuple[ResponseStory, ...]
    """Oldest first."""


def tell(have: Services, case: CaseRow) -> CaseStory:
    """Everything about the case."""
    from tasks.journal import read_history

    rows = [row for row in have.ledger.responses() if case.id in row.cases]
    histories = [read_history(have.ledger, row.id) for row in rows]
    records = [entry.record() for entry in have.ledger.entries(case_stream(case.id))]
    responses = tuple(_response(have, row, history) for row, history in zip(rows, histories, strict=True))
    contained = tuple(_still_contained(case.id, histories))
    findings = have.ledger.case_findings(case.id)
    verdict = next((each.verdict for each in reversed(records) if isinstance(each, CaseVerdict)), None)
    return CaseStory(
        id=case.id,
        key=case.key,
        status=case.status,
        severity=case.severity,
        opened_at=case.opened_at,
        findings=findings,
        successors=next((each.successors for each in reversed(records) if isinstance(each, CaseSuccessors)), ()),
        verdict=verdict,
        still_contained=contained,
        next=_next(case, responses[-1] if responses else None, _contained_words(case, findings, verdict, contained)),
        responses=responses,
    )


def state_in_words(case: CaseRow, response: ResponseRow | None) -> str:
    """Where the case is now, in a few words."""
    if response is None:
        return "no response yet"
    match response.status:
        case "ended":
            return f"ended: {response.result}"
        case "asking":
            return "waits for an approval"
        case "waiting":
            return f"waits: {response.waiting_for}"
        case status:
            return status


def _response(have: Services, row: ResponseRow, history: ResponseHistory) -> ResponseStory:
    ended = history.ended
    return ResponseStory(
        id=row.id,
        purpose=row.purpose,
        started_at=row.started_at,
        started_by=history.started.started_by if history.started else "",
        status=row.status,
        waiting_for=row.waiting_for,
        look_again_at=row.look_again_at,
        result=row.result,
        reason=ended.reason if ended else "",
        attempt=row.attempt,
        run_url=run_url(have, row.flow_run) if row.flow_run else "",
        phases={phase.value: each.result for phase, each in history.phases.items()},
        plans=tuple(_plan(history, plan) for plan in history.plans.values()),
        ticket=_ticket(history),
        files=str(have.settings.home.resolve() / "responses" / row.id),
    )


def _plan(history: ResponseHistory, plan: Plan) -> PlanStory:
    decision, question = history.decisions.get(plan.digest), history.open_question(plan.digest)
    at = _decided_at(history, decision) if decision else question.expires_at if question else None
    return PlanStory(
        phase=plan.phase,
        revision=plan.revision,
        digest=plan.digest,
        answer=decision.answer if decision else "open" if question else "none",
        approver=decision.approver if decision else None,
        channel=decision.channel if decision else None,
        answered_or_due_at=at,
        steps=tuple(_step(history, plan, step) for step in plan.steps),
    )


def _decided_at(history: ResponseHistory, decision: Decision) -> datetime | None:
    return next((dated.at for dated in history.entries if dated.record == decision), None)


def _step(history: ResponseHistory, plan: Plan, step: AnyStep) -> StepStory:
    outcome = history.outcome(plan, step)
    if outcome is not None:
        return StepStory(what=step.describe(), status=outcome.status, detail=outcome.detail)
    begun = plan.operation(step) in history.intents
    return StepStory(what=step.describe(), status="begun" if begun else "to do")


def _ticket(history: ResponseHistory) -> str | None:
    """The address of the newest ticket, or its key."""
    made = [each.result for each in history.outcomes.values() if each.action == "create-ticket" and each.result]
    return str(made[-1].get("url") or made[-1].get("key")) if made else None


def _still_contained(case: str, histories: Iterable[ResponseHistory]) -> Sequence[str]:
    """What containing the case has changed and nothing has put back since, whichever response did either."""
    standing: dict[str, str] = {}
    for history in histories:
        for plan in history.plans.values():
            for step in plan.steps:
                if case in step.cases:
                    _take(standing, history, plan, step)
    return list(standing.values())


def _take(standing: dict[str, str], history: ResponseHistory, plan: Plan, step: AnyStep) -> None:
    outcome = history.outcome(plan, step)
    done = outcome is not None and outcome.status in SUCCEEDED
    unknown = not done and plan.operation(step) in history.changes
    if step.undoes:
        if done:
            standing.pop(step.key, None)
    elif plan.phase is Phase.CONTAIN and step.undo is not None and (done or unknown):
        standing[step.undo.key] = step.describe() + ("" if done else " (begun; its outcome is not known)")


def _next(case: CaseRow, response: ResponseStory | None, contained: str) -> str:
    if response is None:
        return "The sweep starts a response: runbooks sweep"
    if response.status == "ended":
        return contained or _after_the_end(case, response)
    match response.status:
        case "asking" if any(plan.answer == "open" for plan in response.plans):
            where = f" at {response.run_url}" if response.run_url else " in the Prefect UI"
            return f"A person approves or rejects the plan{where}"
        case "asking":
            return "The sweep wakes its run, which acts on the answer: runbooks sweep"
        case "waiting":
            at = f" at {response.look_again_at:%Y-%m-%d %H:%M:%S} UTC" if response.look_again_at else ""
            return f"It looks again{at}: {response.waiting_for}"
        case "running":
            return f"Its run is at work: {response.run_url or response.id}"
        case _:
            return "The sweep starts its run: runbooks sweep"


def _after_the_end(case: CaseRow, response: ResponseStory) -> str:
    if case.status == "closed" or response.result in ("fixed", "released", "nothing-to-do"):
        return "Nothing"
    return (
        f"A person takes it on{f', in {response.ticket}' if response.ticket else ''}; then: runbooks verify {case.id}"
    )


def _contained_words(
    case: CaseRow, findings: Sequence[Finding], verdict: Verdict | None, contained: Sequence[str]
) -> str:
    """What a person does about a containment that stays; empty where there is none."""
    if not contained:
        return ""
    if verdict is not None and verdict.kind is VerdictKind.FIXED:
        return f"A person ends the containment: runbooks release {case.id}"
    return (
        f"The instance is contained and not proven fixed. To have it remediated: runbooks respond {findings[-1].arn}; "
        f"if it was mended by hand: runbooks verify {case.id}"
    )
