"""The default story as the ledger has it: records with their times, and whole responses of them."""

from __future__ import annotations

from runbooks.history import Dated, ResponseHistory, fold
from runbooks.plan import Phase, Plan
from runbooks.records import (
    ApprovalAsked,
    CaseOpened,
    CaseTriaged,
    CaseVerdict,
    Decision,
    FindingSeen,
    PhaseEnded,
    PlanMade,
    Record,
    ResponseEnded,
    ResponseStarted,
    RunStarted,
    Waiting,
)
from runbooks.triage import Assessment
from runbooks.verdict import Verdict
from tests.runbooks.builders import (
    CASE,
    RESPONSE,
    RUNBOOK,
    a_case_key,
    a_contain_plan,
    a_decision,
    a_release_plan,
    a_remediate_plan,
    a_verify_plan,
    after,
    an_assessment,
    an_intent,
    an_outcome,
)


def dated(minutes: float, record: Record) -> Dated:
    """A record, so many minutes into the default story."""
    return Dated(at=after(minutes), record=record)


def a_history(*entries: Dated) -> ResponseHistory:
    return fold(entries)


def case_entries(assessment: Assessment | None = None, verdict: Verdict | None = None) -> tuple[Dated, ...]:
    """The entries of the default story's case: received at once, triaged after two minutes, judged after 41."""
    given = assessment or an_assessment()
    seen = [dated(0.1, FindingSeen(finding=each, source="webhook")) for each in given.facts.findings]
    return (
        dated(0, CaseOpened(key=a_case_key(given.facts.findings[0].resource.id))),
        *seen,
        dated(2, CaseTriaged(response=RESPONSE, assessment=given)),
        *((dated(41, CaseVerdict(response=RESPONSE, remediation=None, verdict=verdict)),) if verdict else ()),
    )


def carried_out(plan: Plan, minutes: float, each_takes: float = 0.1) -> tuple[Dated, ...]:
    """Intent and outcome of every step, one after another."""
    entries: list[Dated] = []
    for number, step in enumerate(plan.steps):
        began = minutes + 2 * number * each_takes
        entries += dated(began, an_intent(plan, step)), dated(began + each_takes, an_outcome(plan, step))
    return tuple(entries)


def asked_and_answered(
    plan: Plan, minutes: float, waited: float, decision: Decision | None = None
) -> tuple[Dated, ...]:
    expires = after(minutes + plan.approval.expires_minutes)
    question = ApprovalAsked(digest=plan.digest, attempt=1, expires_at=expires, flow_run="run-1")
    return dated(minutes, question), dated(minutes + waited, decision or a_decision(plan))


def a_whole_response(
    *, released: bool = True, decision: Decision | None = None, ended: ResponseEnded | None = None
) -> tuple[Dated, ...]:
    """The default story's response, from start to end, fixed after 41 minutes.

    Contained from minute 10 (asked at 3), patched from 20 (asked at 15), verified until 41, then released.
    """
    contain, remediate, verify = a_contain_plan(), a_remediate_plan(), a_verify_plan()
    release = a_release_plan(contain)
    fixed = ResponseEnded(result="fixed", reason="every case is proven fixed", contained=not released)
    tail = (
        dated(42, _made(release)),
        *carried_out(release, 43),
        dated(45, PhaseEnded(phase=Phase.RELEASE, result="done", digest=release.digest)),
    )
    return (
        dated(1, ResponseStarted(response=RESPONSE, runbook=RUNBOOK, cases=(CASE,), started_by="intake")),
        dated(1.1, RunStarted(attempt=1, epoch=1, flow_run="run-1")),
        dated(2.5, _made(contain)),
        *asked_and_answered(contain, 3, 7, decision),
        *carried_out(contain, 10.5),
        dated(14, PhaseEnded(phase=Phase.CONTAIN, result="done", digest=contain.digest)),
        dated(14.5, _made(remediate)),
        *asked_and_answered(remediate, 15, 5),
        *carried_out(remediate, 20.5, each_takes=2),
        dated(30, PhaseEnded(phase=Phase.REMEDIATE, result="done", digest=remediate.digest)),
        dated(30.5, _made(verify)),
        *carried_out(verify, 31),
        dated(32, Waiting(phase="verify", reason="Inspector has not looked again yet", look_again_at=after(33))),
        dated(41, PhaseEnded(phase=Phase.VERIFY, result="done", digest=verify.digest)),
        *(tail if released else ()),
        dated(46, ended or fixed),
    )


def _made(plan: Plan) -> PlanMade:
    return PlanMade(digest=plan.digest, plan=plan)
