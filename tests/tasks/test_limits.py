"""The limits at acting time: what would be too much at once waits for its turn, and nothing of it is begun."""

from __future__ import annotations

from typing import Any

import pytest

from runbooks.errors import NotApproved
from runbooks.limits import extents_of
from runbooks.plan import Phase, Plan
from runbooks.records import Admitted, Intent, ResponseEnded
from tests.runbooks.builders import NO_LIMITS
from tests.runbooks.signatures import made
from tests.tasks.aftermath import described, records_of, statuses_of
from tests.tasks.conftest import OpenHouse
from tests.tasks.contained import OTHER, furnished, somebody_else_begins, to_contain
from tests.tasks.gateways.aws_world import an_event
from tests.tasks.halts import as_far_as_it_goes, services, stage_as_far_as_it_goes, woken
from tests.tasks.harness import House

ONE_AT_ONCE = {"limits": {"maximum_cases_at_once": 1}}
ENDED = ResponseEnded(result="person", reason="somebody else goes on")


def admissions(house: House) -> list[Admitted]:
    return [record for record in records_of(house) if isinstance(record, Admitted)]


def test_a_plan_that_is_too_much_now_waits_begins_nothing_and_goes_on_when_the_other_has_ended(open_house: OpenHouse):
    house = furnished(open_house, ONE_AT_ONCE)
    have = services(house.ledger)
    run, plan = to_contain(house)
    other = somebody_else_begins(house, plan)

    progress = as_far_as_it_goes(have, run, plan)

    assert progress is not None
    assert (progress.held, progress.waiting) == (
        "limits",
        "2 cases would be under way together, and maximum_cases_at_once is 1",
    )
    assert house.mutating_calls() == []
    assert not [record for record in records_of(house) if isinstance(record, Intent | Admitted)]

    house.ledger.end_response(other, ENDED, {})
    assert as_far_as_it_goes(have, woken(run, progress), plan) is None
    assert set(statuses_of(house, plan).values()) == {"done"}


def test_what_was_let_in_is_written_before_the_first_change_and_once(open_house: OpenHouse):
    house = furnished(open_house, ONE_AT_ONCE)
    have = services(house.ledger)
    run, plan = to_contain(house)
    assert as_far_as_it_goes(have, run, plan) is None
    written = Admitted(digest=plan.digest, phase=Phase.CONTAIN, extents=plan.extents)
    assert admissions(house) == [written]
    records = records_of(house)
    first = next(number for number, record in enumerate(records) if isinstance(record, Intent))
    assert records.index(written) < first
    assert [row.extent.case for row in house.ledger.under_way()] == list(plan.cases)


def test_a_plan_that_was_let_in_goes_on_though_there_would_be_no_room_for_it_any_more(open_house: OpenHouse):
    house = furnished(open_house, ONE_AT_ONCE)
    have = services(house.ledger)
    run, plan = to_contain(house)
    assert stage_as_far_as_it_goes(have, run, plan, next(plan.stages())).finished
    somebody_else_begins(house, plan)
    assert as_far_as_it_goes(have, run, plan) is None
    assert set(statuses_of(house, plan).values()) == {"done"}


def test_putting_back_is_never_too_much(open_house: OpenHouse):
    house = furnished(open_house, ONE_AT_ONCE)
    have = services(house.ledger)
    before = described(house)
    run, plan = to_contain(house)
    assert as_far_as_it_goes(have, run, plan) is None
    somebody_else_begins(house, plan)
    release = run.plan(Phase.RELEASE)
    assert as_far_as_it_goes(have, run.approved(release), release) is None
    assert described(house) == before
    assert len(admissions(house)) == 1


def test_a_plan_for_which_there_was_no_room_in_time_needs_another_yes(open_house: OpenHouse):
    house = furnished(open_house, ONE_AT_ONCE)
    have = services(house.ledger)
    run, plan = to_contain(house)
    somebody_else_begins(house, plan)
    progress = as_far_as_it_goes(have, run, plan)
    assert progress is not None
    house.sandbox.advance(60 * plan.approval.expires_minutes + 1)
    with pytest.raises(NotApproved) as refused:
        as_far_as_it_goes(have, woken(run, progress), plan)
    assert refused.value.code == "expired"
    assert house.mutating_calls() == []


@pytest.mark.parametrize(("number", "held"), [(1, None), (2, "limits")])
def test_a_plan_that_says_nothing_of_its_extent_is_let_in_with_one_case_only(
    open_house: OpenHouse, number: int, held: str | None
):
    """As a plan of an earlier version says nothing."""
    house = furnished(open_house, {"limits": NO_LIMITS | {"maximum_share_of_environment": 99}})
    if number == 2:
        house.furnish(an_event(OTHER, 2))
    have = services(house.ledger)
    run, plan = silent(house)
    progress = as_far_as_it_goes(have, run, plan)
    assert (progress.held if progress else None) == held
    assert bool(house.mutating_calls()) == (held is None)
    assert [each.extents for each in admissions(house)] == ([] if held else [extents_of(plan)])


def silent(house: House) -> tuple[Any, Plan]:
    """An approved plan without extents."""
    limits = house.runbook.limits
    house.runbook = house.runbook.model_copy(update={"limits": limits.model_copy(update=NO_LIMITS)})
    run = house.start()
    plan = run.plan(Phase.CONTAIN).model_copy(update={"extents": (), "revision": 2})
    house.runbook = house.runbook.model_copy(update={"limits": limits})
    run.journal.write(made(plan))
    return run.approved(plan), plan
