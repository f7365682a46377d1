"""The plan that ends a containment, whatever was contained: its own changes, put back."""

from __future__ import annotations

from collections.abc import Sequence

from runbooks.definition import Signal
from runbooks.history import ResponseHistory
from runbooks.plan import Phase, Plan
from runbooks.planning.release import plan_release, staying
from runbooks.verdict import WORST_FIRST
from tasks.containments import contained_by, counted_on, remediated
from tasks.run import Run
from tasks.triage import assessments_of, rightly_left_alone
from tasks.verdicts import newest_verdict


def release(run: Run, history: ResponseHistory, cases: Sequence[str]) -> Plan:
    """Put back the containment of the cases whose own resource is fixed; a replaced instance stays as evidence.

    What another open case counts on is put back with the last of them: the executor asks again right before.
    """
    contained = contained_by(run.services.ledger, run.response)
    patched = [case for case in run.response.cases if not remediated(history, case).replaced]
    over = rightly_left_alone(run, history)
    known = assessments_of(run.services.ledger, run.response.id, run.response.cases)
    suspected = any(Signal.COMPROMISE_SUSPECTED in each.triage.signals for each in known.values())
    # Only what was approved in this very response can say so; an older containment is asked about.
    said_so = all(plan.releases_when_fixed and plan.digest in history.plans for plan in contained.plans)
    by_itself = run.response.purpose == "respond" and run.runbook.release.when_fixed == "by-itself"
    plan = plan_release(
        run.runbook,
        contained.plans,
        contained.outcomes,
        patched,
        response=run.response.id,
        by_itself=by_itself and said_so and not suspected,
        proven=_proven(run, [case for case in patched if case not in over]),
        revision=history.next_revision(Phase.RELEASE),
        kept_for=contained.kept_for,
    )
    return staying(plan, counted_on(run.services.ledger, plan))


def _proven(run: Run, cases: Sequence[str]) -> str | None:
    """The newest verdict on these cases, the worst of them; None where one of them has none."""
    verdicts = [newest_verdict(run.services, case) for case in cases]
    kinds = [verdict.kind for verdict in verdicts if verdict is not None]
    if len(kinds) < len(cases):
        return None
    return next((kind.value for kind in WORST_FIRST if kind in kinds), None)
