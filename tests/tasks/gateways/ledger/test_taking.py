"""Findings by the hundred: one commit, each once; the end of a finding ends its case only where nothing was done."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from runbooks.case import case_stream
from runbooks.errors import BadInput
from runbooks.records import CaseClosed, FindingSeen, ResponseEnded
from tasks.gateways.ledger import Ledger, Sighting, Taken
from tests.tasks.gateways.ledger.samples import (
    MORNING,
    RUNBOOK,
    Clock,
    a_finding,
    a_key,
    contents,
    kinds,
    open_case,
    triaged,
)

HOUR = timedelta(hours=1)
CASE = a_key().id


def sighting(number: int = 1, resource: str = "i-0a", source: str = "webhook", **changes: Any) -> Sighting:
    asked = source.startswith("command")
    finding = a_finding(number, resource=resource, **changes)
    return Sighting(a_key(resource), finding, source, f"delivery-{number}", asked=asked)


def take(ledger: Ledger, number: int = 1, **changes: Any) -> Taken:
    return ledger.take([sighting(number, **changes)])[0]


def waiting(ledger: Ledger) -> list[str]:
    return [each.case.id for each in ledger.unanswered()]


def answered(ledger: Ledger) -> str:
    """A response that has read the case and ended otherwise than fixed."""
    response = ledger.start_response(RUNBOOK, [CASE], "webhook").id
    triaged(ledger, response)
    ledger.end_response(response, ResponseEnded(result="rejected", reason="not now"), {})
    return response


# --- many at a time --------------------------------------------------------------------------------------------------


def test_many_are_taken_as_they_would_be_one_after_another(ledger: Ledger) -> None:
    batch = [
        sighting(1),
        sighting(2, "i-0b", severity="CRITICAL"),
        sighting(1),
        sighting(1, updated_at=MORNING + HOUR),
        sighting(1, updated_at=MORNING - HOUR),
        sighting(3),
    ]
    taken = ledger.take(batch)
    assert [(each.news, each.opened) for each in taken] == [
        (True, True),
        (True, True),
        (False, False),
        (True, False),
        (False, False),
        (True, False),
    ]
    assert {row.id: row.severity for row in ledger.cases()} == {CASE: "HIGH", a_key("i-0b").id: "CRITICAL"}
    assert [finding.updated_at for finding in ledger.case_findings(CASE)] == [MORNING + HOUR, MORNING]
    assert kinds(ledger, case_stream(CASE)) == ["case-opened", *["finding-seen"] * 3]


def test_one_that_cannot_be_recorded_keeps_the_whole_batch_out(ledger: Ledger) -> None:
    before = contents(ledger)
    with pytest.raises(BadInput):
        ledger.take([sighting(1), sighting(2, too_large=2**53)])
    assert contents(ledger) == before


def test_a_delivery_taken_twice_says_that_it_was(ledger: Ledger) -> None:
    take(ledger)
    assert (take(ledger).news, take(ledger).repeated) == (False, True)
    assert take(ledger, 1, source="sweep").repeated is True
    other = ledger.take([Sighting(a_key(), a_finding(), "webhook", "delivery-of-another-source")])[0]
    assert (other.news, other.repeated) == (False, False)


@pytest.mark.parametrize(("apart", "news"), [(0.999, False), (1, True)])
def test_two_sources_that_write_the_time_unequally_fine_are_one(ledger: Ledger, apart: float, news: bool) -> None:
    open_case(ledger)
    assert take(ledger, updated_at=MORNING + timedelta(seconds=apart)).news is news
    assert take(ledger, updated_at=MORNING + timedelta(seconds=apart), status="CLOSED").news is True


def test_the_tables_made_anew_say_the_same_of_what_waits(ledger: Ledger, clock: Clock) -> None:
    take(ledger)
    take(ledger, 4, resource="i-0b")
    answered(ledger)
    clock.pass_by(minutes=1)
    take(ledger, 2, updated_at=clock.now)
    take(ledger, 1, updated_at=clock.now)
    take(ledger, 4, resource="i-0b", status="CLOSED", updated_at=clock.now)
    take(ledger, 3, resource="i-0c", source="command:jdoe")
    before = contents(ledger)
    ledger.rebuild()
    assert contents(ledger) == before


# --- what waits ------------------------------------------------------------------------------------------------------


def test_a_case_waits_from_its_first_finding_and_is_quiet_since_its_last(ledger: Ledger, clock: Clock) -> None:
    take(ledger)
    clock.pass_by(seconds=5)
    take(ledger, 2)
    clock.pass_by(seconds=2)
    (waits,) = ledger.unanswered()
    assert (waits.case.id, waits.source) == (CASE, "webhook")
    assert (waits.waited.total_seconds(), waits.quiet.total_seconds()) == (7, 2)


def test_the_same_said_again_does_not_make_it_wait_longer(ledger: Ledger, clock: Clock) -> None:
    take(ledger)
    take(ledger, updated_at=clock.pass_by(seconds=5))
    (waits,) = ledger.unanswered()
    assert (waits.waited.total_seconds(), waits.quiet.total_seconds()) == (5, 5)
    take(ledger, updated_at=clock.pass_by(seconds=5), severity="CRITICAL")
    assert ledger.unanswered()[0].quiet.total_seconds() == 0


def test_what_a_triage_has_read_waits_no_longer_until_it_says_something_else(ledger: Ledger) -> None:
    take(ledger)
    answered(ledger)
    assert waiting(ledger) == []
    take(ledger, updated_at=MORNING + HOUR)
    assert waiting(ledger) == [], "an echo"
    take(ledger, updated_at=MORNING + 2 * HOUR, severity="CRITICAL")
    assert waiting(ledger) == [CASE]


def test_what_came_while_triage_read_is_for_the_next_response(ledger: Ledger) -> None:
    take(ledger)
    response = ledger.start_response(RUNBOOK, [CASE], "webhook").id
    through = ledger.findings_through([CASE])
    take(ledger, 2)
    triaged(ledger, response, through)
    assert ledger.end_response(response, ResponseEnded(result="fixed", reason="it is"), {CASE: "fixed"})
    assert (waiting(ledger), ledger.cases("open")[0].id) == ([CASE], CASE)


def test_what_closed_and_came_back_waits_again(ledger: Ledger) -> None:
    take(ledger)
    answered(ledger)
    take(ledger, updated_at=MORNING + HOUR, status="CLOSED")
    take(ledger, updated_at=MORNING + 2 * HOUR)
    assert waiting(ledger) == [CASE]


def test_what_never_came_to_triage_was_given_to_a_person_and_waits_for_nothing(ledger: Ledger) -> None:
    take(ledger)
    response = ledger.start_response(RUNBOOK, [CASE], "webhook").id
    ledger.end_response(response, ResponseEnded(result="failed", reason="no role"), {})
    assert waiting(ledger) == []
    take(ledger, 2)
    assert waiting(ledger) == [CASE]


def test_a_look_on_demand_answers_nothing(ledger: Ledger) -> None:
    take(ledger)
    response = ledger.start_response(RUNBOOK, [CASE], "webhook", purpose="verify").id
    triaged(ledger, response)
    ledger.end_response(response, ResponseEnded(result="unverifiable", reason="no scan"), {})
    assert waiting(ledger) == [CASE]


def test_a_person_may_ask_for_what_was_answered_and_has_to_ask_once(ledger: Ledger) -> None:
    take(ledger)
    answered(ledger)
    asked = [take(ledger, source="command:jdoe"), take(ledger, source="command:jdoe")]
    assert [each.news for each in asked] == [True, False]
    (waits,) = ledger.unanswered()
    assert (waits.case.id, waits.source) == (CASE, "command:jdoe")


def test_a_person_who_asks_for_what_waits_already_is_who_it_is_for(ledger: Ledger) -> None:
    take(ledger)
    take(ledger, 2)
    take(ledger, source="command:jdoe")
    assert [each.source for each in ledger.unanswered()] == ["command:jdoe"]


def test_an_old_copy_that_a_person_asks_with_does_not_take_the_place_of_the_newest(ledger: Ledger) -> None:
    take(ledger, updated_at=MORNING + HOUR, note="newest")
    answered(ledger)
    take(ledger, source="command:jdoe", note="old")
    (finding,) = ledger.case_findings(CASE)
    assert (finding.updated_at, finding.extra, waiting(ledger)) == (MORNING + HOUR, {"note": "newest"}, [CASE])


# --- the end of findings ---------------------------------------------------------------------------------------------


def ends(ledger: Ledger, *statuses: str, at: datetime = MORNING + HOUR) -> list[Taken]:
    """Findings 1, 2, ... of the case become that."""
    return [take(ledger, number, status=status, updated_at=at) for number, status in enumerate(statuses, start=1)]


@pytest.mark.parametrize(
    ("statuses", "reason"),
    [
        (
            ("CLOSED", "CLOSED"),
            "Inspector closed every finding before anything was done about it; whether it is fixed ",
        ),
        (("SUPPRESSED", "SUPPRESSED"), "suppressed: a suppression rule covers every finding before anything was done"),
        (("CLOSED", "SUPPRESSED"), "suppressed: Inspector closed some findings, and a suppression rule covers the oth"),
    ],
)
def test_a_case_whose_findings_are_all_over_before_a_response_is_closed_and_says_why(
    ledger: Ledger, statuses: tuple[str, str], reason: str
) -> None:
    ledger.take([sighting(1), sighting(2)])
    taken = ends(ledger, *statuses)
    assert [(each.closed, each.case is None) for each in taken] == [(False, False), (True, True)]
    (case,) = ledger.cases()
    record = ledger.entries(case_stream(case.id))[-1].record()
    assert isinstance(record, CaseClosed)
    assert (case.status, record.response, record.reason[: len(reason)]) == ("closed", "", reason)
    assert waiting(ledger) == []


def test_a_case_with_a_finding_that_is_still_active_stays_open(ledger: Ledger) -> None:
    ledger.take([sighting(1), sighting(2), sighting(3)])
    ends(ledger, "CLOSED", "SUPPRESSED")
    assert ([row.status for row in ledger.cases()], waiting(ledger)) == (["open"], [CASE])


def test_it_is_opened_again_with_its_history_when_one_is_active_again(ledger: Ledger, clock: Clock) -> None:
    take(ledger)
    ends(ledger, "SUPPRESSED")
    again = take(ledger, updated_at=MORNING + 2 * HOUR)
    assert (again.opened, again.reopened, waiting(ledger)) == (True, True, [CASE])
    assert kinds(ledger, case_stream(CASE)) == [
        "case-opened",
        "finding-seen",
        "finding-seen",
        "case-closed",
        "case-opened",
        "finding-seen",
    ]
    assert ends(ledger, "CLOSED", at=MORNING + 3 * HOUR)[0].closed is True


def test_a_case_under_a_response_is_left_to_its_verdict(ledger: Ledger) -> None:
    take(ledger)
    response = ledger.start_response(RUNBOOK, [CASE], "webhook").id
    assert ends(ledger, "CLOSED")[0].closed is False
    ledger.end_response(response, ResponseEnded(result="unverifiable", reason="no scan"), {})
    assert [row.status for row in ledger.cases()] == ["open"]


def test_a_case_that_a_response_has_acted_on_is_not_closed_by_inspectors_word(ledger: Ledger) -> None:
    take(ledger)
    answered(ledger)
    assert ends(ledger, "CLOSED")[0].closed is False
    assert [row.status for row in ledger.cases()] == ["open"]


def test_a_fixed_case_that_is_opened_again_is_closed_again_when_nothing_was_done_since(
    ledger: Ledger, clock: Clock
) -> None:
    take(ledger)
    response = ledger.start_response(RUNBOOK, [CASE], "webhook").id
    triaged(ledger, response)
    ledger.end_response(response, ResponseEnded(result="fixed", reason="all agree"), {CASE: "fixed"})
    clock.pass_by(days=1)
    assert take(ledger, updated_at=clock.now).reopened is True
    assert ends(ledger, "CLOSED", at=clock.now + HOUR)[0].closed is True


@pytest.mark.parametrize(("minutes", "opens"), [(-1, False), (1, True)])
def test_an_echo_of_before_the_case_was_closed_does_not_open_it_again(
    ledger: Ledger, clock: Clock, minutes: int, opens: bool
) -> None:
    take(ledger)
    response = ledger.start_response(RUNBOOK, [CASE], "webhook").id
    triaged(ledger, response)
    closed_at = clock.pass_by(hours=1)
    ledger.end_response(response, ResponseEnded(result="fixed", reason="all agree"), {CASE: "fixed"})
    clock.pass_by(hours=1)
    assert take(ledger, updated_at=closed_at + timedelta(minutes=minutes)).opened is opens


def test_a_sighting_says_which_delivery_brought_it(ledger: Ledger) -> None:
    take(ledger)
    (_, entry) = ledger.entries(case_stream(CASE))
    assert entry.record() == FindingSeen(finding=a_finding(), source="webhook", delivery="delivery-1")
