"""Contained without asking: so many cases an hour, let in and counted in one, and a person is asked beyond that."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from runbooks.case import response_stream
from runbooks.errors import NotApproved
from runbooks.plan import ApprovalRule, Phase, Plan
from runbooks.records import Admitted, ApprovalAsked, Decision, ResponseEnded
from tasks import run as runs
from tasks.answering import settle
from tasks.pre_authorising import goes_unasked
from tests.runbooks.signatures import decided, made
from tests.tasks.aftermath import records_of
from tests.tasks.conftest import OpenHouse
from tests.tasks.contained import OTHER, furnished
from tests.tasks.gateways.aws_world import INSTANCE, an_event
from tests.tasks.halts import product_run, services
from tests.tasks.harness import House, Run

AN_HOUR = 3600
ENDED = ResponseEnded(result="person", reason="somebody else goes on")
REASON = "the runbook has authorised it beforehand"


def authorising(maximum: int = 1) -> dict[str, Any]:
    choice = {
        "when": [["known-exploit", "exposed"], ["compromise-suspected"]],
        "tags": {"containment": "automatic"},
        "maximum_per_hour": maximum,
    }
    return {"contain": {"pre_authorised": choice}}


def suspected(house: House, *instances: str) -> None:
    tags = {"containment": "automatic", "remediation:compromise-suspected": "guardduty"}
    marks = [{"Key": key, "Value": value} for key, value in tags.items()]
    house.client("ec2").create_tags(Resources=list(instances), Tags=marks)


def to_contain(open_house: OpenHouse, **choices: Any) -> tuple[Run, Plan]:
    house = furnished(open_house, authorising(**choices))
    suspected(house, INSTANCE)
    run = house.start()
    plan = run.plan(Phase.CONTAIN)
    assert plan.approval.pre_authorised
    return run, plan


@contextmanager
def running(run: Run) -> Iterator[None]:
    have = services(run.house.ledger)
    vars(have)["now"] = run.house.now
    current = product_run(have, run)
    vars(current)["runbook"] = run.house.runbook
    token = runs._current.set(current)
    try:
        yield
    finally:
        runs._current.reset(token)


def unasked(run: Run, plan: Plan) -> bool:
    with running(run):
        return goes_unasked(plan)


def decide(run: Run, plan: Plan) -> None:
    decision = Decision(
        digest=plan.digest, attempt=1, answer="approved", approver=None, channel="runbook", reason=REASON
    )
    assert settle(services(run.house.ledger), run.house.response, decision)


def another(run: Run) -> tuple[Run, Plan]:
    """The next response, about another instance, which would go unasked as well."""
    house = run.house
    house.ledger.end_response(house.response, ENDED, {}, lease=run.lease)
    house.furnish(an_event(OTHER, 2))
    suspected(house, OTHER)
    (case,) = (case.id for case in house.ledger.cases("open") if case.key.resource_id == OTHER)
    house.response = house.ledger.start_response(house.runbook.name, [case], "webhook").id
    after = house.take_over()
    plan = after.plan(Phase.CONTAIN)
    assert plan.approval.pre_authorised
    return after, plan


def test_it_is_let_in_counted_and_carried_out_without_anybodys_yes(open_house: OpenHouse):
    run, plan = to_contain(open_house)
    assert unasked(run, plan)
    (admitted,) = (record for record in records_of(run.house) if isinstance(record, Admitted))
    assert (admitted.digest, admitted.pre_authorised) == (plan.digest, True)
    decide(run, plan)
    assert set(run.carry_out(plan).values()) == {"done"}
    (row,) = run.house.ledger.approvals(run.house.response)
    assert (row.answer, row.channel, row.approver, row.reason) == ("approved", "runbook", None, REASON)


def test_a_run_that_starts_over_does_not_use_it_up_twice(open_house: OpenHouse):
    run, plan = to_contain(open_house)
    assert unasked(run, plan)
    assert unasked(run, plan)
    assert len([record for record in records_of(run.house) if isinstance(record, Admitted)]) == 1


def test_beyond_the_runbooks_number_a_person_is_asked_and_an_hour_later_nobody(open_house: OpenHouse):
    run, plan = to_contain(open_house)
    assert unasked(run, plan)
    run, plan = another(run)
    assert not unasked(run, plan)
    assert not [record for record in records_of(run.house) if isinstance(record, Admitted)]
    run.house.sandbox.advance(AN_HOUR + 1)
    run.house.ledger.renew(run.lease, 30)
    assert unasked(run, plan)


def test_the_number_counts_cases_and_not_plans(open_house: OpenHouse):
    house = furnished(open_house, authorising(1))
    house.furnish(an_event(OTHER, 2))
    suspected(house, INSTANCE, OTHER)
    run = house.start()
    plan = run.plan(Phase.CONTAIN)
    assert len(plan.cases) == 2
    assert plan.approval.pre_authorised
    assert not unasked(run, plan)


def test_what_people_approved_does_not_use_it_up(open_house: OpenHouse):
    run, plan = to_contain(open_house)
    asked = Admitted(digest="0" * 64, phase=Phase.CONTAIN, extents=plan.extents)
    assert run.journal.admit(asked, lambda under_way, last_hour: None) is None
    assert unasked(run, plan)


def test_once_a_person_was_asked_a_person_decides(open_house: OpenHouse):
    run, plan = to_contain(open_house)
    later = run.house.now().replace(year=run.house.now().year + 1)
    run.journal.write(ApprovalAsked(digest=plan.digest, attempt=1, expires_at=later, flow_run="run"))
    assert not unasked(run, plan)


def test_where_the_limits_leave_no_room_a_person_is_asked(open_house: OpenHouse):
    run, plan = to_contain(open_house, maximum=9)
    assert unasked(run, plan)
    limits = run.house.runbook.limits.model_copy(update={"maximum_cases_per_hour": 1})
    run.house.runbook = run.house.runbook.model_copy(update={"limits": limits})
    run, plan = another(run)
    assert not unasked(run, plan)


@pytest.mark.parametrize(
    "changes",
    [
        {"approval": ApprovalRule()},
        {"phase": Phase.REMEDIATE},
        {"phase": Phase.RELEASE},
        {"approval": ApprovalRule(required=False)},
    ],
)
def test_nothing_else_goes_unasked(open_house: OpenHouse, changes: dict[str, Any]):
    run, plan = to_contain(open_house)
    assert not unasked(run, plan.model_copy(update=changes))
    assert not [record for record in records_of(run.house) if isinstance(record, Admitted)]


def test_a_runbook_that_no_longer_says_so_has_somebody_asked(open_house: OpenHouse):
    run, plan = to_contain(open_house)
    contain = run.house.runbook.contain.model_copy(update={"pre_authorised": None})
    run.house.runbook = run.house.runbook.model_copy(update={"contain": contain})
    assert not unasked(run, plan)


# --- what the executor makes of it -----------------------------------------------------------------------------------


def is_refused(run: Run, plan: Plan) -> str:
    with pytest.raises(NotApproved) as refused:
        run.once(plan, next(plan.stages()))
    assert run.house.mutating_calls() == []
    return refused.value.code


def test_a_plan_that_does_not_say_so_is_not_carried_out_on_the_runbooks_word(open_house: OpenHouse):
    house = furnished(open_house)
    run = house.start()
    plan = run.plan(Phase.CONTAIN)
    decide(run, plan)
    assert is_refused(run, plan) == "not-approved"


def test_a_remediation_is_not_carried_out_on_the_runbooks_word(open_house: OpenHouse):
    run, contain = to_contain(open_house)
    plan = run.plan(Phase.REMEDIATE).model_copy(update={"approval": contain.approval, "revision": 2})
    run.journal.write(made(plan))
    decide(run, plan)
    assert is_refused(run, plan) == "not-approved"


def test_an_unsigned_word_of_the_runbook_is_none(open_house: OpenHouse):
    run, plan = to_contain(open_house)
    forged = decided(plan, channel="runbook").model_copy(update={"signature": ""})
    run.house.ledger.append(response_stream(run.house.response), forged)
    assert is_refused(run, plan) == "forged"


def test_the_runbooks_word_does_not_hold_for_ever(open_house: OpenHouse):
    run, plan = to_contain(open_house)
    assert unasked(run, plan)
    decide(run, plan)
    run.house.sandbox.advance(plan.approval.expires_minutes * 60 + 1)
    run = run.house.take_over()
    assert is_refused(run, plan) == "expired"
