"""Planning, as tasks: the plan of a phase is made once, written down, and read from the ledger ever after."""

from __future__ import annotations

from collections.abc import Sequence

from runbooks.case import response_stream
from runbooks.errors import Refused
from runbooks.history import ResponseHistory
from runbooks.plan import ApprovalRule, Phase, Plan
from runbooks.records import PlanMade
from runbooks.telling.words import listed
from tasks.artifacts import show
from tasks.authority import has_begun, require_ours
from tasks.playbooks import playbook
from tasks.program import code_digest
from tasks.rounds import (
    asked_again,
    drifted,
    fallen_out,
    going_on,
    lapsed,
    outdated,
    remediates_again,
    scope_of,
)
from tasks.run import Run, current
from tasks.triage import triage_again
from tasks.visible import visible


@visible("plan", "Plan: {phase}")
def make_plan(phase: Phase) -> Plan:
    """The open plan of the phase, or a new one from what triage wrote down.

    A new plan that takes the place of another is about the world as it is now, and says why there is another.

    Raises:
        Refused: the runbook's limits do not allow it, or nothing can be done without a person.
        NotApproved: the open plan is not one that this system has made: nobody is asked about it.
    """
    run = current()
    history = run.history()
    known = history.plan(phase)
    if known is not None and history.phase_ended(phase) is None and not _overtaken(run, history, known):
        require_ours(history, known, run.services.signer)
        return known
    plan = _made(run, history, phase, known)
    made = PlanMade(digest=plan.digest, plan=plan)
    run.journal.write(run.services.signer.signed(response_stream(run.response.id), made))
    if not plan.approval.required or plan.approval.pre_authorised:  # the others are shown when they are asked about
        show.plan(run, plan)
    return plan


def _overtaken(run: Run, history: ResponseHistory, plan: Plan) -> bool:
    """Whether the plan is not the one to carry out: of an earlier round, or of a runbook or program changed since.

    Once its first change is made a plan goes on to its end, whatever runbook and program say by then.
    """
    changed = plan.runbook_digest != run.runbook.digest or plan.code != code_digest()
    return (changed and not has_begun(history, plan, run.services.signer)) or outdated(history, plan)


def _made(run: Run, history: ResponseHistory, phase: Phase, known: Plan | None) -> Plan:
    if known is None or phase is Phase.VERIFY:
        plan = playbook(run).planners[phase](run, history, run.response.cases)
        return plan.model_copy(update={"code": code_digest()})
    scope = scope_of(run, history, known)
    if phase not in (Phase.VERIFY, Phase.RELEASE) and not remediates_again(run, history, known):
        triage_again(scope)
    try:
        plan = playbook(run).planners[phase](run, history, scope)
    except Refused as refused:
        if not going_on(history, known):
            raise
        # The others go on: that nothing can be planned for these is written down as a plan that does nothing.
        plan = _nothing(run, history, phase, scope, refused.detail)
    reasons = (_why_again(run, history, known), *plan.reasons)
    return plan.model_copy(update={"code": code_digest(), "reasons": reasons, "previous": known.digest})


def _why_again(run: Run, history: ResponseHistory, known: Plan) -> str:
    """Why there is another plan of the phase, for whoever is asked about it."""
    again, before = "planned again: ", f"revision {known.revision}"
    if history.phase_ended(known.phase) is None:
        changed = f"runbook {known.runbook}" if known.runbook_digest != run.runbook.digest else "this program"
        return f"{again}{changed} has changed since {before}"
    if remediates_again(run, history, known):
        return f"{again}{before} did not fix it"
    if lapsed(history, known):
        return f"{again}the approval of {before} ended while the limits or its change window kept it waiting"
    these, fallen = asked_again(history, known), fallen_out(history, known)
    moved = [case for case in drifted(history, known) if case in these]
    if known.deferred and not moved:
        return f"{again}{before} was as much as the limits let begin together; these are the next"
    found = listed(dict.fromkeys(fallen[case] for case in moved if case in fallen))
    return f"{again}{before} did not find what it expected" + (f": {found}" if found else "")


def _nothing(run: Run, history: ResponseHistory, phase: Phase, cases: Sequence[str], reason: str) -> Plan:
    return Plan(
        response=run.response.id,
        runbook=run.runbook.name,
        runbook_digest=run.runbook.digest,
        phase=phase,
        revision=history.next_revision(phase),
        cases=tuple(cases),
        steps=(),
        reasons=(reason,),
        approval=ApprovalRule(required=False),
    )
