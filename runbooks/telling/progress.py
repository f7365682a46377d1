"""How far a plan has come: what is done, what is going on, what went wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runbooks.plan import Plan
from runbooks.records import Outcome
from runbooks.steps import AnyStep
from runbooks.telling.escaping import fitted, markdown, plain
from runbooks.telling.layout import blocks, table
from runbooks.telling.words import DOING

STATUSES: dict[str, str] = {
    "done": "done",
    "already-done": "was so already",
    "in-progress": "running",
    "failed": "FAILED",
    "drifted": "STOPPED: not as the plan found it",
    "refused": "NOT DONE: refused",
}
WENT_WRONG = ("failed", "drifted", "refused")
LINE_LIMIT = 250


def progress_line(plan: Plan, outcomes: Mapping[str, Outcome], waiting: str | None = None) -> str:
    """One line: `Contain: 3 of 8 steps done, 1 FAILED; now: ...`. Plain text of at most 250 characters.

    Args:
        outcomes: step key -> outcome.
        waiting: what is waited for, in words.
    """
    statuses = [outcomes[step.key].status for step in plan.steps if step.key in outcomes]
    done = sum(1 for status in statuses if status in ("done", "already-done"))
    wrong = sum(1 for status in statuses if status in WENT_WRONG)
    head = f"{DOING[plan.phase]}: {done} of {len(plan.steps)} steps done"
    if wrong:
        head += f", {wrong} NOT DONE"
    running = next((step for step in plan.steps if _status(step, outcomes) == "in-progress"), None)
    if waiting:
        head += f"; waiting: {waiting}"
    elif running is not None:
        head += f"; now: {running.describe()}"
    return fitted(head, LINE_LIMIT, plain)


def progress_percent(plan: Plan, outcomes: Mapping[str, Outcome]) -> float:
    """The share of steps that have ended, however they did, from 0 to 100."""
    ended = sum(1 for step in plan.steps if _status(step, outcomes) not in (None, "in-progress"))
    return 100.0 * ended / len(plan.steps) if plan.steps else 100.0


def progress_markdown(
    plan: Plan, outcomes: Mapping[str, Outcome], waiting: str | None = None, waves: Sequence[tuple[int, int, str]] = ()
) -> str:
    """The steps with their state; what went wrong and what is waited for stand first.

    Args:
        waves: of each wave its number, its size and how it stands.
    """
    wrong = [step for step in plan.steps if _status(step, outcomes) in WENT_WRONG]
    rows = [_row(number, step, outcomes) for number, step in enumerate(plan.steps, start=1)]
    return blocks(
        f"## {markdown(progress_line(plan, outcomes))}",
        *(f"**{STATUSES[outcomes[step.key].status]}**: {markdown(_trouble(step, outcomes))}" for step in wrong),
        f"Waiting: {markdown(waiting)}" if waiting else "",
        table(("Wave", "Cases", "State"), [(str(n), str(size), markdown(state)) for n, size, state in waves])
        if waves
        else "",
        table(("#", "State", "What is done", "Details"), rows),
    )


def _trouble(step: AnyStep, outcomes: Mapping[str, Outcome]) -> str:
    detail = outcomes[step.key].detail
    return f"{step.describe()}: {detail}" if detail else step.describe()


def _row(number: int, step: AnyStep, outcomes: Mapping[str, Outcome]) -> Sequence[str]:
    outcome = outcomes.get(step.key)
    if outcome is None:
        return str(number), "to do", markdown(step.describe()), ""
    details = "; ".join(filter(None, (markdown(outcome.detail), _shares(outcome))))
    return str(number), STATUSES[outcome.status], markdown(step.describe()), details


def _shares(outcome: Outcome) -> str:
    """How many cases stand where, of an act that serves many."""
    if len(outcome.cases) < 2:
        return ""
    statuses = list(outcome.cases.values())
    each = (f"{statuses.count(status)} {markdown(STATUSES.get(status, status))}" for status in dict.fromkeys(statuses))
    return ", ".join(each)


def _status(step: AnyStep, outcomes: Mapping[str, Outcome]) -> str | None:
    outcome = outcomes.get(step.key)
    return outcome.status if outcome else None
