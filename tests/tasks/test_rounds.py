"""Planned and asked about again: only what moved, with the difference, a few times, while the others go on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runbooks.case import response_stream
from runbooks.errors import Refused
from runbooks.plan import Phase, Plan
from runbooks.steps import SwapSecurityGroups
from runbooks.telling.plan_text import plan_markdown
from tasks.acting import end_phase
from tasks.planning import make_plan
from tasks.program import code_digest
from tasks.rounds import left_behind, settled
from tests.runbooks.signatures import SIGNER, made
from tests.tasks.aftermath import of_kind
from tests.tasks.conftest import OpenHouse
from tests.tasks.contained import OTHER, THIRD, furnished
from tests.tasks.gateways.aws_world import INSTANCE, an_event
from tests.tasks.playing import Meddling, Playing, prefect_alone


@pytest.fixture(scope="module", autouse=True)
def prefect() -> Iterator[None]:
    with prefect_alone():
        yield


@pytest.fixture
def playing(open_house: OpenHouse, tmp_path: Path) -> Playing:
    """Two instances about to be contained."""
    house = furnished(open_house)
    house.furnish(an_event(OTHER, 2))
    return Playing(house, tmp_path)


def swaps(plan: Plan, case: str) -> list[SwapSecurityGroups]:
    stage = of_kind(plan, "swap-security-groups")
    return [step for step in stage if isinstance(step, SwapSecurityGroups) and step.cases == (case,)]


def somebody_swaps(playing: Playing, *revisions: int) -> Meddling:
    """After these plans were approved somebody puts the other instance's interfaces into another group."""
    theirs = playing.case_of(OTHER)

    def meddle(plan: Plan) -> None:
        if plan.revision in revisions:
            stranger = playing.house.make_group(f"of-somebody-else-{plan.revision}")
            for step in swaps(plan, theirs):
                playing.house.set_groups(step.target.id, [stranger])

    return meddle


# --- drift -----------------------------------------------------------------------------------------------------------


def test_a_case_that_drifted_is_asked_about_again_alone_while_the_other_went_on(playing: Playing):
    ended = playing.phase(Phase.CONTAIN, somebody_swaps(playing, 1))

    first, second = playing.asked
    theirs = playing.case_of(OTHER)
    assert (set(first.cases), second.cases) == (set(playing.run.cases), (theirs,))
    assert (second.revision, second.previous) == (2, first.digest)
    (stranger,) = {group for step in swaps(second, theirs) for group in step.expects}
    assert second.reasons[0].startswith("planned again: revision 1 did not find what it expected: Interface eni-")
    assert stranger in second.reasons[0]
    assert ended.result == "done"
    history = playing.house.history()
    assert {history.step_outcomes(first)[step.key].status for step in swaps(first, theirs)} == {"drifted"}
    assert {outcome.status for outcome in history.step_outcomes(second).values()} <= {"done", "already-done"}
    assert left_behind(history, second) == {}


def test_the_question_shows_what_changed(playing: Playing):
    playing.phase(Phase.CONTAIN, somebody_swaps(playing, 1))
    first, second = playing.asked
    text = plan_markdown(second, keys=playing.run.keys, previous=first)
    assert "What changed since revision 1" in text
    assert f"- left: `{playing.case_of(INSTANCE)}`" in text
    for step in swaps(second, playing.case_of(OTHER)):
        assert f"becomes `{list(step.expects)}`" in text


def test_what_the_plan_itself_changed_before_is_no_drift(playing: Playing):
    ended = playing.phase(Phase.CONTAIN)
    assert ended.result == "done"
    assert len(playing.asked) == 1


def test_it_is_asked_about_again_a_few_times_and_then_a_person_looks(playing: Playing):
    ended = playing.phase(Phase.CONTAIN, somebody_swaps(playing, 1, 2, 3))
    assert [plan.revision for plan in playing.asked] == [1, 2, 3]
    assert ended.result == "partial", "the other instance is contained"
    assert set(left_behind(playing.house.history(), playing.asked[-1])) == {playing.case_of(OTHER)}


def test_a_no_to_what_drifted_takes_nothing_from_the_others(playing: Playing):
    def answer(plan: Plan) -> str:
        return "approved" if plan.revision == 1 else "rejected"

    ended = playing.phase(Phase.CONTAIN, somebody_swaps(playing, 1), answer)

    assert [plan.revision for plan in playing.asked] == [1, 2]
    assert ended.result == "partial"
    theirs, ours = playing.case_of(OTHER), playing.case_of(INSTANCE)
    first = playing.asked[0]
    left = {playing.house.groups_of(step.target.id)[0] for step in swaps(playing.asked[1], theirs)}
    assert left == {step.expects[0] for step in swaps(playing.asked[1], theirs)}
    assert all(playing.house.groups_of(step.target.id) != list(step.expects) for step in swaps(first, ours))


