"""Which cases of a response are over without a verdict: triage left nothing to do, and nothing was changed."""

from __future__ import annotations

from collections.abc import Iterable

from runbooks.history import ResponseHistory
from runbooks.plan import Phase
from runbooks.triage import Assessment

CHANGING = (Phase.CONTAIN, Phase.REMEDIATE)
"""The phases that change what the case is about; others look at it, or make something beside it."""


def left_alone(history: ResponseHistory, assessments: Iterable[Assessment]) -> dict[str, str]:
    """Case -> why nothing is to be done about it.

    What came of a resource that the response has begun to change, only the evidence says, whatever triage makes of it
    when it is read again. And a look or a release is about every case that it was asked for.

    Args:
        assessments: the newest of each case, of this response.
    """
    if history.started is None or history.started.purpose != "respond":
        return {}
    plans = (plan for plan in history.plans.values() if plan.phase in CHANGING)
    steps = ((plan, step) for plan in plans for step in plan.steps)
    begun = {case for plan, step in steps if plan.operation(step) in history.intents for case in step.cases}
    idle = (each for each in assessments if each.triage.decision == "nothing-to-do" and each.case not in begun)
    return {each.case: "; ".join(each.triage.reasons) for each in idle}
