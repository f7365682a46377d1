"""A response over cases, its runs one after another, and what it waits for."""

from __future__ import annotations

from datetime import timedelta

import pytest

from runbooks.case import SYSTEM_STREAM, case_stream, response_stream
from runbooks.errors import LeaseLost, NotFound, Refused
from runbooks.records import CaseClosed, ResponseEnded, ResponseStarted, Restarted, RunStarted, Waiting
from tasks.gateways.ledger import Ledger, ResponseRow
from tests.tasks.gateways.ledger.samples import (
    MORNING,
    RUNBOOK,
    Clock,
    a_finding,
    a_key,
    contents,
    kinds,
    open_case,
    question,
    start,
    triaged,
)

FIXED = ResponseEnded(result="fixed", reason="all agree")


def row_of(ledger: Ledger, response: str) -> ResponseRow:
    row = ledger.response(response)
    assert row is not None
    return row


def a_running_response(ledger: Ledger, *resources: str) -> str:
    response = start(ledger, *resources)
    ledger.take_over(response, ledger.next_attempt(response), "run-1", resources, 60)
    return response


def test_a_response_takes_its_cases(ledger: Ledger) -> None:
    cases = (open_case(ledger, "i-0a"), open_case(ledger, "i-0b"))
    row = ledger.start_response(RUNBOOK, cases, "intake")
    assert row == ResponseRow(
        id=row.id,
        purpose="respond",
        runbook=RUNBOOK,
        cases=cases,
        status="new",
        attempt=0,
        flow_run=None,
        starting_at=None,
        waiting_for=None,
        look_again_at=None,
        result=None,
        started_at=MORNING,
        updated_at=MORNING,
    )
    assert row_of(ledger, row.id) == row
    assert [(case.response_id, case.last_response_id) for case in ledger.cases()] == [(row.id, row.id)] * 2
    started = ResponseStarted(response=row.id, runbook=RUNBOOK, cases=cases, started_by="intake")
    assert [entry.record() for entry in ledger.entries(response_stream(row.id))] == [started]


def test_started_again_it_is_the_same_response(ledger: Ledger) -> None:
    cases = [open_case(ledger, "i-0a"), open_case(ledger, "i-0b")]
    first = ledger.start_response(RUNBOOK, cases, "intake")
    before = contents(ledger)
    assert ledger.start_response(RUNBOOK, cases[::-1], "sweep") == first
    assert contents(ledger) == before


def test_a_case_in_a_live_response_is_left_alone(ledger: Ledger) -> None:
    first = start(ledger, "i-0a")
    free = open_case(ledger, "i-0b")
    second = ledger.start_response(RUNBOOK, [row_of(ledger, first).cases[0], free], "intake")
    assert (second.id != first, second.cases) == (True, (free,))
    assert {case.key.resource_id: case.response_id for case in ledger.cases()} == {"i-0a": first, "i-0b": second.id}


def test_a_case_joins_one_response_after_another(ledger: Ledger, clock: Clock) -> None:
    first = start(ledger, "i-0a")
    ledger.end_response(first, FIXED, {})
    again = ledger.start_response(RUNBOOK, row_of(ledger, first).cases, "intake")
    assert (again.id != first, again.status) == (True, "new")
    assert [row.id for row in ledger.responses("ended")] == [first]


def test_there_is_no_response_without_an_open_case(ledger: Ledger) -> None:
    case = open_case(ledger)
    ledger.close_case(case, "resp-1", "fixed")
    with pytest.raises(Refused, match=case):
        ledger.start_response(RUNBOOK, [case], "intake")
    with pytest.raises(Refused):
        ledger.start_response(RUNBOOK, [], "intake")
    with pytest.raises(NotFound):
        ledger.start_response(RUNBOOK, [case, "case-none"], "intake")


def test_a_look_on_demand_may_be_about_a_closed_case(ledger: Ledger) -> None:
    case = open_case(ledger)
    ledger.close_case(case, "resp-1", "fixed")
    row = ledger.start_response(RUNBOOK, [case], "ana", purpose="verify")
    assert (row.purpose, row.cases, row.status) == ("verify", (case,), "new")


