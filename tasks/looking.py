"""What a look shows against what the ledger leads us to expect: a surprise is not believed at first sight.

Reads of AWS are eventually consistent: for a while a look may show the world as it was before our own last change (EC2
API reference, "Ensuring idempotency and eventual consistency"). Believed at once, that would send a call again whose
answer was lost, take our own change for somebody else's, or leave undone what seems to be undone already. So a look
that surprises is believed only some seconds after the response's last change, and when a second look agrees.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from runbooks.history import ResponseHistory
from runbooks.plan import Plan
from runbooks.records import Intent, Outcome
from runbooks.steps import AnyStep, Step
from tasks.gateways.actions.base import Action, Look

SHOWS_WITHIN = timedelta(seconds=Step.shows_within_seconds)
"""How long AWS is given to show a change, unless its kind of step says otherwise."""
_BAD = ("drifted", "failed")
NOT_BELIEVED = "what was done last may not show yet; looking again"


def not_believed(
    action: Action,
    steps: Sequence[AnyStep],
    looks: Mapping[str, Look],
    history: ResponseHistory,
    plan: Plan,
    now: datetime,
) -> set[str]:
    """The keys of the steps whose looks are not to be believed yet, and of those that must not be begun meanwhile.

    Raises:
        Outside: AWS did not answer the second look.
    """
    doubtful = _doubtful(action, steps, looks, history, plan, now)
    falling_out = {case for step in doubtful if looks[step.key].status in _BAD for case in step.cases}
    waiting = (each for each in steps if looks[each.key].status == "as-expected" and falling_out & set(each.cases))
    return {step.key for step in (*doubtful, *waiting)}


def _doubtful(
    action: Action,
    steps: Sequence[AnyStep],
    looks: Mapping[str, Look],
    history: ResponseHistory,
    plan: Plan,
    now: datetime,
) -> list[AnyStep]:
    surprising = [step for step in steps if _surprises(looks[step.key], history, plan, step)]
    if not surprising:
        return []
    last = _last_change(history)
    within = timedelta(seconds=max(step.shows_within_seconds for step in surprising))
    if last is not None and now - last < within:
        return surprising
    again = action.look(surprising, {step.key: plan.operation(step) for step in plan.steps})
    return [step for step in surprising if again[step.key].status != looks[step.key].status]


def _surprises(look: Look, history: ResponseHistory, plan: Plan, step: AnyStep) -> bool:
    begun = plan.operation(step) in history.intents
    match look.status:
        case "as-expected":
            return begun
        case "as-left":
            return not begun and not step.follows
        case status:
            return status in _BAD


def _last_change(history: ResponseHistory) -> datetime | None:
    """When a change of this response was last begun or ended."""
    for dated in reversed(history.entries):
        if isinstance(dated.record, Intent | Outcome) and dated.record.digest is not None:
            return dated.at
    return None
