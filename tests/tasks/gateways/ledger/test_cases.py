"""One open case for a resource and a runbook, and each piece of news written down once."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from runbooks.case import case_stream
from runbooks.records import CaseClosed, CaseOpened, FindingSeen, ResponseEnded
from tasks.gateways.ledger import CaseRow, Ledger, Taken
from tests.tasks.gateways.ledger.samples import (
    MORNING,
    RUNBOOK,
    Clock,
    a_finding,
    a_key,
    contents,
    kinds,
    open_case,
    start,
)

HOUR = timedelta(hours=1)


def test_the_first_finding_opens_the_case(ledger: Ledger, clock: Clock) -> None:
    taken = ledger.take_finding(a_key(), a_finding(severity="HIGH"), "webhook", "delivery-1")
    case = CaseRow(
        id=a_key().id,
        key=a_key(),
        status="open",
        severity="HIGH",
        response_id=None,
        last_response_id=None,
        opened_at=MORNING,
        updated_at=MORNING,
    )
    assert taken == Taken(case=case, news=True, opened=True, reopened=False)
    assert ledger.case(case.id) == case
    assert [entry.record() for entry in ledger.entries(case_stream(case.id))] == [
        CaseOpened(key=a_key()),
        FindingSeen(finding=a_finding(severity="HIGH"), source="webhook", delivery="delivery-1"),
    ]


def test_a_second_finding_joins_the_open_case(ledger: Ledger, clock: Clock) -> None:
    case = open_case(ledger)
    later = clock.pass_by(minutes=5)
    taken = ledger.take_finding(a_key(), a_finding(2, severity="CRITICAL"), "webhook", None)
    assert taken.case is not None
    assert (taken.case.id, taken.case.severity, taken.case.updated_at) == (case, "CRITICAL", later)
    assert (taken.news, taken.opened) == (True, False)
    assert ledger.case_findings(case) == (a_finding(), a_finding(2, severity="CRITICAL"))


def test_the_same_finding_on_another_resource_account_or_runbook_is_another_case(ledger: Ledger) -> None:
    keys = (
        a_key("i-0a"),
        a_key("i-0b"),
        a_key(runbook="other"),
        a_key().model_copy(update={"account": "444455556666"}),
        a_key().model_copy(update={"region": "eu-west-2"}),
    )
    taken = [ledger.take_finding(key, a_finding(), "webhook", None) for key in keys]
    assert [one.opened for one in taken] == [True] * 5
    assert len(ledger.cases("open")) == 5


@pytest.mark.parametrize("age", [0, 1])
def test_what_was_seen_already_or_is_older_is_no_news(ledger: Ledger, age: int) -> None:
    open_case(ledger, updated_at=MORNING)
    before = contents(ledger)
    taken = ledger.take_finding(a_key(), a_finding(severity="CRITICAL", updated_at=MORNING - age * HOUR), "sweep", None)
    assert (taken.news, taken.opened, taken.case) == (False, False, ledger.case(a_key().id))
    assert contents(ledger) == before


def test_an_older_status_never_comes_back_over_a_newer_one(ledger: Ledger) -> None:
    case = open_case(ledger, updated_at=MORNING)
    ledger.take_finding(a_key(), a_finding(status="SUPPRESSED", updated_at=MORNING + 2 * HOUR), "webhook", None)
    late = ledger.take_finding(a_key(), a_finding(status="ACTIVE", updated_at=MORNING + HOUR), "webhook", None)
    assert late.news is False
    assert [finding.status for finding in ledger.case_findings(case)] == ["SUPPRESSED"]


def test_another_status_at_the_same_time_is_news(ledger: Ledger) -> None:
    case = open_case(ledger)
    assert ledger.take_finding(a_key(), a_finding(status="CLOSED"), "webhook", None).news is True
    assert [finding.status for finding in ledger.case_findings(case)] == ["CLOSED"]


def test_a_case_shows_the_newest_sighting_of_each_finding(ledger: Ledger) -> None:
    case = open_case(ledger)
    ledger.take_finding(a_key(), a_finding(2), "webhook", None)
    newer = a_finding(1, updated_at=MORNING + HOUR, note="grown")
    ledger.take_finding(a_key(), newer, "webhook", None)
    assert ledger.case_findings(case) == (a_finding(2), newer)
    assert ledger.case_findings("case-none") == ()


def test_a_closed_finding_opens_no_case(ledger: Ledger) -> None:
    taken = ledger.take_finding(a_key(), a_finding(status="CLOSED", updated_at=MORNING + HOUR), "webhook", None)
    assert taken == Taken(case=None, news=True)
    assert ledger.cases() == ()


@pytest.mark.parametrize("status", ["CLOSED", "SUPPRESSED"])
def test_what_was_over_before_its_late_first_delivery_opens_no_case(ledger: Ledger, status: str) -> None:
    ledger.take_finding(a_key(), a_finding(status=status, updated_at=MORNING + HOUR), "webhook", None)
    late = ledger.take_finding(a_key(), a_finding(), "webhook", None)
    assert (late, ledger.cases()) == (Taken(case=None, news=False), ())
    again = ledger.take_finding(a_key(), a_finding(updated_at=MORNING + 2 * HOUR), "webhook", None)
    assert (again.opened, again.reopened) == (True, False)


def test_a_closed_case_is_opened_again_by_news_and_its_history_goes_on(ledger: Ledger, clock: Clock) -> None:
    case = open_case(ledger, severity="CRITICAL")
    assert ledger.close_case(case, "resp-1", "fixed") is True
    later = clock.pass_by(days=1)
    taken = ledger.take_finding(a_key(), a_finding(updated_at=later, severity="LOW"), "webhook", None)
    assert (taken.news, taken.opened, taken.reopened) == (True, True, True)
    assert taken.case == ledger.case(case)
    assert taken.case is not None
    assert (taken.case.status, taken.case.opened_at, taken.case.severity) == ("open", later, "LOW")
    assert kinds(ledger, case_stream(case)) == [
        "case-opened",
        "finding-seen",
        "case-closed",
        "case-opened",
        "finding-seen",
    ]
    assert ledger.entries(case_stream(case))[3].record() == CaseOpened(key=a_key(), reopened=True)


def test_a_late_repetition_does_not_open_a_closed_case(ledger: Ledger) -> None:
    case = open_case(ledger)
    ledger.close_case(case, "resp-1", "fixed")
    before = contents(ledger)
    assert ledger.take_finding(a_key(), a_finding(), "webhook", None) == Taken(case=None, news=False)
    assert contents(ledger) == before


def test_a_closed_case_hears_that_its_finding_closed_so_that_a_late_event_cannot_open_it(ledger: Ledger) -> None:
    case = open_case(ledger)
    ledger.close_case(case, "resp-1", "fixed")
    closed = a_finding(status="CLOSED", updated_at=MORNING + 2 * HOUR)
    assert ledger.take_finding(a_key(), closed, "webhook", None) == Taken(case=None, news=True)
    late = a_finding(status="ACTIVE", updated_at=MORNING + HOUR)
    assert ledger.take_finding(a_key(), late, "webhook", None) == Taken(case=None, news=False)


def test_a_person_may_open_a_closed_case_again_without_news(ledger: Ledger) -> None:
    case = open_case(ledger)
    ledger.close_case(case, "resp-1", "rejected")
    taken = ledger.take_finding(a_key(), a_finding(), "command", None, reopen=True)
    assert (taken.case is not None, taken.opened, taken.reopened) == (True, True, True)
    assert kinds(ledger, case_stream(case))[-2:] == ["case-opened", "finding-seen"]


def test_a_case_is_closed_once_with_its_reason(ledger: Ledger) -> None:
    case = open_case(ledger)
    assert [ledger.close_case(case, "resp-1", "fixed"), ledger.close_case(case, "resp-1", "again")] == [True, False]
    assert ledger.close_case("case-none", "resp-1", "fixed") is False
    assert ledger.entries(case_stream(case))[-1].record() == CaseClosed(response="resp-1", reason="fixed")
    assert (ledger.cases("open"), [row.id for row in ledger.cases("closed")]) == ((), [case])


def test_a_case_is_found_by_what_a_person_has_of_it(ledger: Ledger) -> None:
    case = open_case(ledger, "i-0a")
    open_case(ledger, "i-0b")
    for text in (case, case[:9], case.removeprefix("case-")[:4], "i-0a"):
        assert [row.id for row in ledger.find_cases(text)] == [case]
    assert [ledger.find_cases(text) for text in ("", "%", "i-0", "_")] == [()] * 4
    assert len(ledger.find_cases("case-")) == 2


def test_a_score_nobody_gave_is_below_every_other(ledger: Ledger) -> None:
    case = open_case(ledger, severity="UNTRIAGED")
    assert ledger.cases()[0].severity == "UNTRIAGED"
    ledger.take_finding(a_key(), a_finding(2, severity="INFORMATIONAL"), "webhook", None)
    ledger.take_finding(a_key(), a_finding(3, severity="SOMETHING NEW"), "webhook", None)
    row = ledger.case(case)
    assert row is not None
    assert row.severity == "INFORMATIONAL"


def test_many_findings_at_once_open_one_case(ledger: Ledger) -> None:
    taken: list[Taken] = []

    def take(number: int) -> None:
        taken.append(ledger.take_finding(a_key(), a_finding(number % 3), "webhook", None))

    threads = [threading.Thread(target=take, args=(number,)) for number in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.opened for one in taken) == [False] * 8 + [True]
    assert sorted(one.news for one in taken) == [False] * 6 + [True] * 3
    assert kinds(ledger, case_stream(a_key().id)) == ["case-opened"] + ["finding-seen"] * 3


def test_where_cases_are_open_and_nobody_acts_on_them_any_more(ledger: Ledger, clock: Clock) -> None:
    first = clock.now
    response = start(ledger, "i-0a")
    open_case(ledger, "i-0b")
    assert ledger.idle_since() == {}, "one is acted upon, and the other was never"
    clock.pass_by(hours=1)
    ledger.end_response(response, ResponseEnded(result="rejected", reason="not now"), {})
    other = start(ledger, "i-0c")
    ledger.end_response(other, ResponseEnded(result="rejected", reason="not now"), {})
    assert ledger.idle_since() == {("111122223333", "eu-west-1"): first}
    ledger.close_case(a_key("i-0a").id, response, "fixed")
    assert ledger.idle_since() == {("111122223333", "eu-west-1"): clock.now}


def test_where_a_response_has_begun_lately(ledger: Ledger, clock: Clock) -> None:
    response = start(ledger)
    place = ("111122223333", "eu-west-1")
    assert ledger.begun_within(RUNBOOK, HOUR) == frozenset(), "others may join it"
    ledger.take_over(response, ledger.next_attempt(response), "run", (), 30)
    assert ledger.begun_within(RUNBOOK, HOUR) == {place}
    assert ledger.begun_within("another", HOUR) == frozenset()
    clock.pass_by(hours=1)
    assert ledger.begun_within(RUNBOOK, HOUR) == frozenset()
