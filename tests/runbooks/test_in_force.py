"""Which changes of containments are in force, and who counts on them: whatever order things happened in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from runbooks.history import ResponseHistory
from runbooks.in_force import COUNTED_ON, Change, in_force, is_ours
from runbooks.plan import Phase, Plan
from runbooks.planning.images.promotion import closing_reason
from runbooks.records import PhaseEnded, PlanMade, Record
from runbooks.repository_policy import with_pulls_denied
from runbooks.steps import AnyStep, SetRepositoryPolicy, SetStageTransition
from tests.runbooks.builders import a_decision, a_plan_of, a_target, after, an_intent, an_outcome
from tests.runbooks.histories import a_history, dated

ONE, TWO, THREE = "case-1", "case-2", "case-3"
REASON = closing_reason("shop/checkout", "resp-1")
NEVER: dict[str, Any] = {}


def closing(*cases: str, enabled: bool = False) -> SetStageTransition:
    return SetStageTransition(
        target=a_target("pipeline-stage", "checkout/Production"),
        cases=cases,
        pipeline="checkout",
        stage="Production",
        enabled=enabled,
        reason=REASON,
        undoes=enabled,
    )


def denial(*cases: str) -> SetRepositoryPolicy:
    target = a_target("repository", "shop")
    return SetRepositoryPolicy(
        target=target, cases=cases, repository="shop", expects=None, leaves=with_pulls_denied(None)
    )


def plan_of(number: int, phase: Phase, *steps: AnyStep, cases: Sequence[str] = ()) -> Plan:
    named = tuple(cases) or steps[0].cases
    return a_plan_of(*steps, response=f"resp-{number}", phase=phase, cases=named)


def told(start: float, *records: Record) -> ResponseHistory:
    """A response that began so many minutes into the story, with a minute between what it wrote."""
    return a_history(*(dated(start + minute, record) for minute, record in enumerate(records)))


def contained(start: float, number: int, *cases: str, status: Any = "done") -> ResponseHistory:
    plan = plan_of(number, Phase.CONTAIN, closing(*cases))
    (step,) = plan.steps
    result = {"enabled": False, "reason": REASON}
    return told(start, PlanMade(digest=plan.digest, plan=plan), an_outcome(plan, step, status, result=result))


def released(start: float, number: int, *cases: str, result: Any = "done", left: bool = False) -> ResponseHistory:
    plan = plan_of(number, Phase.RELEASE, closing(*cases, enabled=True))
    (step,) = plan.steps
    status: Any = "already-done" if left else "done"
    outcome = an_outcome(plan, step, status, result={COUNTED_ON: [THREE]} if left else {})
    ended = PhaseEnded(phase=Phase.RELEASE, result=result, digest=plan.digest)
    return told(start, PlanMade(digest=plan.digest, plan=plan), outcome, ended)


def kept(changes: Sequence[Change]) -> list[set[str]]:
    return [set(change.kept_for) for change in changes]


def test_a_change_is_kept_for_each_of_its_cases_until_that_one_is_released() -> None:
    made, let_go = contained(0, 1, ONE, TWO), released(10, 2, ONE, left=True)
    assert kept(in_force([made], {}, NEVER)) == [{ONE, TWO}]
    assert kept(in_force([made, let_go], {}, NEVER)) == [{TWO}]
    assert in_force([made, let_go, released(20, 3, TWO)], {}, NEVER) == []


@pytest.mark.parametrize(("result", "there"), [("done", 0), ("not-needed", 0), ("drifted", 1), ("rejected", 1)])
def test_only_a_release_that_came_to_its_end_lets_go(result: Any, there: int) -> None:
    assert len(in_force([contained(0, 1, ONE), released(10, 2, ONE, result=result)], {}, NEVER)) == there


def test_what_another_case_found_closed_by_us_is_in_force_for_it_when_the_first_has_let_go() -> None:
    first, second = contained(0, 1, ONE), contained(5, 2, TWO, status="already-done")
    found = in_force([first, second, released(10, 3, ONE, left=True)], {}, NEVER)
    assert [(change.plan.response, set(change.kept_for)) for change in found] == [("resp-2", {TWO})]


def test_what_was_put_back_is_in_force_for_nobody_who_only_found_it_so() -> None:
    first, second = contained(0, 1, ONE), contained(5, 2, TWO, status="already-done")
    assert in_force([first, second, released(10, 3, TWO)], {}, NEVER) == []


def test_what_is_closed_again_after_a_release_is_in_force_again() -> None:
    assert kept(in_force([contained(0, 1, ONE), released(10, 2, ONE), contained(20, 3, ONE)], {}, NEVER)) == [{ONE}]


SAME = {ONE: frozenset({ONE, TWO}), TWO: frozenset({ONE, TWO})}


def test_a_case_about_the_same_resource_counts_on_it_where_triage_wants_it_contained() -> None:
    made, let_go = contained(0, 1, ONE), released(10, 2, ONE, left=True)
    assert kept(in_force([made], SAME, NEVER)) == [{ONE}]
    assert kept(in_force([made], SAME, {TWO: after(5)})) == [{ONE, TWO}]
    assert kept(in_force([made, let_go], SAME, {TWO: after(5)})) == [{TWO}]
    assert kept(in_force([made], {}, {TWO: after(5)})) == [{ONE}]


def test_a_case_about_the_same_resource_that_was_released_counts_on_nothing_until_it_is_triaged_again() -> None:
    made, theirs = contained(0, 1, ONE), released(10, 2, TWO, left=True)
    assert kept(in_force([made, theirs], SAME, {TWO: after(5)})) == [{ONE}]
    assert kept(in_force([made, theirs], SAME, {TWO: after(30)})) == [{ONE, TWO}]


@pytest.mark.parametrize("answer", ["rejected", "expired"])
def test_a_containment_that_nobody_wanted_keeps_no_other_from_being_put_back(answer: str) -> None:
    plan = plan_of(2, Phase.CONTAIN, denial(TWO))
    declined = told(5, PlanMade(digest=plan.digest, plan=plan), a_decision(plan, answer))
    (change,) = in_force([contained(0, 1, ONE), declined], SAME, {TWO: after(5)})
    assert (set(change.kept_for), set(change.counted_on_by)) == ({ONE, TWO}, {ONE})
    asked = told(20, PlanMade(digest=plan.digest, plan=plan))
    (change,) = in_force([contained(0, 1, ONE), declined, asked], SAME, {TWO: after(5)})
    assert set(change.counted_on_by) == {ONE, TWO}


def test_what_was_begun_and_has_no_outcome_is_in_force() -> None:
    plan = plan_of(1, Phase.CONTAIN, closing(ONE))
    begun = told(0, PlanMade(digest=plan.digest, plan=plan), an_intent(plan, plan.steps[0]))
    assert kept(in_force([begun], {}, NEVER)) == [{ONE}]


def test_of_what_was_written_at_the_same_moment_the_later_response_counts() -> None:
    made, let_go = (
        a_history(*(dated(0, each.record) for each in history.entries))
        for history in (contained(0, 1, ONE), released(0, 2, ONE))
    )
    assert in_force([made, let_go], {}, NEVER) == []
    assert kept(in_force([let_go, made], {}, NEVER)) == [{ONE}]


@pytest.mark.parametrize(
    ("step", "status", "result", "ours"),
    [
        (closing(ONE), "done", {}, True),
        (closing(ONE), "in-progress", {}, True),
        (closing(ONE), "failed", {"reason": REASON}, False),
        (closing(ONE), "already-done", {"reason": REASON}, True),
        (closing(ONE), "already-done", {"reason": "freeze until Monday"}, False),
        (closing(ONE), "already-done", {}, False),
        (denial(ONE), "already-done", {"policy": with_pulls_denied(None)}, True),
        (denial(ONE), "already-done", {"policy": '{"Statement": []}'}, False),
        (denial(ONE), "already-done", {}, False),
    ],
)
def test_what_was_found_so_is_ours_by_our_mark_alone(step: AnyStep, status: Any, result: Any, ours: bool) -> None:
    plan = plan_of(1, Phase.CONTAIN, step)
    assert is_ours(step, an_outcome(plan, step, status, result=result)) is ours