def test_a_run_is_asked_for_then_begins(ledger: Ledger, clock: Clock) -> None:
    response = start(ledger)
    asked = clock.pass_by(seconds=1)
    assert ledger.next_attempt(response) == 1
    ledger.set_flow_run(response, 1, "run-1")
    row = row_of(ledger, response)
    assert (row.status, row.attempt, row.flow_run, row.starting_at) == ("starting", 1, "run-1", asked)
    assert [one.id for one in ledger.responses("starting")] == [response]
    lease = ledger.take_over(response, 1, "run-1", ["i-0a"], 60)
    row = row_of(ledger, response)
    assert (row.status, row.attempt, row.flow_run) == ("running", 1, "run-1")
    began = RunStarted(attempt=1, epoch=lease.epoch, flow_run="run-1")
    assert ledger.entries(response_stream(response))[-1].record() == began
    assert (ledger.responses("starting"), ledger.entries(SYSTEM_STREAM)) == ((), ())


def test_a_restart_is_written_down_with_its_reason(ledger: Ledger) -> None:
    response = a_running_response(ledger, "i-0a")
    assert ledger.next_attempt(response, "the lease ran out") == 2
    row = row_of(ledger, response)
    assert (row.status, row.attempt, row.flow_run) == ("starting", 2, None)
    restarted = Restarted(response=response, attempt=2, reason="the lease ran out")
    assert [entry.record() for entry in ledger.entries(SYSTEM_STREAM)] == [restarted]


def test_of_two_sweeps_one_starts_the_next_run(ledger: Ledger) -> None:
    response = start(ledger)
    assert ledger.next_attempt(response, after=0) == 1
    before = contents(ledger)
    with pytest.raises(LeaseLost):
        ledger.next_attempt(response, "stuck", after=0)
    assert contents(ledger) == before


def test_the_flow_run_of_an_attempt_that_was_replaced_is_not_noted(ledger: Ledger) -> None:
    response = start(ledger)
    ledger.next_attempt(response)
    ledger.next_attempt(response)
    ledger.set_flow_run(response, 1, "run-1")
    assert row_of(ledger, response).flow_run is None


@pytest.mark.parametrize("attempt", [0, 1, 3])
def test_only_the_current_attempt_may_take_over(ledger: Ledger, attempt: int) -> None:
    response = start(ledger)
    ledger.next_attempt(response)
    ledger.next_attempt(response)
    before = contents(ledger)
    with pytest.raises(LeaseLost) as lost:
        ledger.take_over(response, attempt, "run-1", ["i-0a"], 60)
    assert lost.value.code == "lease-lost"
    assert contents(ledger) == before


def test_a_waiting_response_is_looked_at_when_its_time_has_come(ledger: Ledger, clock: Clock) -> None:
    response = start(ledger)
    lease = ledger.take_over(response, ledger.next_attempt(response), "run-1", ["i-0a"], 60)
    soon = MORNING + timedelta(minutes=5)
    ledger.wait(response, "verify", "Inspector scans again", soon, lease=lease)
    row = row_of(ledger, response)
    assert (row.status, row.waiting_for, row.look_again_at) == ("waiting", "Inspector scans again", soon)
    waiting = Waiting(phase="verify", reason="Inspector scans again", look_again_at=soon)
    assert ledger.entries(response_stream(response))[-1].record() == waiting
    assert ledger.due(soon - timedelta(microseconds=1)) == ()
    assert ledger.due(soon) == (row,)
    assert ledger.next_attempt(response) == 2
    assert ledger.due(soon) == ()
    ledger.take_over(response, 2, "run-2", ["i-0a"], 60)
    row = row_of(ledger, response)
    assert (row.status, row.waiting_for, row.look_again_at) == ("running", None, None)


def test_an_ended_response_closes_the_fixed_cases_and_lets_the_others_go(ledger: Ledger) -> None:
    response = a_running_response(ledger, "i-0a", "i-0b")
    fixed, other = row_of(ledger, response).cases
    triaged(ledger, response)
    assert ledger.end_response(response, FIXED, {fixed: "fixed on evidence"}) is True
    row = row_of(ledger, response)
    assert (row.status, row.result) == ("ended", "fixed")
    assert {case.id: (case.status, case.response_id, case.last_response_id) for case in ledger.cases()} == {
        fixed: ("closed", None, response),
        other: ("open", None, response),
    }
    assert ledger.entries(case_stream(fixed))[-1].record() == CaseClosed(response=response, reason="fixed on evidence")
    assert ledger.entries(response_stream(response))[-1].record() == FIXED
    assert ledger.lapsed(MORNING + timedelta(days=1)) == ()