def test_where_nothing_can_be_planned_for_what_drifted_the_others_go_on_and_it_is_written_down(playing: Playing):
    def ends_it(plan: Plan) -> None:
        playing.house.client("ec2").terminate_instances(InstanceIds=[OTHER])

    ended = playing.phase(Phase.CONTAIN, ends_it)

    assert len(playing.asked) == 1, "there is nothing to ask about"
    assert ended.result == "partial"
    nothing = playing.house.history().plan(Phase.CONTAIN)
    assert nothing is not None
    assert (nothing.revision, nothing.steps, nothing.cases) == (2, (), (playing.case_of(OTHER),))
    assert nothing.reasons[1] == "triage left no case to act on"


def test_one_that_drifted_wholly_ends_as_its_last_plan_did(playing: Playing):
    everyone = list(playing.run.cases)

    def meddle(plan: Plan) -> None:
        stranger = playing.house.make_group(f"of-somebody-else-{plan.revision}")
        for case in everyone:
            for step in swaps(plan, case):
                playing.house.set_groups(step.target.id, [stranger])

    def answer(plan: Plan) -> str:
        return "approved" if plan.revision == 1 else "rejected"

    ended = playing.phase(Phase.CONTAIN, meddle, answer)
    assert ended.result == "rejected"
    assert set(playing.asked[1].cases) == set(everyone)


def test_a_run_that_starts_over_in_the_middle_plans_nothing_twice(playing: Playing):
    meddle = somebody_swaps(playing, 1)
    with playing.running():
        first = make_plan.fn(Phase.CONTAIN)
        playing.answered(first, "approved")
        meddle(first)
        playing.carry_out(first)
        end_phase.fn(first)
        second = make_plan.fn(Phase.CONTAIN)
    playing.begin()
    with playing.running():
        assert settled(Phase.CONTAIN) is None
        assert make_plan.fn(Phase.CONTAIN) == second
    ended = playing.phase(Phase.CONTAIN)
    assert playing.asked == [second]
    assert ended.result == "done"


# --- code and runbook ------------------------------------------------------------------------------------------------


def test_the_plan_carries_the_program_that_made_it(playing: Playing):
    with playing.running():
        plan = make_plan.fn(Phase.CONTAIN)
        assert plan.code == code_digest()
        assert make_plan.fn(Phase.CONTAIN) == plan


def written_by_another_program(playing: Playing) -> Plan:
    with playing.running():
        plan = make_plan.fn(Phase.CONTAIN).model_copy(update={"code": "0" * 64, "revision": 2})
    playing.run.journal.write(made(plan))
    return plan


def test_code_that_changed_before_the_first_change_asks_again_and_says_so(playing: Playing):
    before = written_by_another_program(playing)
    playing.answered(before, "approved")
    with playing.running():
        plan = make_plan.fn(Phase.CONTAIN)
    assert (plan.revision, plan.previous, plan.code) == (3, before.digest, code_digest())
    assert plan.reasons[0] == "planned again: this program has changed since revision 2"
    assert plan.steps == before.steps
    assert plan.digest not in playing.house.history().decisions


def test_code_that_changed_after_the_first_change_carries_the_plan_to_its_end(playing: Playing):
    before = written_by_another_program(playing)
    (step, *_), *_ = before.stages()
    begun = playing.run.journal.intend(before.operation(step), step.kind, step.key, {}, before.digest)
    playing.run.journal.write(SIGNER.signed(response_stream(playing.house.response), begun))
    with playing.running():
        assert make_plan.fn(Phase.CONTAIN) == before


def test_a_runbook_that_changed_before_the_first_change_asks_again_and_says_so(playing: Playing):
    with playing.running():
        before = make_plan.fn(Phase.CONTAIN)
    runbook = playing.house.runbook
    playing.house.runbook = runbook.model_copy(
        update={"contain": runbook.contain.model_copy(update={"snapshots": False})}
    )
    with playing.running():
        plan = make_plan.fn(Phase.CONTAIN)
    assert plan.previous == before.digest
    assert plan.reasons[0] == f"planned again: runbook {runbook.name} has changed since revision 1"
    assert {step.kind for step in before.steps} - {step.kind for step in plan.steps} == {"create-snapshots"}


def test_what_cannot_be_planned_at_all_is_refused(playing: Playing):
    limits = playing.house.runbook.limits.model_copy(update={"maximum_cases": 1})
    playing.house.runbook = playing.house.runbook.model_copy(update={"limits": limits})
    with playing.running(), pytest.raises(Refused):
        make_plan.fn(Phase.CONTAIN)


def test_what_the_limits_put_off_is_asked_about_when_the_first_plan_has_ended(
    open_house: OpenHouse, tmp_path: Path
) -> None:
    house = furnished(open_house, {"limits": {"maximum_cases_at_once": 1}})
    house.furnish(an_event(OTHER, 2))
    playing = Playing(house, tmp_path)

    ended = playing.phase(Phase.CONTAIN)

    first, second = playing.asked
    assert (first.deferred, second.cases, second.deferred) == (second.cases, first.deferred, ())
    assert second.reasons[0] == (
        "planned again: revision 1 was as much as the limits let begin together; these are the next"
    )
    assert ended.result == "done"
    assert {
        interface
        for step in (*swaps(first, first.cases[0]), *swaps(second, second.cases[0]))
        for interface in house.groups_of(step.target.id)
    } == {house.groups_of(swaps(first, first.cases[0])[0].target.id)[0]}


