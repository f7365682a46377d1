"""A plan with change windows: approved at any time, begun only while one is open, and then brought to its end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from runbooks.case import response_stream
from runbooks.errors import NotApproved
from runbooks.history import Dated, fold
from runbooks.plan import Phase, Plan
from runbooks.records import ApprovalAsked, Intent, Outcome, RunStarted, Waiting
from runbooks.windows import ChangeWindow, usable_until
from tasks import patience
from tests.runbooks.signatures import answered, made
from tests.tasks.aftermath import of_kind, records_of
from tests.tasks.conftest import OpenHouse
from tests.tasks.contained import furnished
from tests.tasks.harness import House, Run


def opening_in(house: House, hours: int, lasting: int = 2) -> ChangeWindow:
    """A daily window that opens in so many hours, on the hour."""
    opens = (house.now() + timedelta(hours=hours)).hour
    return ChangeWindow(start=f"{opens:02d}:00", end=f"{(opens + lasting) % 24:02d}:00")


def to_patch(house: House, window: ChangeWindow) -> tuple[Run, Plan]:
    """A remediate plan with this window, asked about and approved now, as its tasks do it."""
    run = house.start()
    contain = run.plan(Phase.CONTAIN)
    run = run.approved(contain)
    run.carry_out(contain)
    house.sandbox.cloud.record.clear()
    house.runbook = house.runbook.model_copy(
        update={"remediate": house.runbook.remediate.model_copy(update={"windows": (window,)})}
    )
    plan = run.plan(Phase.REMEDIATE)
    assert plan.windows == (window,)
    return ask(run, plan), plan


def ask(run: Run, plan: Plan) -> Run:
    house, now = run.house, run.house.now()
    expires = now + timedelta(minutes=plan.approval.expires_minutes)
    asked = ApprovalAsked(
        digest=plan.digest,
        attempt=1,
        expires_at=expires,
        act_until=usable_until(plan.windows, expires),
        flow_run="run",
    )
    house.ledger.ask(house.response, asked, lease=run.lease)
    house.ledger.append(response_stream(house.response), *answered(plan, at=now))
    return house.take_over()


def later(house: House, span: timedelta) -> Run:
    """The run has ended and is started again then."""
    house.sandbox.advance(span.total_seconds())
    return house.take_over()


def test_before_it_opens_nothing_is_begun_and_it_says_until_when(open_house: OpenHouse):
    house = furnished(open_house)
    window = opening_in(house, 2)
    run, plan = to_patch(house, window)
    opens = house.now().replace(minute=0, second=0, microsecond=0) + timedelta(hours=2)
    before = [record for record in records_of(house) if isinstance(record, Intent | Outcome)]

    for stage in plan.stages():
        progress = run.once(plan, stage)
        assert (progress.held, progress.until) == ("window", opens)
        assert progress.waiting == f"its change window opens at {opens:%Y-%m-%d %H:%M:%S} UTC"

    assert house.mutating_calls() == []
    assert [record for record in records_of(house) if isinstance(record, Intent | Outcome)] == before
    assert plan.digest not in house.history().admitted, "it takes no room from others while it waits"


def test_when_it_opens_the_plan_runs_though_the_question_itself_expired_meanwhile(open_house: OpenHouse):
    house = furnished(open_house)
    run, plan = to_patch(house, opening_in(house, 6))
    run = later(house, timedelta(hours=6))
    assert timedelta(minutes=plan.approval.expires_minutes) < timedelta(hours=6)
    assert set(run.carry_out(plan).values()) == {"done"}


def test_what_has_begun_is_brought_to_its_end_after_the_window_closed(open_house: OpenHouse):
    house = furnished(open_house)
    run, plan = to_patch(house, opening_in(house, 2, lasting=1))
    run = later(house, timedelta(hours=2))
    first, *rest = plan.stages()
    run.stage(plan, first)
    run = later(house, timedelta(hours=3))
    for stage in rest:
        run.stage(plan, stage)
    assert {outcome.status for outcome in house.history().step_outcomes(plan).values()} == {"done"}


def test_an_approval_does_not_outlive_the_window_that_was_shown(open_house: OpenHouse):
    house = furnished(open_house)
    run, plan = to_patch(house, opening_in(house, 5, lasting=1))
    # A day later the same window is open again: that is another one.
    run = later(house, timedelta(hours=29))
    with pytest.raises(NotApproved) as refused:
        run.once(plan, next(plan.stages()))
    assert refused.value.code == "expired"
    assert house.mutating_calls() == []


def test_a_window_that_somebody_adds_to_the_question_does_not_prolong_it(open_house: OpenHouse):
    house = furnished(open_house)
    run, plan = to_patch(house, opening_in(house, 5, lasting=1))
    late = house.now() + timedelta(days=30)
    forged = ApprovalAsked(digest=plan.digest, attempt=1, expires_at=late, act_until=late, flow_run="run")
    house.ledger.append(response_stream(house.response), forged)
    run = later(house, timedelta(hours=29))
    with pytest.raises(NotApproved):
        run.once(plan, next(plan.stages()))


def test_an_open_window_is_no_reason_to_wait(open_house: OpenHouse):
    house = furnished(open_house)
    run, plan = to_patch(house, opening_in(house, 0))
    assert set(run.carry_out(plan).values()) == {"done"}


def test_containment_does_not_wait_for_a_window(open_house: OpenHouse):
    house = furnished(open_house)
    window = opening_in(house, 6)
    house.runbook = house.runbook.model_copy(
        update={"remediate": house.runbook.remediate.model_copy(update={"windows": (window,)})}
    )
    run = house.start()
    plan = run.plan(Phase.CONTAIN)
    assert plan.windows == ()
    run = run.approved(plan)
    assert of_kind(plan, "swap-security-groups")
    assert set(run.carry_out(plan).values()) == {"done"}


def test_waiting_for_a_window_is_neither_idle_nor_a_phases_delay():
    noon = datetime(2026, 3, 2, 12, tzinfo=UTC)
    story = [
        each
        for number in range(20)
        for each in (
            Dated(noon, RunStarted(attempt=number, epoch=number, flow_run="run")),
            Dated(noon, Waiting(phase="window", reason="r", look_again_at=noon)),
        )
    ]
    history = fold([*story, Dated(noon, RunStarted(attempt=21, epoch=21, flow_run="run"))])
    assert patience.idle_runs(history) == 1
    assert Phase.REMEDIATE not in history.waiting_since


def test_a_plan_whose_windows_were_changed_after_it_was_shown_does_not_run(open_house: OpenHouse):
    house = furnished(open_house)
    run, plan = to_patch(house, opening_in(house, 6))
    changed = plan.model_copy(update={"windows": ()})
    with pytest.raises(NotApproved):
        run.once(changed, next(changed.stages()))
    run.journal.write(made(changed))
    with pytest.raises(NotApproved):
        run.once(changed, next(changed.stages()))
    assert house.mutating_calls() == []