def test_a_case_with_a_finding_that_nobody_has_answered_stays_open_whatever_the_verdict(ledger: Ledger) -> None:
    response = a_running_response(ledger, "i-0a", "i-0b")
    fixed, late = row_of(ledger, response).cases
    triaged(ledger, response)
    ledger.take_finding(a_key("i-0b"), a_finding(2, resource="i-0b"), "webhook", None)
    assert ledger.end_response(response, FIXED, {fixed: "fixed", late: "fixed"}) is True
    assert {case.id: (case.status, case.response_id) for case in ledger.cases()} == {
        fixed: ("closed", None),
        late: ("open", None),
    }
    assert [each.case.id for each in ledger.unanswered()] == [late]
    assert ledger.unanswered_findings(late) == (a_finding(2).arn,)


def test_a_response_ends_once(ledger: Ledger) -> None:
    response = a_running_response(ledger, "i-0a")
    ledger.end_response(response, FIXED, {})
    before = contents(ledger)
    assert ledger.end_response(response, FIXED, {row_of(ledger, response).cases[0]: "fixed"}) is False
    for act in (
        lambda: ledger.next_attempt(response),
        lambda: ledger.take_over(response, 1, "run-1", [], 60),
        lambda: ledger.wait(response, "verify", "a scan", MORNING),
        lambda: ledger.ask(response, question()),
    ):
        with pytest.raises(Refused) as refused:
            act()
        assert refused.value.code == "response-ended"
    assert contents(ledger) == before


def test_a_finding_during_the_response_belongs_to_its_case(ledger: Ledger) -> None:
    response = a_running_response(ledger, "i-0a")
    taken = ledger.take_finding(a_key(), a_finding(2), "webhook", None)
    assert taken.case is not None
    assert (taken.case.response_id, taken.opened) == (response, False)


def test_a_run_that_was_replaced_no_longer_speaks_for_the_response(ledger: Ledger, clock: Clock) -> None:
    response = start(ledger)
    old = ledger.take_over(response, ledger.next_attempt(response), "run-1", ["i-0a"], 60)
    ledger.next_attempt(response, "crashed")
    clock.pass_by(minutes=1)
    new = ledger.take_over(response, 2, "run-2", ["i-0a"], 60)
    before = contents(ledger)
    for act in (
        lambda: ledger.wait(response, "verify", "a scan", MORNING, lease=old),
        lambda: ledger.ask(response, question(), lease=old),
        lambda: ledger.end_response(response, FIXED, {}, lease=old),
        lambda: ledger.append(response_stream(response), FIXED, lease=old),
    ):
        with pytest.raises(LeaseLost):
            act()
    assert contents(ledger) == before
    ledger.check(new)


def test_a_running_response_whose_lease_ran_out_or_is_gone_has_lapsed(ledger: Ledger, clock: Clock) -> None:
    response = start(ledger)
    lease = ledger.take_over(response, ledger.next_attempt(response), "run-1", ["i-0a"], 60)
    assert ledger.lapsed(MORNING + timedelta(seconds=59)) == ()
    assert ledger.lapsed(MORNING + timedelta(seconds=60)) == (response,)
    ledger.release(lease)
    assert ledger.lapsed(MORNING) == (response,)
    ledger.next_attempt(response)
    assert ledger.lapsed(MORNING) == ()


def test_what_is_not_there_is_not_found(ledger: Ledger) -> None:
    assert ledger.response("resp-none") is None
    for act in (
        lambda: ledger.next_attempt("resp-none"),
        lambda: ledger.take_over("resp-none", 1, "run-1", [], 60),
        lambda: ledger.end_response("resp-none", FIXED, {}),
    ):
        with pytest.raises(NotFound):
            act()
    assert kinds(ledger, response_stream("resp-none")) == []
