"""A question is answered once, by whoever comes first."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from runbooks.case import response_stream
from runbooks.errors import Overtaken, Refused
from runbooks.records import ApprovalAsked, ApproverRevoked, ResponseEnded
from tasks.gateways.ledger import ApprovalRow, Ledger
from tests.tasks.gateways.ledger.samples import DIGEST, MORNING, Clock, answer, contents, kinds, question, start

HOUR = timedelta(hours=1)
OTHER = "e" * 64
REVOKED = ApproverRevoked(name="jane", by="root")


def test_a_question_stays_open_until_it_is_answered(ledger: Ledger, clock: Clock) -> None:
    response = start(ledger)
    asked = ApprovalRow(
        digest=DIGEST,
        attempt=1,
        response_id=response,
        asked_at=MORNING,
        expires_at=MORNING + HOUR,
        flow_run="run-1",
        answer=None,
        answered_at=None,
        approver=None,
        channel=None,
        comment=None,
        reason=None,
    )
    assert ledger.ask(response, question()) == asked
    assert ledger.approvals() == ledger.approvals(response) == (asked,)
    row = ledger.response(response)
    assert row is not None
    assert row.status == "asking"
    later = clock.pass_by(minutes=1)
    assert ledger.decide(response, answer()) is True
    answered = {"answer": "approved", "answered_at": later, "approver": "ana", "channel": "slack"}
    said = asked.model_copy(update={**answered, "comment": "go", "reason": ""})
    assert ledger.approval(DIGEST, 1) == said
    assert (ledger.approvals(), ledger.approvals(response)) == ((), (said,))
    records = [entry.record() for entry in ledger.entries(response_stream(response))]
    assert records[1:] == [question(), answer()]


@pytest.mark.parametrize("second", ["approved", "rejected", "expired", "invalid"])
def test_the_second_answer_changes_nothing(ledger: Ledger, second: str) -> None:
    response = start(ledger)
    ledger.ask(response, question())
    ledger.decide(response, answer("rejected"))
    before = contents(ledger)
    assert ledger.decide(response, answer(second)) is False
    assert contents(ledger) == before


def test_of_many_answers_at_once_one_counts(ledger: Ledger) -> None:
    response = start(ledger)
    ledger.ask(response, question())
    counted: list[bool] = []
    words = ["approved", "rejected", "expired"] * 2
    threads = [threading.Thread(target=lambda w=w: counted.append(ledger.decide(response, answer(w)))) for w in words]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(counted) == [False] * 5 + [True]
    assert kinds(ledger, response_stream(response)).count("decision") == 1


def test_a_refused_answer_is_followed_by_the_next_question(ledger: Ledger) -> None:
    response = start(ledger)
    ledger.ask(response, question(1))
    ledger.decide(response, answer("invalid", 1))
    ledger.ask(response, question(2))
    assert ledger.decide(response, answer("approved", 1)) is False
    assert ledger.decide(response, answer("approved", 2)) is True
    assert [(row.attempt, row.answer) for row in ledger.approvals(response)] == [(1, "invalid"), (2, "approved")]


def test_a_run_that_starts_over_asks_the_same_question_without_giving_it_more_time(
    ledger: Ledger, clock: Clock
) -> None:
    response = start(ledger)
    ledger.ask(response, question())
    clock.pass_by(minutes=30)
    again = ApprovalAsked(digest=DIGEST, attempt=1, expires_at=MORNING + 2 * HOUR, flow_run="run-2")
    row = ledger.ask(response, again)
    assert (row.expires_at, row.asked_at, row.flow_run, row.answer) == (MORNING + HOUR, MORNING, "run-2", None)
    written = ledger.entries(response_stream(response))[-1].record()
    assert written == again.model_copy(update={"expires_at": MORNING + HOUR})


def test_a_question_answered_meanwhile_is_not_asked_again(ledger: Ledger) -> None:
    response = start(ledger)
    ledger.ask(response, question())
    ledger.decide(response, answer())
    before = contents(ledger)
    assert ledger.ask(response, question()).answer == "approved"
    assert contents(ledger) == before


def test_a_plan_that_was_decided_under_another_number_is_not_asked_about_again(ledger: Ledger) -> None:
    response = start(ledger)
    ledger.ask(response, question(1))
    ledger.append(response_stream(response), answer("invalid", 1), answer("approved", 1))
    before = contents(ledger)
    assert ledger.ask(response, question(2)).answer == "approved"
    assert contents(ledger) == before


def test_what_was_decided_from_two_streams_is_written_to_both_unless_one_has_grown(ledger: Ledger) -> None:
    response = start(ledger)
    mine, theirs = response_stream(response), "approvers"
    ledger.append_after({mine: 1, theirs: 0}, {mine: [question()], theirs: [REVOKED]})
    assert (kinds(ledger, mine)[1:], kinds(ledger, theirs)) == (["approval-asked"], ["approver-revoked"])
    before = contents(ledger)
    for seen in ({mine: 1, theirs: 1}, {mine: 2, theirs: 0}, {mine: 3, theirs: 1}):
        with pytest.raises(Overtaken):
            ledger.append_after(seen, {mine: [answer()], theirs: [REVOKED]})
    assert contents(ledger) == before
    ledger.append_after({mine: 2, theirs: 1}, {mine: [answer()]})
    assert kinds(ledger, mine)[1:] == ["approval-asked", "decision"]


def test_a_new_plan_takes_the_old_question_back(ledger: Ledger) -> None:
    response = start(ledger)
    ledger.ask(response, question())
    ledger.ask(response, question(digest=OTHER))
    assert ledger.decide(response, answer()) is False
    assert [row.digest for row in ledger.approvals()] == [OTHER]
    assert [(row.digest, row.answer) for row in ledger.approvals(response)] == [(DIGEST, "superseded"), (OTHER, None)]


def test_a_plan_that_needs_no_question_is_decided_all_the_same_and_once(ledger: Ledger) -> None:
    response = start(ledger)
    assert ledger.decide(response, answer()) is True
    assert ledger.decide(response, answer("rejected")) is False
    row = ledger.approval(DIGEST, 1)
    assert row is not None
    assert (row.answer, row.asked_at) == ("approved", None)
    assert ledger.approval(OTHER, 1) is None


def test_questions_whose_time_is_over_are_found_until_they_are_answered(ledger: Ledger) -> None:
    first, second = start(ledger, "i-0a"), start(ledger, "i-0b")
    ledger.ask(first, question(minutes=60))
    ledger.ask(second, question(digest=OTHER, minutes=90))
    assert ledger.expired_approvals(MORNING + HOUR - timedelta(microseconds=1)) == ()
    assert [row.response_id for row in ledger.expired_approvals(MORNING + HOUR)] == [first]
    ledger.decide(first, answer("expired"))
    assert ledger.expired_approvals(MORNING + HOUR) == ()


def test_a_response_that_was_answered_and_not_woken_is_found(ledger: Ledger, clock: Clock) -> None:
    response = start(ledger)
    attempt = ledger.next_attempt(response)
    ledger.take_over(response, attempt, "run-1", [], 60)
    ledger.ask(response, question(1))
    assert ledger.answered(MORNING + HOUR) == ()
    later = clock.pass_by(minutes=1)
    ledger.decide(response, answer("invalid", 1))
    assert ledger.answered(later - timedelta(seconds=1)) == ()
    assert [row.id for row in ledger.answered(later)] == [response]
    ledger.ask(response, question(2))
    assert ledger.answered(MORNING + HOUR) == ()
    ledger.decide(response, answer("approved", 2))
    assert [row.id for row in ledger.answered(MORNING + HOUR)] == [response]
    ledger.take_over(response, attempt, "run-1", [], 60)
    assert ledger.answered(MORNING + HOUR) == ()


def test_nobody_is_asked_about_a_response_that_has_ended(ledger: Ledger) -> None:
    response = start(ledger)
    ledger.ask(response, question())
    ledger.end_response(response, ResponseEnded(result="person", reason="taken over by hand"), {})
    assert ledger.expired_approvals(MORNING + 2 * HOUR) == ()
    with pytest.raises(Refused):
        ledger.decide(response, answer())
