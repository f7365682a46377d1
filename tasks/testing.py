"""Whether what was built has passed the tests that its runbook names."""

from __future__ import annotations

from collections.abc import Sequence

from runbooks.history import SUCCEEDED, ResponseHistory
from runbooks.plan import Phase
from runbooks.steps import AnyStep
from tasks.authority import has_begun, require_ours
from tasks.gateways.actions import actions
from tasks.run import Run


def why_untested(run: Run, history: ResponseHistory, tests: Sequence[AnyStep]) -> str | None:
    """Why what was built may not be deployed; None where each of these tests was carried out, and was passed.

    That the phase of the tests has ended, and how, may be in the ledger by anybody who can write there. So their plan
    and its beginning must be signed, and whoever carried a test out is asked once more how it ended.

    Raises:
        NotApproved: this system has not made the plan of the tests that is in the ledger.
        Outside: nobody said how a test ended.
    """
    plan = history.plan(Phase.TEST)
    if not tests:
        return None
    if plan is None:
        return "no test of it was planned"
    require_ours(history, plan, run.services.signer)
    if not has_begun(history, plan, run.services.signer):
        return "its test was not begun"
    ours = {step.key: step for step in plan.steps}
    operations = {key: plan.operation(step) for key, step in ours.items()}
    for step in tests:
        outcome = history.outcome(plan, ours[step.key]) if step.key in ours else None
        if outcome is None or outcome.status not in SUCCEEDED:
            return f"{step.describe()}: that has not ended well"
        look = actions(run.aws, run.services.elsewhere)[step.kind].look([ours[step.key]], operations)[step.key]
        if look.status != "as-left":
            return f"{step.describe()}: {look.detail or 'nobody has carried that out'}"
    return None
