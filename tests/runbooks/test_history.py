"""The state of a response is what its entries add up to, wherever they end."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbooks.history import Dated, ResponseHistory, fold
from runbooks.plan import Phase, Plan
from runbooks.records import (
    ApprovalAsked,
    Decision,
    PhaseEnded,
    PlanMade,
    Record,
    ResponseEnded,
    ResponseStarted,
    RunStarted,
    Waiting,
    record_adapter,
)
from runbooks.steps import AnyStep
from tests.runbooks.builders import (
    CASE,
    RESPONSE,
    RUNBOOK,
    OutcomeStatus,
    a_contain_plan,
    a_decision,
    a_release_plan,
    a_remediate_plan,
    a_verify_plan,
    after,
    an_intent,
    an_outcome,
)
from tests.runbooks.histories import a_history, a_whole_response, dated

CONTAIN = a_contain_plan()
AGAIN = a_contain_plan(revision=2, previous=CONTAIN.digest)
REMEDIATE = a_remediate_plan()
RELEASE = a_release_plan(CONTAIN)
DIGEST = CONTAIN.digest


def told(*records: Record) -> ResponseHistory:
    """A history of these records, one a minute from the start of the story on."""
    return a_history(*(dated(minutes, record) for minutes, record in enumerate(records)))


def made(plan: Plan) -> PlanMade:
    return PlanMade(digest=plan.digest, plan=plan)


def asked(attempt: int, digest: str = DIGEST, minutes: float = 60, run: str = "run-1") -> ApprovalAsked:
    return ApprovalAsked(digest=digest, attempt=attempt, expires_at=after(minutes), flow_run=run)


def answered(answer: str, attempt: int = 1, plan: Plan = CONTAIN, **changes: Any) -> Decision:
    return a_decision(plan, answer, attempt=attempt, **changes)


def ended(phase: Phase, result: str = "done", plan: Plan | None = None) -> PhaseEnded:
    return PhaseEnded.model_validate({"phase": phase, "result": result, "digest": plan.digest if plan else None})


def step(kind: str, plan: Plan = CONTAIN) -> AnyStep:
    return next(each for each in plan.steps if each.kind == kind)


SWAP = step("swap-security-groups")


# --- plans and phases ------------------------------------------------------------------------------------------------


def test_nothing_has_happened_before_the_first_entry() -> None:
    nothing = told()
    assert nothing == ResponseHistory()
    assert (nothing.plan(Phase.CONTAIN), nothing.phase_ended(Phase.CONTAIN), nothing.contained) == (None, None, False)
    assert (nothing.next_revision(Phase.CONTAIN), nothing.next_question(DIGEST)) == (1, 1)
    assert (nothing.open_question(DIGEST), nothing.spent(DIGEST), nothing.last_change(Phase.CONTAIN)) == (
        None,
        False,
        None,
    )


def test_the_newest_plan_of_a_phase_is_the_one_of_the_highest_revision() -> None:
    history = told(made(CONTAIN), made(AGAIN), made(REMEDIATE))
    assert history.plan(Phase.CONTAIN) == AGAIN
    assert history.plan(Phase.REMEDIATE) == REMEDIATE
    assert history.plan(Phase.RELEASE) is None
    assert (history.next_revision(Phase.CONTAIN), history.next_revision(Phase.RELEASE)) == (3, 1)


def test_a_phase_has_ended_until_a_newer_plan_opens_it_again() -> None:
    drifted = ended(Phase.CONTAIN, "drifted", CONTAIN)
    assert told(made(CONTAIN)).phase_ended(Phase.CONTAIN) is None
    assert told(made(CONTAIN), drifted).phase_ended(Phase.CONTAIN) == drifted
    assert told(made(CONTAIN), drifted, made(AGAIN)).phase_ended(Phase.CONTAIN) is None
    done = ended(Phase.CONTAIN, "done", AGAIN)
    assert told(made(CONTAIN), drifted, made(AGAIN), done).phase_ended(Phase.CONTAIN) == done


def test_a_phase_that_ended_without_a_plan_has_ended() -> None:
    without = ended(Phase.RELEASE, "not-needed")
    assert told(without).phase_ended(Phase.RELEASE) == without
    assert told(made(RELEASE), without).phase_ended(Phase.RELEASE) == without


# --- questions and answers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("records", "next_one", "open_one"),
    [
        ((), 1, None),
        ((asked(1),), 1, 1),
        ((asked(1), asked(1, run="run-2")), 1, 1),
        ((asked(1), answered("invalid")), 2, None),
        ((asked(1), answered("invalid"), answered("invalid")), 2, None),
        ((asked(1), answered("invalid"), asked(2)), 2, 2),
        ((asked(1), asked(1), answered("invalid"), asked(2), asked(2)), 2, 2),
        ((asked(1), answered("invalid"), asked(2), answered("invalid", 2)), 3, None),
        ((answered("invalid"),), 2, None),
        ((asked(1), answered("approved")), 1, None),
        ((asked(1), answered("expired")), 1, None),
        ((asked(1, REMEDIATE.digest),), 1, None),
    ],
)
def test_a_question_keeps_its_number_until_it_is_answered(
    records: tuple[Record, ...], next_one: int, open_one: int | None
) -> None:
    history = told(*records)
    question = history.open_question(DIGEST)
    assert history.next_question(DIGEST) == next_one
    assert (question.attempt if question else None) == open_one


def test_the_open_question_is_the_one_that_was_asked_last() -> None:
    assert told(asked(1), asked(1, minutes=90, run="run-2")).open_question(DIGEST) == asked(1, minutes=90, run="run-2")


@pytest.mark.parametrize(
    ("records", "waits"),
    [
        ((), False),
        ((asked(1),), True),
        ((asked(1), answered("invalid")), True),
        ((asked(1), answered("approved")), False),
        ((asked(1), made(AGAIN)), False),
        ((asked(1), made(AGAIN), asked(1, AGAIN.digest)), True),
        ((asked(1), ended(Phase.CONTAIN, "rejected", CONTAIN)), False),
        ((asked(1), ResponseEnded(result="person", reason="enough")), False),
    ],
)
def test_a_response_waits_for_an_answer_about_its_newest_plan(records: tuple[Record, ...], waits: bool) -> None:
    question = told(made(CONTAIN), *records).waiting_for_answer()
    assert (question is not None) is waits
    assert question is None or question == [each for each in records if isinstance(each, ApprovalAsked)][-1]


ANSWERS = st.lists(st.sampled_from(["approved", "rejected", "expired", "invalid"]), max_size=6)


@given(ANSWERS)
def test_the_first_answer_that_is_not_invalid_settles_the_plan_for_ever(answers: list[str]) -> None:
    decisions = [answered(answer, number) for number, answer in enumerate(answers, 1)]
    history = told(*decisions)
    settling = [decision for decision in decisions if decision.answer != "invalid"]
    assert history.decisions == ({DIGEST: settling[0]} if settling else {})
    assert history.refused.get(DIGEST, []) == [decision for decision in decisions if decision.answer == "invalid"]


def test_an_answer_settles_the_plan_of_its_digest_and_no_other() -> None:
    history = told(made(CONTAIN), made(AGAIN), answered("approved"))
    assert set(history.decisions) == {DIGEST}
    assert AGAIN.digest not in history.decisions


def test_an_approval_is_spent_by_the_first_intent_of_its_plan() -> None:
    approved = told(made(CONTAIN), answered("approved"))
    assert not approved.spent(DIGEST)
    begun = told(made(CONTAIN), answered("approved"), an_intent(CONTAIN, SWAP))
    assert (begun.spent(DIGEST), begun.spent(AGAIN.digest)) == (True, False)


# --- what was done ---------------------------------------------------------------------------------------------------


def test_the_first_intent_and_the_last_outcome_of_an_operation_count() -> None:
    first = an_intent(CONTAIN, SWAP).model_copy(update={"original": {"groups": ["sg-0web"]}})
    second = an_intent(CONTAIN, SWAP).model_copy(update={"original": {"groups": ["sg-0quarantine"]}, "epoch": 2})
    outcomes = [an_outcome(CONTAIN, SWAP, "in-progress"), an_outcome(CONTAIN, SWAP, "done")]
    history = told(first, outcomes[0], second, outcomes[1])
    operation = CONTAIN.operation(SWAP)
    assert history.intents == {operation: first}
    assert history.outcomes == {operation: outcomes[1]}
    assert history.times == {operation: after(3)}
    assert history.outcome(CONTAIN, SWAP) == outcomes[1]
    assert history.step_outcomes(CONTAIN) == {SWAP.key: outcomes[1]}
    assert history.outcome(AGAIN, SWAP) is None


def test_the_last_change_is_of_the_phases_that_are_asked_for() -> None:
    patch = step("patch-packages", REMEDIATE)
    history = told(
        made(CONTAIN), made(REMEDIATE), an_outcome(CONTAIN, SWAP), an_outcome(REMEDIATE, patch), ended(Phase.REMEDIATE)
    )
    assert history.last_change(Phase.CONTAIN) == after(2)
    assert history.last_change(Phase.REMEDIATE) == after(3)
    assert history.last_change(Phase.CONTAIN, Phase.REMEDIATE) == after(3)
    assert history.last_change(Phase.RELEASE) is None
    assert history.last_change() is None


def ended_as(*statuses: OutcomeStatus) -> tuple[Record, ...]:
    """The swap's outcomes, one after another."""
    return tuple(an_outcome(CONTAIN, SWAP, status) for status in statuses)


