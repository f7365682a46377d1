"""Counting and letting in are one act: however many begin at once, no more than may are under way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial

import pytest

from runbooks.case import response_stream
from runbooks.definition import Limits
from runbooks.errors import LeaseLost, Refused
from runbooks.limits import exceeded
from runbooks.plan import Extent, Phase
from runbooks.records import Admitted, PhaseEnded, ResponseEnded, Waiting
from tasks.gateways.ledger import AdmissionRow, Ledger
from tests.tasks.gateways.ledger.samples import MORNING, Clock, contents, kinds, start

FIXED = ResponseEnded(result="fixed", reason="all agree")
NO = "no more than these"


def admitted(number: int, *cases: str, phase: Phase = Phase.CONTAIN, pre_authorised: bool = False) -> Admitted:
    extents = tuple(Extent(case=case, environment="production") for case in cases or (f"case-{number}",))
    return Admitted(digest=f"{number:064d}", phase=phase, extents=extents, pre_authorised=pre_authorised)


def yes(under_way: Sequence[Extent], last_hour: Sequence[Extent]) -> None:
    return None


def no(under_way: Sequence[Extent], last_hour: Sequence[Extent]) -> str:
    return NO


def cases(rows: Sequence[AdmissionRow]) -> list[str]:
    return [row.extent.case for row in rows]


def test_what_is_let_in_is_written_and_under_way(ledger: Ledger) -> None:
    response, plan = start(ledger), admitted(1, "case-a", "case-b", pre_authorised=True)
    assert ledger.admit(response, plan, yes) is None
    (entry,) = [entry for entry in ledger.entries(response_stream(response)) if entry.kind == "admitted"]
    assert entry.record() == plan
    assert ledger.under_way() == tuple(
        AdmissionRow(
            digest=plan.digest,
            response_id=response,
            phase=Phase.CONTAIN,
            extent=extent,
            pre_authorised=True,
            admitted_at=MORNING,
            ended_at=None,
        )
        for extent in plan.extents
    )


def test_what_is_kept_out_leaves_nothing_behind(ledger: Ledger) -> None:
    response = start(ledger)
    before = contents(ledger)
    assert ledger.admit(response, admitted(1), no) == NO
    assert contents(ledger) == before


def test_what_was_let_in_is_not_asked_about_again(ledger: Ledger) -> None:
    response = start(ledger)
    ledger.admit(response, admitted(1), yes)
    assert ledger.admit(response, admitted(1), no) is None
    assert kinds(ledger, response_stream(response)).count("admitted") == 1


def test_the_judge_is_told_what_is_under_way_and_what_began_within_the_hour(ledger: Ledger, clock: Clock) -> None:
    told: list[tuple[list[str], list[str]]] = []

    def judge(under_way: Sequence[Extent], last_hour: Sequence[Extent]) -> None:
        told.append(([each.case for each in under_way], [each.case for each in last_hour]))

    first, second = start(ledger, "i-0a"), start(ledger, "i-0b")
    ledger.admit(first, admitted(1), judge)
    clock.pass_by(minutes=30)
    ledger.append(response_stream(first), PhaseEnded(phase=Phase.CONTAIN, result="done"))
    ledger.admit(second, admitted(2), judge)
    clock.pass_by(minutes=30)
    ledger.admit(second, admitted(3), judge)
    assert told == [([], []), ([], ["case-1"]), (["case-2"], ["case-2"])]


@pytest.mark.parametrize(
    ("end", "left"),
    [
        (PhaseEnded(phase=Phase.CONTAIN, result="drifted"), ["case-2"]),
        (PhaseEnded(phase=Phase.REMEDIATE, result="done"), ["case-1"]),
        (PhaseEnded(phase=Phase.VERIFY, result="done"), ["case-1", "case-2"]),
        (FIXED, []),
        (Waiting(phase="limits", reason="others", look_again_at=MORNING), ["case-1", "case-2"]),
    ],
)
def test_what_is_under_way_ends_with_its_phase_or_its_response(
    ledger: Ledger, clock: Clock, end: PhaseEnded | ResponseEnded | Waiting, left: list[str]
) -> None:
    response, other = start(ledger, "i-0a"), start(ledger, "i-0b")
    ledger.admit(response, admitted(1), yes)
    ledger.admit(response, admitted(2, phase=Phase.REMEDIATE), yes)
    ledger.admit(other, admitted(3), yes)
    clock.pass_by(minutes=1)
    ledger.append(response_stream(response), end)
    assert cases(ledger.under_way()) == [*left, "case-3"]
    ended = [row for row in ledger.admissions_since(MORNING - timedelta(minutes=1)) if row.ended_at is not None]
    assert {row.ended_at for row in ended} <= {clock.now}


def test_admissions_are_counted_from_a_moment_on(ledger: Ledger, clock: Clock) -> None:
    response = start(ledger)
    ledger.admit(response, admitted(1, pre_authorised=True), yes)
    clock.pass_by(minutes=59)
    ledger.admit(response, admitted(2), yes)
    assert cases(ledger.admissions_since(MORNING - timedelta(seconds=1))) == ["case-1", "case-2"]
    assert cases(ledger.admissions_since(MORNING)) == ["case-2"]


def test_a_run_that_was_replaced_lets_nothing_in(ledger: Ledger) -> None:
    response = start(ledger)
    lease = ledger.take_over(response, ledger.next_attempt(response), "run-1", ["i-0a"], 60)
    ledger.next_attempt(response)
    with pytest.raises(LeaseLost):
        ledger.admit(response, admitted(1), yes, lease=lease)
    assert ledger.under_way() == ()


def test_a_response_that_has_ended_lets_nothing_in(ledger: Ledger) -> None:
    response = start(ledger)
    ledger.end_response(response, FIXED, {})
    with pytest.raises(Refused, match="has ended"):
        ledger.admit(response, admitted(1), yes)


def test_admissions_are_made_anew_from_the_entries(ledger: Ledger, clock: Clock) -> None:
    response = start(ledger)
    ledger.admit(response, admitted(1, "case-a", "case-b"), yes)
    clock.pass_by(minutes=5)
    ledger.append(response_stream(response), PhaseEnded(phase=Phase.CONTAIN, result="done"))
    ledger.admit(response, admitted(2, phase=Phase.REMEDIATE), yes)
    before = contents(ledger)
    assert len(before["admissions"]) == 3
    ledger.rebuild()
    assert contents(ledger) == before


def test_a_waiting_response_says_what_it_waits_in(ledger: Ledger, clock: Clock) -> None:
    response = start(ledger)
    ledger.wait(response, "halted", "halted by jane", clock.now)
    row = ledger.response(response)
    assert row is not None
    assert (row.status, row.waiting_phase, row.waiting_for) == ("waiting", "halted", "halted by jane")
    ledger.take_over(response, ledger.next_attempt(response), "run-1", ["i-0a"], 60)
    row = ledger.response(response)
    assert row is not None
    assert (row.status, row.waiting_phase, row.waiting_for) == ("running", None, None)


def test_the_newest_entry_of_a_stream_is_the_last_one(ledger: Ledger) -> None:
    response = start(ledger)
    assert ledger.last("halt") is None
    for number in (1, 2):
        ledger.admit(response, admitted(number), yes)
        assert ledger.last(response_stream(response)) == ledger.entries(response_stream(response))[-1]


@pytest.mark.parametrize(("limits", "most"), [({"maximum_cases_at_once": 3}, 3), ({"maximum_cases_per_hour": 5}, 5)])
def test_of_plans_that_begin_at_the_same_moment_only_as_many_are_let_in_as_may(
    url: str, opened: Callable[[str], Ledger], limits: dict[str, int], most: int
) -> None:
    """Each begins in a thread and through a ledger of its own, as the runs of different processes do."""
    chosen = Limits.model_validate({"maximum_share_of_environment": 100} | limits)
    first = opened(url)
    responses = [start(first, f"i-0{number}") for number in range(8)]
    ledgers = [opened(url) for _ in responses]
    barrier = threading.Barrier(len(responses))
    answers: dict[int, str | None] = {}

    def begin(number: int) -> None:
        plan = admitted(number)
        barrier.wait()
        answers[number] = ledgers[number].admit(responses[number], plan, partial(exceeded, chosen, plan.extents))

    threads = [threading.Thread(target=begin, args=(number,)) for number in range(len(responses))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    let_in = [number for number, reason in answers.items() if reason is None]
    assert len(answers) == len(responses)
    assert len(let_in) == most
    assert sorted(cases(first.under_way())) == sorted(f"case-{number}" for number in let_in)
