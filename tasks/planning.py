"""Planning, as tasks: the plan of a phase is made once, written down, and read from the ledger ever after."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from runbooks.case import response_stream
from runbooks.definition import Signal
from runbooks.errors import Refused
from runbooks.history import ResponseHistory
from runbooks.plan import ApprovalRule, Phase, Plan
from runbooks.planning.containment import plan_containment
from runbooks.planning.release import plan_release
from runbooks.planning.remediation import plan_remediation
from runbooks.planning.verification import plan_verification
from runbooks.records import PlanMade
from runbooks.telling.words import listed
from runbooks.triage import Assessment
from runbooks.verdict import WORST_FIRST
from runbooks.waves import to_verify
from tasks.artifacts import show
from tasks.authority import has_begun
from tasks.containments import contained_by, first_contained_by, is_contained, remediated
from tasks.gateways.ssm import SsmGateway
from tasks.program import code_digest
from tasks.rounds import drifted, fallen_out, going_on, outdated, remediates_again, scope_of
from tasks.run import Run, current
from tasks.triage import all_assessments, assessments_of, triage_again
from tasks.verdicts import newest_verdict
from tasks.visible import visible


@visible("plan", "Plan: {phase}")
def make_plan(phase: Phase) -> Plan:
    """The open plan of the phase, or a new one from what triage wrote down.

    A new plan that takes the place of another is about the world as it is now, and says why there is another.

    Raises:
        Refused: the runbook's limits do not allow it, or nothing can be done without a person.
    """
    run = current()
    history = run.history()
    known = history.plan(phase)
    if known is not None and history.phase_ended(phase) is None and not _overtaken(run, history, known):
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
        plan = PLANNERS[phase](run, history, run.response.cases)
        return plan.model_copy(update={"code": code_digest()})
    scope = scope_of(run, history, known)
    if phase in (Phase.CONTAIN, Phase.REMEDIATE) and not remediates_again(run, history, known):
        triage_again(scope)
    try:
        plan = PLANNERS[phase](run, history, scope)
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
    if known.deferred:
        return f"{again}{before} was as much as the limits let begin together; these are the next"
    fallen = fallen_out(history, known)
    found = listed(dict.fromkeys(fallen[case] for case in drifted(history, known) if case in fallen))
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


def _contain(run: Run, history: ResponseHistory, cases: Sequence[str]) -> Plan:
    return plan_containment(
        run.response.id,
        run.runbook,
        _assessments(run, cases),
        revision=history.next_revision(Phase.CONTAIN),
    )


def _remediate(run: Run, history: ResponseHistory, cases: Sequence[str]) -> Plan:
    return plan_remediation(
        run.response.id,
        run.runbook,
        [_with_its_first_self(run, each) for each in _assessments(run, cases)],
        bucket=run.services.settings.package_bucket,
        contained=is_contained(run.services.ledger, run.response),
        snapshots=_has_snapshots(run),
        revision=history.next_revision(Phase.REMEDIATE),
    )


def _verify(run: Run, history: ResponseHistory, cases: Sequence[str]) -> Plan:
    places = {f"{key.account}/{key.region}": (key.account, key.region) for key in run.keys.values()}
    ssm = SsmGateway(run.aws)
    found = {place: ssm.inventory_association(*where) for place, where in places.items()}
    remediation = history.plan(Phase.REMEDIATE)
    return plan_verification(
        run.response.id,
        run.runbook,
        _assessments(run, to_verify(history, remediation) if remediation and remediation.waves else cases),
        {place: association for place, association in found.items() if association is not None},
        revision=history.next_revision(Phase.VERIFY),
        previous=remediation.digest if remediation else None,
    )


def _release(run: Run, history: ResponseHistory, cases: Sequence[str]) -> Plan:
    """Put back the containment of the cases whose own instance is fixed; a replaced one stays as evidence."""
    contained = contained_by(run.services.ledger, run.response)
    patched = [case for case in run.response.cases if not remediated(history, case).replaced]
    known = assessments_of(run.services.ledger, run.response.id, run.response.cases)
    suspected = any(Signal.COMPROMISE_SUSPECTED in each.triage.signals for each in known.values())
    # Only what was approved in this very response can say so; an older containment is asked about.
    said_so = all(plan.releases_when_fixed and plan.digest in history.plans for plan in contained.plans)
    by_itself = run.response.purpose == "respond" and run.runbook.release.when_fixed == "by-itself"
    return plan_release(
        run.runbook,
        contained.plans,
        contained.outcomes,
        patched,
        response=run.response.id,
        by_itself=by_itself and said_so and not suspected,
        proven=_proven(run, patched),
        revision=history.next_revision(Phase.RELEASE),
    )


def _proven(run: Run, cases: Sequence[str]) -> str | None:
    """The newest verdict on these cases, the worst of them; None where one of them has none."""
    verdicts = [newest_verdict(run.services, case) for case in cases]
    kinds = [verdict.kind for verdict in verdicts if verdict is not None]
    if len(kinds) < len(cases):
        return None
    return next((kind.value for kind in WORST_FIRST if kind in kinds), None)


PLANNERS: dict[Phase, Callable[[Run, ResponseHistory, Sequence[str]], Plan]] = {
    Phase.CONTAIN: _contain,
    Phase.REMEDIATE: _remediate,
    Phase.VERIFY: _verify,
    Phase.RELEASE: _release,
}


def _assessments(run: Run, cases: Sequence[str]) -> list[Assessment]:
    """Those of the cases to act on; a look on demand is about every case, whatever triage makes of it."""
    known = assessments_of(run.services.ledger, run.response.id, cases)
    looking = run.response.purpose == "verify"
    acting = [each for each in known.values() if looking or each.triage.decision == "respond"]
    if not acting:
        raise Refused("triage left no case to act on", code="nothing-to-do")
    return acting


def _has_snapshots(run: Run) -> bool:
    """Whether snapshots were taken when the cases were contained."""
    contained = contained_by(run.services.ledger, run.response)
    return any(outcome.action == "create-snapshots" for outcome in contained.outcomes.values())


def _with_its_first_self(run: Run, assessment: Assessment) -> Assessment:
    """The instance as it was before it was contained: a successor takes its groups, not the quarantine's."""
    ledger = run.services.ledger
    before = all_assessments(ledger, first_contained_by(ledger, run.response), assessment.case)
    first = (before or [assessment])[0].facts.resource
    resource = assessment.facts.resource.model_copy(update={"instance": first.instance})
    return assessment.model_copy(update={"facts": assessment.facts.model_copy(update={"resource": resource})})