@pytest.mark.parametrize(
    ("records", "contained"),
    [
        ((made(CONTAIN),), False),
        ((made(CONTAIN), an_intent(CONTAIN, SWAP)), True),
        ((made(CONTAIN), an_intent(CONTAIN, step("create-snapshots"))), False),
        ((made(CONTAIN), an_intent(CONTAIN, SWAP), an_outcome(CONTAIN, SWAP, "failed")), False),
        ((made(CONTAIN), an_intent(CONTAIN, SWAP), an_outcome(CONTAIN, SWAP, "drifted")), False),
        ((made(CONTAIN), an_intent(CONTAIN, SWAP), *ended_as("in-progress", "failed")), True),
        ((made(CONTAIN), an_intent(CONTAIN, SWAP), *ended_as("in-progress", "drifted")), False),
        ((made(CONTAIN), *ended_as("in-progress", "failed")), False),
        ((made(CONTAIN), an_intent(CONTAIN, SWAP), made(RELEASE), ended(Phase.RELEASE, "done", RELEASE)), False),
        ((made(CONTAIN), an_outcome(CONTAIN, SWAP)), True),
        ((made(CONTAIN), an_outcome(CONTAIN, SWAP, "in-progress")), True),
        ((made(CONTAIN), an_outcome(CONTAIN, SWAP, "failed")), False),
        ((made(CONTAIN), an_outcome(CONTAIN, SWAP, "already-done")), False),
        ((made(CONTAIN), an_outcome(CONTAIN, step("detach-from-auto-scaling-group"))), True),
        ((made(CONTAIN), an_outcome(CONTAIN, step("create-snapshots"))), False),
        ((made(CONTAIN), an_outcome(CONTAIN, step("ensure-quarantine-group"))), False),
        ((made(CONTAIN), an_outcome(CONTAIN, SWAP), made(AGAIN)), True),
        ((made(CONTAIN), an_outcome(CONTAIN, SWAP), made(AGAIN), ended(Phase.CONTAIN, "rejected", AGAIN)), True),
        ((made(CONTAIN), an_outcome(CONTAIN, SWAP), made(RELEASE)), True),
        ((made(CONTAIN), an_outcome(CONTAIN, SWAP), made(RELEASE), ended(Phase.RELEASE, "done", RELEASE)), False),
        ((made(CONTAIN), an_outcome(CONTAIN, SWAP), made(RELEASE), ended(Phase.RELEASE, "partial", RELEASE)), True),
        ((made(CONTAIN), an_outcome(CONTAIN, SWAP), made(RELEASE), ended(Phase.RELEASE, "rejected", RELEASE)), True),
        ((made(CONTAIN), an_outcome(CONTAIN, SWAP), ended(Phase.RELEASE, "not-needed")), True),
        ((made(REMEDIATE), an_outcome(REMEDIATE, step("patch-packages", REMEDIATE))), False),
    ],
)
def test_it_is_contained_from_the_first_change_that_lasts_until_all_is_put_back(
    records: tuple[Record, ...], contained: bool
) -> None:
    assert told(*records).contained is contained


