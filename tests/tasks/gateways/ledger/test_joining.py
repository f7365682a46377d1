"""Cases that are alike share a response for as long as no run of it has begun, and every one of them is in one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import text

from runbooks.case import response_stream
from runbooks.errors import Overtaken
from runbooks.records import CasesJoined, ResponseEnded, ResponseStarted
from runbooks.signing import Signer
from tasks.gateways.ledger import Ledger
from tests.tasks.gateways.ledger.samples import RUNBOOK, contents, open_case, triaged

ALIKE, OTHER = "a" * 16, "b" * 16


def opened_on(ledger: Ledger, *resources: str) -> list[str]:
    return [open_case(ledger, resource) for resource in resources]


def group(ledger: Ledger, cases: list[str], grouping: str = ALIKE, *, most: int = 50) -> tuple[str, ...]:
    return ledger.group_cases(RUNBOOK, grouping, cases, "webhook", most)


def records(ledger: Ledger, response: str) -> list[object]:
    return [entry.record() for entry in ledger.entries(response_stream(response))]


def cases_of(ledger: Ledger, response: str) -> tuple[str, ...]:
    row = ledger.response(response)
    assert row is not None
    assert [case.response_id for case in ledger.cases_of(row.cases)] == [response] * len(row.cases)
    return row.cases


def test_cases_that_are_alike_begin_as_one_response(ledger: Ledger) -> None:
    cases = opened_on(ledger, "i-0a", "i-0b")
    (response,) = group(ledger, cases)
    assert cases_of(ledger, response) == tuple(cases)
    started = ResponseStarted(
        response=response, runbook=RUNBOOK, cases=tuple(cases), started_by="webhook", grouping=ALIKE
    )
    assert records(ledger, response) == [started]


@pytest.mark.parametrize("asked_for", [False, True])
def test_another_like_them_joins_until_a_run_has_begun(ledger: Ledger, asked_for: bool) -> None:
    first, second, third = opened_on(ledger, "i-0a", "i-0b", "i-0c")
    (response,) = group(ledger, [first])
    if asked_for:
        ledger.next_attempt(response)
    assert group(ledger, [second]) == (response,)
    assert cases_of(ledger, response) == (first, second)
    assert records(ledger, response)[1:] == [CasesJoined(response=response, cases=(second,), joined_by="webhook")]

    attempt = 1 if asked_for else ledger.next_attempt(response)
    ledger.take_over(response, attempt, "run-1", [], 60)
    (other,) = group(ledger, [third])
    assert (other != response, cases_of(ledger, response), cases_of(ledger, other)) == (True, (first, second), (third,))


def test_what_is_not_alike_or_of_another_runbook_or_purpose_joins_nothing(ledger: Ledger) -> None:
    cases = opened_on(ledger, "i-0a", "i-0b", "i-0c", "i-0d")
    started = ledger.start_response(RUNBOOK, cases[:1], "webhook").id
    (response,) = group(ledger, cases[1:2])
    (other,) = group(ledger, cases[2:3], OTHER)
    (foreign,) = ledger.group_cases("another-runbook", ALIKE, cases[3:], "webhook", 50)
    assert len({started, response, other, foreign}) == 4


def test_no_response_has_more_than_it_may(ledger: Ledger) -> None:
    cases = opened_on(ledger, *(f"i-{number:02}" for number in range(7)))
    (first,) = group(ledger, cases[:1], most=3)
    given = group(ledger, cases[1:], most=3)
    assert (given[0], [len(cases_of(ledger, each)) for each in given]) == (first, [3, 3, 1])
    assert sorted(case for row in ledger.responses() for case in row.cases) == sorted(cases)


def test_what_is_acted_upon_or_closed_by_now_is_left_alone(ledger: Ledger) -> None:
    busy, closed, free = opened_on(ledger, "i-0a", "i-0b", "i-0c")
    acting = ledger.start_response(RUNBOOK, [busy], "webhook").id
    ledger.close_case(closed, "resp-1", "fixed")
    (response,) = group(ledger, [busy, closed, free, "case-none"])
    assert (cases_of(ledger, response), cases_of(ledger, acting)) == ((free,), (busy,))
    before = contents(ledger)
    assert group(ledger, [busy, closed, free]) == ()
    assert contents(ledger) == before


def test_a_run_that_read_the_response_before_another_joined_does_not_begin(ledger: Ledger) -> None:
    first, second = opened_on(ledger, "i-0a", "i-0b")
    (response,) = group(ledger, [first])
    attempt, read = ledger.next_attempt(response), cases_of(ledger, response)
    group(ledger, [second])
    before = contents(ledger)
    with pytest.raises(Overtaken):
        ledger.take_over(response, attempt, "run-1", ["i-0a"], 60, cases=read)
    assert contents(ledger) == before
    ledger.take_over(response, attempt, "run-1", ["i-0a", "i-0b"], 60, cases=cases_of(ledger, response))


def test_joining_is_signed_and_the_tables_made_anew_have_it(url: str) -> None:
    signer = Signer(bytes(32))
    ledger = Ledger.open(url, sign=signer.signed)
    first, second = opened_on(ledger, "i-0a", "i-0b")
    (response,) = group(ledger, [first])
    group(ledger, [second])
    stream = response_stream(response)
    assert all(signer.verifies(stream, record) for record in records(ledger, response))  # type: ignore[arg-type]
    before = contents(ledger)
    with ledger._database.writing() as connection:
        connection.execute(text("UPDATE responses SET cases = '[]', grouping = ''"))
        connection.execute(text("UPDATE cases SET response_id = NULL"))
    ledger.rebuild()
    assert contents(ledger) == before
    ledger.close()


def test_an_ended_response_lets_the_joined_go_too(ledger: Ledger) -> None:
    first, second = opened_on(ledger, "i-0a", "i-0b")
    (response,) = group(ledger, [first])
    group(ledger, [second])
    triaged(ledger, response)
    ledger.end_response(response, ResponseEnded(result="fixed", reason="all agree"), {second: "fixed"})
    assert {row.id: (row.status, row.response_id) for row in ledger.cases()} == {
        first: ("open", None),
        second: ("closed", None),
    }


def test_two_that_group_the_same_cases_at_once_make_one_response(url: str, opened: Callable[[str], Ledger]) -> None:
    one, other = opened(url), opened(url)
    cases = opened_on(one, "i-0a", "i-0b")
    assert [len(group(each, cases)) for each in (one, other)] == [1, 0]
    assert len(one.responses()) == 1
