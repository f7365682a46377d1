"""Planning, as tasks: the plan of a phase is made once, written down, and read from the ledger ever after."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from runbooks.definition import Signal
from runbooks.errors import Refused
from runbooks.history import ResponseHistory
from runbooks.plan import Phase, Plan
from runbooks.planning.containment import plan_containment
from runbooks.planning.release import plan_release
from runbooks.planning.remediation import plan_remediation
from runbooks.planning.verification import plan_verification
from runbooks.records import PlanMade
from runbooks.triage import Assessment
from runbooks.verdict import WORST_FIRST, VerdictKind
from tasks.artifacts import show
from tasks.containments import contained_by, first_contained_by, is_contained, remediated
from tasks.gateways.ssm import SsmGateway
from tasks.run import Run, current
from tasks.triage import all_assessments, assessments_of
from tasks.verdicts import newest_verdict, verdicts_on
from tasks.visible import visible

MOST_REVISIONS = 3
"""How often a phase is planned anew because the world has moved, before a person looks at it."""


@visible("plan", "Plan: {phase}")
def make_plan(phase: Phase) -> Plan:
    """The open plan of the phase, or a new one from what triage wrote down.

    Raises:
        Refused: the runbook's limits do not allow it, or nothing can be done without a person.
    """
    run = current()
    history = run.history()
    known = history.plan(phase)
    if known is not None and history.phase_ended(phase) is None and not _overtaken(run, history, known):
        return known
    plan = PLANNERS[phase](run, history, known)
    run.journal.write(PlanMade(digest=plan.digest, plan=plan))
    if not plan.approval.required:  # the others are shown when they are asked about
        show.plan(run, plan)
    return plan


def _overtaken(run: Run, history: ResponseHistory, plan: Plan) -> bool:
    """Whether the plan is no longer the one to carry out: of an earlier round, or of a runbook that has changed since.

    Once its first change is made a plan goes on to its end, whatever its runbook says by then.
    """
    changed = plan.runbook_digest != run.runbook.digest and not history.spent(plan.digest)
    return changed or outdated(history, plan)


def is_current(phase: Phase) -> bool:
    """Whether the phase's newest plan belongs to this round; a round ends with a verdict that asks for another."""
    run = current()
    history = run.history()
    plan = history.plan(phase)
    if plan is None:
        return False
    if phase is Phase.REMEDIATE:
        return not remediates_again(run, history, plan)
    return not outdated(history, plan)


def outdated(history: ResponseHistory, plan: Plan) -> bool:
    """Whether the plan belongs to an earlier round: a verify plan judges one remediate plan, and no other."""
    if plan.phase is not Phase.VERIFY:
        return False
    remediation = history.plan(Phase.REMEDIATE)
    return remediation is not None and plan.previous != remediation.digest


def remediates_again(run: Run, history: ResponseHistory, plan: Plan) -> bool:
    """Whether this remediate plan left a case not fixed, and the runbook tries once more."""
    choice = run.runbook.verify
    if choice.when_not_fixed != "remediate-again" or plan.revision >= choice.maximum_attempts:
        return False
    verdicts = verdicts_on(run.services.ledger, run.response, plan)
    return any(verdict.kind is VerdictKind.NOT_FIXED for verdict in verdicts.values())


def may_plan_again(phase: Phase) -> bool:
    """Whether a phase whose world has moved is planned once more, or a person looks at it."""
    return current().history().next_revision(phase) <= MOST_REVISIONS


def _contain(run: Run, history: ResponseHistory, before: Plan | None) -> Plan:
    return plan_containment(
        run.response.id,
        run.runbook,
        _assessments(run),
        revision=history.next_revision(Phase.CONTAIN),
        previous=before.digest if before else None,
    )


def _remediate(run: Run, history: ResponseHistory, before: Plan | None) -> Plan:
    return plan_remediation(
        run.response.id,
        run.runbook,
        [_with_its_first_self(run, each) for each in _assessments(run)],
        bucket=run.services.settings.package_bucket,
        contained=is_contained(run.services.ledger, run.response),
        snapshots=_has_snapshots(run),
        revision=history.next_revision(Phase.REMEDIATE),
        previous=before.digest if before else None,
    )


def _verify(run: Run, history: ResponseHistory, before: Plan | None) -> Plan:
    places = {f"{key.account}/{key.region}": (key.account, key.region) for key in run.keys.values()}
    ssm = SsmGateway(run.aws)
    found = {place: ssm.inventory_association(*where) for place, where in places.items()}
    remediation = history.plan(Phase.REMEDIATE)
    return plan_verification(
        run.response.id,
        run.runbook,
        _assessments(run),
        {place: association for place, association in found.items() if association is not None},
        revision=history.next_revision(Phase.VERIFY),
        previous=remediation.digest if remediation else None,
    )


def _release(run: Run, history: ResponseHistory, before: Plan | None) -> Plan:
    """Put back the containment of the cases whose own instance is fixed; a replaced one stays as evidence."""
    contained = contained_by(run.services.ledger, run.response)
    remediation = history.plan(Phase.REMEDIATE)
    patched = [case for case in run.response.cases if not remediated(history, remediation, case).replaced]
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
    verdicts = [newest_verdict(run.services.ledger, case) for case in cases]
    kinds = [verdict.kind for verdict in verdicts if verdict is not None]
    if len(kinds) < len(cases):
        return None
    return next((kind.value for kind in WORST_FIRST if kind in kinds), None)


PLANNERS: dict[Phase, Callable[[Run, ResponseHistory, Plan | None], Plan]] = {
    Phase.CONTAIN: _contain,
    Phase.REMEDIATE: _remediate,
    Phase.VERIFY: _verify,
    Phase.RELEASE: _release,
}


def _assessments(run: Run) -> list[Assessment]:
    """The cases to act on; a look on demand is about every case, whatever triage makes of it."""
    known = assessments_of(run.services.ledger, run.response.id, run.response.cases)
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
