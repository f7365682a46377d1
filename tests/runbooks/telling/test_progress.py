"""Progress told: done, running, failed, waiting."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runbooks.telling.escaping import size
from runbooks.telling.progress import progress_line, progress_markdown, progress_percent
from tests.runbooks.builders import a_contain_plan, a_plan_of, an_outcome, outcomes_of
from tests.runbooks.every_step import every_step

PLAN = a_contain_plan()


def states(text: str) -> list[str]:
    return [line.split(" | ")[1] for line in text.split("\n") if line.startswith("| ")][2:]


def test_the_line_counts_what_is_done_and_names_what_runs() -> None:
    outcomes = outcomes_of(PLAN, "done", "already-done", "in-progress")
    assert progress_line(PLAN, outcomes) == f"Contain: 2 of 7 steps done; now: {PLAN.steps[2].describe()}"


def test_what_is_waited_for_is_said_instead() -> None:
    outcomes = outcomes_of(PLAN, "done", "in-progress")
    assert progress_line(PLAN, outcomes, "AWS did not answer") == (
        "Contain: 1 of 7 steps done; waiting: AWS did not answer"
    )


def test_every_state_has_its_word_in_the_table() -> None:
    outcomes = outcomes_of(PLAN, "done", "already-done", "in-progress", "failed", "drifted", "refused")
    assert states(progress_markdown(PLAN, outcomes)) == [
        "done",
        "was so already",
        "running",
        "FAILED",
        "STOPPED: not as the plan found it",
        "NOT DONE: refused",
        "to do",
    ]


def test_what_went_wrong_stands_before_the_table_with_its_reason() -> None:
    outcomes = {PLAN.steps[1].key: an_outcome(PLAN, PLAN.steps[1], "failed", detail="access-denied: no [right](x)")}
    text = progress_markdown(PLAN, outcomes, "looking again")
    trouble = text.index("**FAILED**: Detach")
    assert trouble < text.index("Waiting: looking again") < text.index("| # |")
    assert "access-denied: no [right\\](x)" in text


def test_one_command_for_many_cases_tells_how_many_stand_where() -> None:
    step = every_step()[13]
    plan = a_plan_of(step)
    outcome = an_outcome(plan, step, "failed", cases={"case-a": "done", "case-b": "failed", "case-c": "done"})
    assert "2 done, 1 FAILED" in progress_markdown(plan, {step.key: outcome})


def test_the_share_counts_what_has_ended() -> None:
    assert progress_percent(PLAN, {}) == 0
    assert progress_percent(PLAN, outcomes_of(PLAN, "done", "failed", "in-progress")) == 100 * 2 / 7
    assert progress_percent(PLAN, outcomes_of(PLAN)) == 100
    assert progress_percent(a_plan_of(), {}) == 100


@given(st.text(max_size=600))
def test_the_line_stays_a_line(waiting: str) -> None:
    line = progress_line(PLAN, {}, waiting)
    assert "\n" not in line
    assert size(line) <= 250