def test_what_was_begun_without_an_end_may_have_been_done_and_counts_as_in_progress() -> None:
    begun, given_up, done, refused, theirs = CONTAIN.steps[1:6]
    found = {"groups": ["sg-0quarantine"]}
    history = told(
        made(CONTAIN),
        *(an_intent(CONTAIN, each) for each in (begun, given_up, done, refused)),
        an_outcome(CONTAIN, given_up, "in-progress", result=found),
        an_outcome(CONTAIN, given_up, "failed", detail="it took too long"),
        an_outcome(CONTAIN, done, "done", result=found),
        an_outcome(CONTAIN, refused, "failed"),
        an_outcome(CONTAIN, theirs, "already-done"),
    )
    assert history.changes == {
        CONTAIN.operation(begun): an_outcome(CONTAIN, begun, "in-progress"),
        CONTAIN.operation(given_up): an_outcome(CONTAIN, given_up, "in-progress"),
        CONTAIN.operation(done): an_outcome(CONTAIN, done, "done", result=found),
    }


# --- waiting and running ---------------------------------------------------------------------------------------------


def waiting(phase: Phase) -> Waiting:
    return Waiting(phase=phase, reason="Inspector has not looked again", look_again_at=after(90))


def test_a_run_ends_the_waiting_and_the_phase_its_patience() -> None:
    pause, run = waiting(Phase.VERIFY), RunStarted(attempt=2, epoch=2, flow_run="run-2")
    assert told(pause).waiting == pause
    later = told(pause, run, pause)
    assert later.waiting == pause
    assert later.waiting_since == {Phase.VERIFY: after(0)}, "counted from the first time"
    awake = told(pause, run)
    assert (awake.waiting, awake.runs, awake.waiting_since) == (None, [run], {Phase.VERIFY: after(0)})
    assert told(pause, run, ended(Phase.VERIFY)).waiting_since == {}
    assert told(pause, waiting(Phase.REMEDIATE), ended(Phase.VERIFY)).waiting_since == {Phase.REMEDIATE: after(1)}


