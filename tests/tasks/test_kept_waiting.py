"""Approved, and kept waiting until the yes to it ended: asked about again, and nothing runs on the old yes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runbooks.errors import NotApproved
from runbooks.history import HALTED, Dated, fold
from runbooks.plan import Phase, Plan
from runbooks.records import Intent, PhaseEnded, ResponseEnded, Waiting
from runbooks.timestamps import moment
from runbooks.windows import ChangeWindow
from tasks.acting import carry_out_stage
from tasks.executor import Progress
from tasks.planning import make_plan
from tasks.rounds import kept_waiting, settled
from tests.runbooks.builders import a_contain_plan
from tests.runbooks.signatures import JANE, decided
from tests.tasks.aftermath import records_of
from tests.tasks.conftest import OpenHouse
from tests.tasks.contained import OTHER, THIRD, assert_isolated, furnished, somebody_else_begins
from tests.tasks.gateways.aws_world import an_event
from tests.tasks.playing import Playing, prefect_alone

ONE_AT_ONCE = {"limits": {"maximum_cases_at_once": 1}}
TOO_MUCH = "2 cases would be under way together, and maximum_cases_at_once is 1"
ENDED = ResponseEnded(result="person", reason="somebody else goes on")
AGAIN = "planned again: the approval of revision {} ended while the limits or its change window kept it waiting"


@pytest.fixture(scope="module", autouse=True)
def prefect() -> Iterator[None]:
    with prefect_alone():
        yield


@pytest.fixture
def playing(open_house: OpenHouse, tmp_path: Path) -> Playing:
    """An instance about to be contained, where one may be under way."""
    return Playing(furnished(open_house, ONE_AT_ONCE), tmp_path)


def approved(playing: Playing, phase: Phase = Phase.CONTAIN) -> Plan:
    with playing.running():
        assert settled(phase) is None
        plan = make_plan.fn(phase)
    playing.answered(plan, "approved")
    return plan


def look(playing: Playing, plan: Plan) -> Progress:
    """A run carries the plan out until it is held, and ends; then comes the next one."""
    with playing.running():
        stages = (carry_out_stage(plan, number, stage[0].kind) for number, stage in enumerate(plan.stages()))
        progress = next(progress for progress in stages if not progress.finished)
    assert progress.held is not None
    waits_for(playing, progress.held, progress.waiting or "")
    return progress


def waits_for(playing: Playing, phase: str, reason: str = "it waits") -> None:
    house = playing.house
    house.ledger.wait(house.response, phase, reason, house.now(), lease=playing.run.lease)
    playing.run = house.take_over()


def time_passes(playing: Playing, plan: Plan) -> None:
    """Until the yes to the plan has ended."""
    playing.house.sandbox.advance(60 * plan.approval.expires_minutes + 1)
    playing.house.ledger.renew(playing.run.lease, 30)


def lapse(playing: Playing, plan: Plan) -> Progress:
    """It is kept waiting until the yes to it has ended."""
    look(playing, plan)
    time_passes(playing, plan)
    return look(playing, plan)


def ends(playing: Playing) -> list[tuple[str | None, str]]:
    return [(each.digest, each.result) for each in records_of(playing.house) if isinstance(each, PhaseEnded)]


def test_what_waits_for_its_turn_says_until_when_its_yes_holds(playing: Playing):
    plan = approved(playing)
    until = playing.house.now() + timedelta(minutes=plan.approval.expires_minutes)
    somebody_else_begins(playing.house, plan)
    progress = look(playing, plan)
    assert (
        progress.waiting == f"{TOO_MUCH}; not begun by {moment(until)} it needs another yes, and is asked about again"
    )
    waiting = playing.house.history().waiting_since
    assert set(waiting) == {"limits"}


def test_what_the_limits_held_until_its_yes_ended_is_asked_about_again_and_runs_on_the_new_yes(playing: Playing):
    first = approved(playing)
    other = somebody_else_begins(playing.house, first)

    progress = lapse(playing, first)

    words = (
        f"the approval of plan {first.short_digest} expired before its first change, while the limits kept it waiting"
    )
    assert (progress.held, progress.waiting) == ("limits", f"{words}; it is asked about again")
    assert ends(playing) == [(first.digest, "expired")]
    assert playing.house.mutating_calls() == []
    assert not [record for record in records_of(playing.house) if isinstance(record, Intent)]

    playing.house.ledger.end_response(other, ENDED, {})
    ended = playing.phase(Phase.CONTAIN)

    (second,) = playing.asked
    assert (second.revision, second.previous, second.cases) == (2, first.digest, first.cases)
    assert second.reasons[0] == AGAIN.format(1)
    assert ended.result == "done"
    assert_isolated(playing.house, second)


def test_as_often_as_somebody_says_yes_it_is_asked_about_again_and_a_no_ends_it(playing: Playing):
    plan = approved(playing)
    somebody_else_begins(playing.house, plan)
    for revision in range(1, 5):
        assert plan.revision == revision
        lapse(playing, plan)
        plan = approved(playing) if revision < 4 else plan

    ended = playing.phase(Phase.CONTAIN, answer=lambda plan: "rejected")

    assert [plan.revision for plan in playing.asked] == [5]
    assert (ended.result, playing.house.mutating_calls()) == ("rejected", [])


def test_a_run_that_died_before_it_could_say_so_leaves_the_same(playing: Playing):
    plan = approved(playing)
    somebody_else_begins(playing.house, plan)
    look(playing, plan)
    time_passes(playing, plan)
    with playing.running():
        carry_out_stage(plan, 0, "the first stage")
    playing.begin()
    again = approved(playing)
    assert (again.revision, again.previous, again.cases) == (2, plan.digest, plan.cases)


@pytest.mark.parametrize("phase", [None, HALTED, "shared"])
def test_a_yes_that_ended_for_any_other_reason_goes_to_a_person_as_ever(playing: Playing, phase: str | None):
    plan = approved(playing)
    if phase is not None:
        waits_for(playing, phase)
    time_passes(playing, plan)
    with playing.running(), pytest.raises(NotApproved) as refused:
        carry_out_stage(plan, 0, "the first stage")
    assert refused.value.code == "expired"
    assert (ends(playing), playing.house.mutating_calls()) == ([], [])


def test_a_portion_that_lapsed_is_asked_about_again_with_what_was_put_off_while_the_others_went_on(
    open_house: OpenHouse, tmp_path: Path
):
    house = furnished(open_house, ONE_AT_ONCE)
    house.furnish(an_event(OTHER, 2))
    playing = Playing(house, tmp_path)
    before = approved(playing)
    other = somebody_else_begins(house, before, THIRD)
    lapse(playing, before)
    house.ledger.end_response(other, ENDED, {})

    ended = playing.phase(Phase.CONTAIN)

    first, second = playing.asked
    assert (first.cases, first.deferred, second.cases) == (before.cases, before.deferred, before.deferred)
    assert ended.result == "done"
    for plan in playing.asked:
        assert_isolated(house, plan)


def test_the_last_portion_lapsed_and_refused_takes_nothing_from_the_first(open_house: OpenHouse, tmp_path: Path):
    house = furnished(open_house, ONE_AT_ONCE)
    house.furnish(an_event(OTHER, 2))
    playing = Playing(house, tmp_path)
    with playing.running():
        first = make_plan.fn(Phase.CONTAIN)
        playing.answered(first, "approved")
        playing.carry_out(first)
    playing.run.journal.write(PhaseEnded(phase=Phase.CONTAIN, result="done", digest=first.digest))
    playing.begin()
    second = approved(playing)
    somebody_else_begins(house, second, THIRD)
    lapse(playing, second)
    outcomes = house.history().step_outcomes(second)
    assert {outcome.status for outcome in outcomes.values()} == {"already-done"}, "the group is there already"

    ended = playing.phase(Phase.CONTAIN, answer=lambda plan: "rejected")

    assert [plan.cases for plan in playing.asked] == [second.cases]
    assert ended.result == "partial"


def test_what_missed_its_change_window_is_asked_about_again_for_the_next(playing: Playing):
    assert playing.phase(Phase.CONTAIN).result == "done"
    house = playing.house
    house.sandbox.cloud.record.clear()
    opens = (house.now() + timedelta(hours=5)).hour
    window = ChangeWindow(start=f"{opens:02d}:00", end=f"{(opens + 1) % 24:02d}:00")
    house.runbook = house.runbook.model_copy(
        update={"remediate": house.runbook.remediate.model_copy(update={"windows": (window,)})}
    )
    plan = approved(playing, Phase.REMEDIATE)
    closes = house.now().replace(minute=0, second=0, microsecond=0) + timedelta(hours=6)
    progress = look(playing, plan)
    assert progress.held == "window"
    assert (progress.waiting or "").endswith(
        f" UTC; not begun by {moment(closes)} it needs another yes, and is asked about again"
    )
    house.sandbox.advance(7 * 3600)
    house.ledger.renew(playing.run.lease, 30)

    progress = look(playing, plan)

    assert (progress.held, ends(playing)[-1]) == ("window", (plan.digest, "expired"))
    assert "while its change window kept it waiting" in (progress.waiting or "")
    again = approved(playing, Phase.REMEDIATE)
    assert (again.previous, again.cases, again.windows) == (plan.digest, plan.cases, (window,))
    assert house.mutating_calls() == []


@pytest.mark.parametrize(("channel", "held"), [("prefect", "limits"), ("slack", "limits"), ("runbook", None)])
def test_what_nobody_was_asked_about_is_not_planned_again_for_it(channel: str, held: str | None):
    plan, noon = a_contain_plan(), datetime(2026, 3, 2, 12, tzinfo=UTC)
    decision = decided(plan, "approved", JANE, channel=channel)
    waiting = Waiting(phase="limits", reason="it is too much", look_again_at=noon)
    assert kept_waiting(fold([Dated(noon, decision), Dated(noon, waiting)]), plan) == held
    assert kept_waiting(fold([Dated(noon, waiting), Dated(noon, decision)]), plan) is None
