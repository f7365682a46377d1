"""The executor acts on signed entries alone: whatever else stands in the database, nothing is authorised by it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from runbooks.case import response_stream
from runbooks.errors import NotApproved
from runbooks.history import ResponseHistory
from runbooks.plan import ApprovalRule, Plan
from runbooks.records import ApprovalAsked, ApproverRevoked, Decision, PlanMade, Record, ResponseStarted
from runbooks.registry import Registry
from runbooks.signing import KEY_BYTES, Signer
from runbooks.windows import ChangeWindow
from tasks.authority import Trust, authorise
from tests.runbooks.builders import (
    RECEIVED,
    RUNBOOK,
    a_contain_plan,
    a_decision,
    a_release_plan,
    a_remediate_plan,
    after,
    an_intent,
)
from tests.runbooks.histories import a_history, dated
from tests.runbooks.signatures import (
    JANE,
    JOE,
    SIGNER,
    added,
    both,
    decided,
    entries,
    made,
    registry_of,
    said_yes,
    signed,
)

CODE = "c" * 64
NOW = after(10)
OTHER_KEY = Signer(b"x" * KEY_BYTES)


def a_plan(**rule: Any) -> Plan:
    return a_contain_plan().model_copy(update={"approval": ApprovalRule(**rule), "code": CODE})


PLAN, BY_TWO = a_plan(), a_plan(quorum=2)
BY_NOBODY, FOREKNOWN = a_plan(required=False), a_plan(pre_authorised="exploited, exposed, and tagged for it")
YES = said_yes(PLAN, JANE, at=after(4))
APPROVED = decided(PLAN, "approved", JANE)
SPENT = SIGNER.signed(response_stream(PLAN.response), an_intent(PLAN, PLAN.steps[0]))


def history(
    plan: Plan, *records: Record, started_by: str = "webhook", plan_made: PlanMade | None = None, asked: bool = True
) -> ResponseHistory:
    began = ResponseStarted(response=plan.response, runbook=RUNBOOK, cases=plan.cases, started_by=started_by)
    started = SIGNER.signed(response_stream(plan.response), began)
    question = ApprovalAsked(digest=plan.digest, attempt=1, expires_at=after(63), flow_run="run-1")
    asking = [dated(3, question)] if asked else []
    return a_history(
        dated(1, started), dated(2, plan_made or made(plan)), *asking, *(dated(4, each) for each in records)
    )


def allowed(
    plan: Plan,
    told: ResponseHistory,
    now: datetime = NOW,
    registry: Registry | None = None,
    signer: Signer = SIGNER,
    code: str = CODE,
) -> str:
    """`yes`, or the code of the refusal."""
    try:
        authorise(told, plan, now, Trust(signer, registry or both(), code))
    except NotApproved as refusal:
        return refusal.code
    return "yes"


# --- what is authorised ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plan", "records"),
    [
        (PLAN, (*YES, APPROVED)),
        (BY_TWO, (*said_yes(BY_TWO, JANE, JOE, at=after(4)), decided(BY_TWO, "approved", JANE, JOE))),
        (PLAN, (*said_yes(PLAN, JOE, at=after(4)), *YES, decided(PLAN, "approved", JANE))),
        (BY_NOBODY, (decided(BY_NOBODY, channel="plan"),)),
        (FOREKNOWN, (decided(FOREKNOWN, channel="runbook"),)),
    ],
)
def test_a_signed_decision_on_signed_answers_lets_its_plan_run(plan: Plan, records: tuple[Record, ...]) -> None:
    assert allowed(plan, history(plan, *records)) == "yes"


def test_once_the_first_change_is_made_the_approval_carries_the_plan_to_its_end() -> None:
    begun = history(PLAN, *YES, APPROVED, SPENT)
    gone = registry_of(added(JANE), ApproverRevoked(name=JANE, by="root"))
    assert allowed(PLAN, begun, now=after(100_000), registry=gone, code="another") == "yes"
    assert allowed(PLAN, begun, registry=registry_of()) == "yes"


def test_a_first_change_that_this_system_did_not_write_down_spends_nothing() -> None:
    for forged in (an_intent(PLAN, PLAN.steps[0]), SPENT.model_copy(update={"epoch": 2})):
        begun = history(PLAN, *YES, APPROVED, forged)
        assert allowed(PLAN, begun, now=after(100_000)) == "expired"
        assert allowed(PLAN, begun, registry=registry_of()) == "revoked"
        assert allowed(PLAN, begun, code="another") == "code-changed"


def test_a_release_rests_on_the_approved_plan_that_announced_it() -> None:
    def resting_on(*records: Record, plan: Plan = PLAN) -> str:
        rule = ApprovalRule(required=False, covered_by=plan.digest)
        release = a_release_plan(plan).model_copy(update={"approval": rule, "code": ""})
        return allowed(release, history(plan, *records, made(release), decided(release, channel="plan")))

    yes = (*YES, APPROVED)
    silent = PLAN.model_copy(update={"releases_when_fixed": False})
    assert resting_on(*yes) == "yes"
    assert resting_on(yes[1]) == "forged"
    assert resting_on(yes[0], yes[1].model_copy(update={"signature": ""})) == "forged"
    assert resting_on(yes[0], decided(PLAN, "rejected", JANE)) == "not-approved"
    assert resting_on(yes[0]) == "not-approved"
    announced_nothing = (*said_yes(silent, JANE, at=after(4)), decided(silent, "approved", JANE))
    assert resting_on(*announced_nothing, plan=silent) == "not-approved"


# --- what is not -----------------------------------------------------------------------------------------------------

OTHER_RESPONSE = PLAN.model_copy(update={"response": "response-0002"})
FROM_ELSEWHERE = decided(OTHER_RESPONSE, "approved", JANE).model_copy(update={"digest": PLAN.digest})
UNSIGNED = a_decision(PLAN, approver=JANE, approvers=(JANE,))


@pytest.mark.parametrize(
    ("records", "code"),
    [
        ((), "not-approved"),
        (tuple(YES), "not-approved"),
        ((decided(PLAN, "rejected", JANE),), "not-approved"),
        ((decided(PLAN, "expired"),), "not-approved"),
        ((UNSIGNED,), "forged"),
        ((*YES, UNSIGNED), "forged"),
        ((*YES, UNSIGNED, APPROVED), "forged"),
        ((*YES, FROM_ELSEWHERE), "forged"),
        ((*YES, APPROVED.model_copy(update={"approvers": (JANE, JOE)})), "forged"),
        ((*YES, APPROVED.model_copy(update={"answer": "approved", "comment": "edited"})), "forged"),
        ((*YES, decided(PLAN, "rejected", JANE).model_copy(update={"answer": "approved"})), "forged"),
        ((*YES, OTHER_KEY.signed("response/response-0001", UNSIGNED)), "forged"),
        ((APPROVED,), "forged"),
        ((*[each.model_copy(update={"signature": ""}) for each in YES], APPROVED), "forged"),
        ((*said_yes(OTHER_RESPONSE, JANE, at=after(4), digest=PLAN.digest), APPROVED), "forged"),
        ((*said_yes(BY_TWO, JANE, at=after(4)), APPROVED), "forged"),
        ((*said_yes(PLAN, JANE, at=after(4), counts=False), APPROVED), "forged"),
        ((*said_yes(PLAN, JANE, at=after(4), says="reject"), APPROVED), "forged"),
        ((*said_yes(PLAN, JOE, at=after(4)), APPROVED), "forged"),
        ((decided(PLAN, "approved"),), "not-approved"),
        ((decided(PLAN, "approved", channel="plan"),), "not-approved"),
        ((decided(PLAN, "approved", channel="runbook"),), "not-approved"),
    ],
)
def test_whatever_else_stands_in_the_ledger(records: tuple[Record, ...], code: str) -> None:
    assert allowed(PLAN, history(PLAN, *records)) == code


@pytest.mark.parametrize(
    "names",
    [(JANE,), (JANE, JANE), (JANE, JANE.upper())],
)
def test_a_plan_for_two_is_not_authorised_by_one(names: tuple[str, ...]) -> None:
    told = history(BY_TWO, *said_yes(BY_TWO, *names, at=after(4)), decided(BY_TWO, "approved", *names))
    assert allowed(BY_TWO, told) == "not-approved"


@pytest.mark.parametrize("started_by", [f"command:{JANE}", f"command:{JANE.upper()}", "command:jdoe"])
def test_whoever_started_it_does_not_authorise_it(started_by: str) -> None:
    registry = registry_of(added(JANE, logins=("JDoe",)))
    assert allowed(PLAN, history(PLAN, *YES, APPROVED, started_by=started_by), registry=registry) == "self-approval"


def test_a_plan_that_this_system_did_not_make_never_runs_though_it_asks_for_nobody() -> None:
    unsigned = PlanMade(digest=BY_NOBODY.digest, plan=BY_NOBODY)
    standing = decided(BY_NOBODY, channel="plan")
    assert allowed(BY_NOBODY, history(BY_NOBODY, standing, plan_made=unsigned)) == "forged"
    assert allowed(BY_NOBODY, history(PLAN, standing)) == "not-approved"


@pytest.mark.parametrize(
    "registry",
    [
        registry_of(),
        registry_of(added(JOE)),
        registry_of(added(JANE), ApproverRevoked(name=JANE, by="root")),
        Registry.read(entries(*signed(added(JANE)), ApproverRevoked(name="x", by="root")), SIGNER),
    ],
)
def test_who_is_no_approver_any_more_does_not_authorise_what_has_not_begun(registry: Registry) -> None:
    assert allowed(PLAN, history(PLAN, *YES, APPROVED), registry=registry) == "revoked"


@pytest.mark.parametrize(("plan", "now"), [(PLAN, after(63.1)), (BY_NOBODY, after(100_000))])
def test_a_persons_yes_expires_and_a_standing_one_does_not(plan: Plan, now: datetime) -> None:
    records = (*YES, APPROVED) if plan is PLAN else (decided(plan, channel="plan"),)
    assert allowed(plan, history(plan, *records), now=now) == ("expired" if plan is PLAN else "yes")


def test_another_program_does_not_carry_out_what_has_not_begun() -> None:
    assert allowed(PLAN, history(PLAN, *YES, APPROVED), code="d" * 64) == "code-changed"
    standing = history(BY_NOBODY, decided(BY_NOBODY, channel="plan"))
    assert allowed(BY_NOBODY, standing, code="d" * 64) == "code-changed"


def test_a_question_whose_time_was_prolonged_in_the_database_prolongs_nothing() -> None:
    told = history(PLAN, *YES, APPROVED)
    later = ApprovalAsked(digest=PLAN.digest, attempt=1, expires_at=after(10**5), act_until=after(10**5), flow_run="r")
    told.questions[PLAN.digest] = [later]
    assert allowed(PLAN, told, now=after(4 + 59)) == "yes"
    assert allowed(PLAN, told, now=after(4 + 61)) == "expired"


def test_a_plan_with_windows_may_begin_until_the_one_that_was_shown_ends() -> None:
    window = ChangeWindow(start="22:00", end="02:00")
    plan = PLAN.model_copy(update={"windows": (window,)})
    ends = RECEIVED.replace(hour=2, minute=0) + timedelta(days=1)
    told = history(plan, *said_yes(plan, JANE, at=after(4)), decided(plan, "approved", JANE), asked=False)
    told.questions[plan.digest] = [
        ApprovalAsked(digest=plan.digest, attempt=1, expires_at=after(63), act_until=ends, flow_run="run-1")
    ]
    assert allowed(plan, told, now=ends) == "yes"
    assert allowed(plan, told, now=ends + timedelta(seconds=1)) == "expired"


def test_with_another_key_nothing_is_authorised() -> None:
    assert allowed(PLAN, history(PLAN, *YES, APPROVED), signer=OTHER_KEY, registry=both()) == "forged"


def test_a_decision_about_one_plan_is_none_about_another() -> None:
    other = a_remediate_plan().model_copy(update={"code": CODE})
    told = history(other, *YES, APPROVED, APPROVED.model_copy(update={"digest": other.digest}))
    assert allowed(other, told) == "forged"
    assert isinstance(told.decisions[PLAN.digest], Decision)