def test_the_start_and_the_end_of_a_response_are_kept() -> None:
    start = ResponseStarted(response=RESPONSE, runbook=RUNBOOK, cases=(CASE,), started_by="intake")
    end = ResponseEnded(result="fixed", reason="every case is proven fixed")
    history = told(start, end)
    assert (history.started, history.ended) == (start, end)
    assert [each.record for each in history.entries] == [start, end]


# --- any sequence ----------------------------------------------------------------------------------------------------


def looked_at(history: ResponseHistory) -> dict[str, object]:
    """Everything a history can be asked."""
    plans = (CONTAIN, AGAIN, REMEDIATE, RELEASE)
    return {
        "plans": [history.plan(phase) for phase in Phase],
        "revisions": [history.next_revision(phase) for phase in Phase],
        "ended": [history.phase_ended(phase) for phase in Phase],
        "questions": [history.next_question(plan.digest) for plan in plans],
        "open": [history.open_question(plan.digest) for plan in plans],
        "outcomes": [history.step_outcomes(plan) for plan in plans],
        "spent": [history.spent(plan.digest) for plan in plans],
        "changed": history.last_change(*Phase),
        "contained": history.contained,
        "changes": history.changes,
    }


RECORDS: list[Record] = [
    *(made(plan) for plan in (CONTAIN, AGAIN, REMEDIATE, RELEASE, a_verify_plan())),
    *(asked(attempt, plan.digest) for plan in (CONTAIN, AGAIN) for attempt in (1, 2)),
    *(answered(answer, 1, plan) for plan in (CONTAIN, AGAIN) for answer in ("approved", "rejected", "invalid")),
    *(an_intent(CONTAIN, each) for each in CONTAIN.steps),
    *(an_outcome(CONTAIN, each) for each in CONTAIN.steps),
    *(ended(phase, result) for phase in Phase for result in ("done", "drifted")),
    ended(Phase.CONTAIN, "done", AGAIN),
    waiting(Phase.VERIFY),
    RunStarted(attempt=1, epoch=1, flow_run="run-1"),
    ResponseEnded(result="fixed", reason="r"),
]


@settings(deadline=None)
@given(st.lists(st.sampled_from(RECORDS), max_size=12))
def test_any_sequence_folds_and_folding_on_gives_what_folding_at_once_gives(records: list[Record]) -> None:
    entries = [dated(minutes, record) for minutes, record in enumerate(records)]
    for prefix in accumulate(entries, lambda before, each: [*before, each], initial=list[Dated]()):
        looked_at(fold(prefix))
    travelled = [
        Dated(each.at, record_adapter.validate_json(record_adapter.dump_json(each.record))) for each in entries
    ]
    assert fold(travelled) == fold(entries)
    assert looked_at(fold(travelled)) == looked_at(fold(entries))


@settings(deadline=None)
@given(st.lists(st.sampled_from(RECORDS), max_size=10), st.sampled_from(RECORDS))
def test_a_settled_plan_stays_settled_and_a_spent_approval_spent(records: list[Record], more: Record) -> None:
    before, now = told(*records), told(*records, more)
    assert before.decisions.items() <= now.decisions.items()
    assert all(now.spent(plan.digest) for plan in (CONTAIN, AGAIN) if before.spent(plan.digest))
    assert all(now.next_question(plan.digest) >= before.next_question(plan.digest) for plan in (CONTAIN, AGAIN))


def test_every_prefix_of_a_whole_response_folds_and_the_whole_is_over() -> None:
    entries = a_whole_response()
    for number in range(len(entries) + 1):
        looked_at(fold(entries[:number]))
    history = fold(entries)
    assert history.ended is not None
    ended = {phase: end.result for phase in Phase if (end := history.phase_ended(phase)) is not None}
    assert ended == dict.fromkeys((Phase.CONTAIN, Phase.REMEDIATE, Phase.VERIFY, Phase.RELEASE), "done")
    assert not history.contained
    assert fold(a_whole_response(released=False)).contained