def test_nobody_is_asked_about_what_was_put_off_by_a_plan_that_was_rejected(
    open_house: OpenHouse, tmp_path: Path
) -> None:
    house = furnished(open_house, {"limits": {"maximum_cases_at_once": 1}})
    house.furnish(an_event(OTHER, 2))
    playing = Playing(house, tmp_path)

    ended = playing.phase(Phase.CONTAIN, answer=lambda plan: "rejected")

    assert (len(playing.asked), ended.result) == (1, "rejected")
    assert house.mutating_calls() == []


def test_a_phase_of_which_what_was_put_off_is_rejected_is_partly_done(open_house: OpenHouse, tmp_path: Path) -> None:
    house = furnished(open_house, {"limits": {"maximum_cases_at_once": 1}})
    house.furnish(an_event(OTHER, 2))
    playing = Playing(house, tmp_path)

    ended = playing.phase(Phase.CONTAIN, answer=lambda plan: "approved" if plan.revision == 1 else "rejected")

    assert (len(playing.asked), ended.result) == (2, "partial")


# --- both ------------------------------------------------------------------------------------------------------------


def one_at_a_time(open_house: OpenHouse, folder: Path, *others: str) -> Playing:
    """So many instances about to be contained, one after another."""
    house = furnished(open_house, {"limits": {"maximum_cases_at_once": 1}})
    for number, instance in enumerate(others, 2):
        house.furnish(an_event(instance, number))
    return Playing(house, folder)


def moved_by_somebody(playing: Playing, *revisions: int) -> Meddling:
    """After these plans were approved somebody puts the interfaces of their case into one more group.

    It is as exposed as it was, so it stays the most urgent.
    """

    def meddle(plan: Plan) -> None:
        assert plan.revision <= 8, "it goes round in circles"
        if plan.revision in revisions:
            stranger = playing.house.make_group(f"of-somebody-else-{plan.revision}")
            for step in swaps(plan, plan.cases[0]):
                playing.house.set_groups(step.target.id, [*step.expects, stranger])

    return meddle


def test_one_that_drifts_every_time_does_not_keep_what_was_put_off_from_its_turn(
    open_house: OpenHouse, tmp_path: Path
) -> None:
    playing = one_at_a_time(open_house, tmp_path, OTHER)

    ended = playing.phase(Phase.CONTAIN, moved_by_somebody(playing, 1, 2, 3))

    (stubborn,), (patient,) = playing.asked[0].cases, playing.asked[0].deferred
    assert [plan.cases for plan in playing.asked] == [(stubborn,), (stubborn,), (stubborn,), (patient,)]
    why = [plan.reasons[0].removeprefix("planned again: ") for plan in playing.asked[1:]]
    assert [each.split(": Interface")[0] for each in why] == [
        "revision 1 did not find what it expected",
        "revision 2 did not find what it expected",
        "revision 3 was as much as the limits let begin together; these are the next",
    ]
    assert ended.result == "partial", "one of the two is contained"
    assert set(left_behind(playing.house.history(), playing.asked[-1])) == {stubborn}


def test_what_drifts_in_the_last_of_many_portions_is_asked_about_again_too(
    open_house: OpenHouse, tmp_path: Path
) -> None:
    playing = one_at_a_time(open_house, tmp_path, OTHER, THIRD)

    ended = playing.phase(Phase.CONTAIN, moved_by_somebody(playing, 3))

    assert [len(plan.deferred) for plan in playing.asked] == [2, 1, 0, 0]
    assert playing.asked[3].cases == playing.asked[2].cases
    assert ended.result == "done"
    assert left_behind(playing.house.history(), playing.asked[-1]) == {}


def test_a_runbook_that_changes_between_two_portions_loses_none_of_what_was_put_off(
    open_house: OpenHouse, tmp_path: Path
) -> None:
    playing = one_at_a_time(open_house, tmp_path, OTHER, THIRD)
    with playing.running():
        first = make_plan.fn(Phase.CONTAIN)
        playing.answered(first, "approved")
        playing.carry_out(first)
        end_phase.fn(first)
        second = make_plan.fn(Phase.CONTAIN)
    playing.begin()
    runbook = playing.house.runbook
    playing.house.runbook = runbook.model_copy(
        update={"contain": runbook.contain.model_copy(update={"snapshots": False})}
    )

    ended = playing.phase(Phase.CONTAIN)

    again, last = playing.asked
    assert (again.previous, again.cases, again.deferred) == (second.digest, second.cases, second.deferred)
    assert {*first.cases, *again.cases, *last.cases} == set(playing.run.cases)
    assert ended.result == "done"
