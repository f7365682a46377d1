"""An answer counts only when everything about it holds: the question, the person, the proof, and what they may."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from runbooks.approval import Refusal, SlackIdentity, Submission
from runbooks.case import response_stream
from runbooks.history import ResponseHistory
from runbooks.plan import ApprovalRule, Extent, Plan
from runbooks.records import (
    ApprovalAsked,
    ApproverRevoked,
    ApproverUnlocked,
    CodeTried,
    Record,
    ResponseEnded,
    ResponseStarted,
)
from runbooks.registry import MOST_WRONG_CODES, Registry, RegistryRecord
from runbooks.weighing import Weighed, weigh
from tests.runbooks.builders import CASE, RUNBOOK, a_contain_plan, a_decision, after
from tests.runbooks.histories import a_history, dated
from tests.runbooks.signatures import (
    JANE,
    JOE,
    SIGNER,
    TEAM,
    added,
    code_of,
    decided,
    entries,
    made,
    registry_of,
    said_yes,
    signed,
)

ASKED, UNTIL = after(3), after(63)
NOW = after(5)
JANE_IN_SLACK, NOBODY_IN_SLACK = SlackIdentity(user="U0JANE", team=TEAM), SlackIdentity(user="U0JANE", team="T0OTHER")


def a_plan(environment: str = "production", **rule: Any) -> Plan:
    extents = (Extent(case=CASE, environment=environment),)
    return a_contain_plan().model_copy(update={"approval": ApprovalRule(**rule), "extents": extents})


PLAN = a_plan()
IN_SLACK = a_plan(slack_suffices=True)
BY_TWO = a_plan(quorum=2)


@dataclass
class Story:
    """What the two streams hold when an answer comes; each test changes a part of it."""

    plan: Plan = PLAN
    started_by: str = "webhook"
    asked: int = 1
    more: tuple[Record, ...] = ()
    approvers: tuple[RegistryRecord, ...] = field(
        default_factory=lambda: (added(JANE, slack_user="U0JANE", slack_team=TEAM, logins=("jdoe",)), added(JOE))
    )
    registry: Registry | None = None

    def history(self) -> ResponseHistory:
        plan = self.plan
        started = ResponseStarted(response=plan.response, runbook=RUNBOOK, cases=plan.cases, started_by=self.started_by)
        questions = [
            dated(3, ApprovalAsked(digest=plan.digest, attempt=number, expires_at=UNTIL, flow_run="run-1"))
            for number in range(1, self.asked + 1)
        ]
        return a_history(dated(1, started), dated(2, made(plan)), *questions, *(dated(4, each) for each in self.more))

    def answered(self, now: datetime = NOW, **changes: Any) -> Weighed:
        values: dict[str, Any] = {
            "response": self.plan.response,
            "digest": self.plan.digest,
            "says": "approve",
            "claimed": JANE,
            "code": SecretStr(code_of(JANE, NOW)),
            "channel": "command",
            "submitted_at": NOW,
            "request": "request-1",
        }
        registry = self.registry or registry_of(*self.approvers)
        return weigh(Submission(**(values | changes)), self.history(), registry, SIGNER, now)


def wrong(name: str = JANE) -> CodeTried:
    return CodeTried(name=name, accepted=False, response="r")


def used(steps: int = 0, name: str = JANE) -> CodeTried:
    return CodeTried(name=name, accepted=True, timecode=int(NOW.timestamp()) // 30 + steps, response="r")


REVOKED = ApproverRevoked(name=JANE, by="root")
LOCKED = tuple(wrong() for _ in range(MOST_WRONG_CODES))
WITH_JANE = Story().approvers
ENDED = ResponseEnded(result="person", reason="enough")
NEWER = made(PLAN.model_copy(update={"revision": 2, "previous": PLAN.digest}))
NO_CODE: dict[str, Any] = {"code": None}
BY_BUTTON: dict[str, Any] = {"channel": "slack", "slack": JANE_IN_SLACK, "claimed": "U0JANE", "code": None}


# --- what counts -----------------------------------------------------------------------------------------------------


def test_a_yes_that_holds_approves_and_is_signed_and_its_code_is_used_up() -> None:
    found = Story().answered(comment="go ahead")
    answer, decision, tried = found.answer, found.decision, found.tried
    assert (answer.counts, answer.approver, answer.factor, answer.code) == (True, JANE, "code", "")
    assert decision is not None
    assert tried is not None
    assert decision.model_dump(exclude={"signature"}) == a_decision(
        PLAN, approver=JANE, approvers=(JANE,), channel="command", comment="go ahead"
    ).model_dump(exclude={"signature"})
    stream = response_stream(PLAN.response)
    assert SIGNER.verifies(stream, answer)
    assert SIGNER.verifies(stream, decision)
    assert (tried.name, tried.accepted, tried.timecode) == (JANE, True, int(NOW.timestamp()) // 30)
    after_it = Registry.read(entries(*signed(*WITH_JANE), tried), SIGNER)
    assert (after_it.forged, after_it.standings[JANE].last_timecode) == ((), tried.timecode)


@pytest.mark.parametrize(
    ("story", "changes", "answer"),
    [
        (Story(), {}, "approved"),
        (Story(), {"says": "reject"}, "rejected"),
        (Story(), {"claimed": f" {JANE.upper()} "}, "approved"),
        (Story(), {"code": SecretStr(f"{code_of(JANE, NOW)[:3]} {code_of(JANE, NOW)[3:]}")}, "approved"),
        (Story(), {"code": SecretStr(code_of(JANE, NOW, -1))}, "approved"),
        (Story(), {"code": SecretStr(code_of(JANE, NOW, 1))}, "approved"),
        (Story(), {"now": after(600)}, "approved"),
        (Story(), {"submitted_at": after(600)}, "approved"),
        (Story(approvers=(*WITH_JANE, used(-1))), {}, "approved"),
        (Story(approvers=(*WITH_JANE, *LOCKED, ApproverUnlocked(name=JANE, by="root"))), {}, "approved"),
        (Story(approvers=(*WITH_JANE, *LOCKED[1:])), {}, "approved"),
        (Story(approvers=(*WITH_JANE, *LOCKED[1:], used(-9), wrong())), {}, "approved"),
        (Story(approvers=(*WITH_JANE, REVOKED, *WITH_JANE)), {}, "approved"),
        (Story(approvers=(added(JANE, grants=("contain@production",)),)), {}, "approved"),
        (Story(plan=a_plan(approvers=("JANE@corp.example",))), {}, "approved"),
        (Story(plan=IN_SLACK), BY_BUTTON, "approved"),
        (Story(plan=PLAN), {**BY_BUTTON, "says": "reject"}, "rejected"),
        (Story(plan=PLAN), {**BY_BUTTON, "code": SecretStr(code_of(JANE, NOW))}, "approved"),
        (Story(started_by="command:jane@corp.example"), {"says": "reject"}, "rejected"),
        (Story(plan=BY_TWO, more=tuple(said_yes(BY_TWO, JOE, at=NOW))), {}, "approved"),
        (Story(plan=BY_TWO, more=tuple(said_yes(BY_TWO, JANE, at=NOW))), {"says": "reject"}, "rejected"),
        (Story(asked=2, more=(a_decision(PLAN, "invalid"),)), {"attempt": 2}, "approved"),
        (Story(asked=1, more=(a_decision(PLAN, "invalid"),)), {}, "approved"),
    ],
)
def test_what_settles_the_question(story: Story, changes: dict[str, Any], answer: str) -> None:
    found = story.answered(**changes)
    assert found.answer.counts, found.answer.reason
    assert found.decision is not None
    assert found.decision.answer == answer


def test_one_yes_of_two_counts_and_settles_nothing_yet() -> None:
    found = Story(plan=BY_TWO).answered()
    assert (found.answer.counts, found.decision) == (True, None)
    second = Story(plan=BY_TWO, more=(found.answer,)).answered(
        claimed=JOE, code=SecretStr(code_of(JOE, NOW)), request="request-2"
    )
    assert second.decision is not None
    assert (second.decision.answer, second.decision.approvers) == ("approved", (JANE, JOE))


def test_one_yes_of_two_closes_the_form_it_came_with_so_that_the_second_person_gets_one() -> None:
    decision = Story(plan=BY_TWO).answered(attempt=1, channel="prefect").decision
    assert decision is not None
    assert (decision.answer, decision.attempt) == ("invalid", 1)
    assert decision.reason == "counted: 1 of 2; a different person's yes is needed too"


@pytest.mark.parametrize(
    "before",
    [
        [each.model_copy(update={"signature": ""}) for each in said_yes(BY_TWO, JOE, at=NOW)],
        [each.model_copy(update={"approver": JOE}) for each in said_yes(BY_TWO, JANE, at=NOW)],
        said_yes(a_plan(quorum=2, expires_minutes=61), JOE, at=NOW),
        said_yes(BY_TWO, JOE, at=NOW, counts=False),
        said_yes(BY_TWO, JOE, at=NOW, says="reject"),
        said_yes(BY_TWO, "nobody@corp.example", at=NOW),
    ],
)
def test_a_second_yes_that_is_forged_or_another_ones_is_none(before: list[Any]) -> None:
    assert Story(plan=BY_TWO, more=tuple(before)).answered().decision is None


def test_a_yes_of_somebody_who_was_revoked_since_is_none() -> None:
    story = Story(
        plan=BY_TWO,
        more=tuple(said_yes(BY_TWO, JOE, at=NOW)),
        approvers=(*WITH_JANE, ApproverRevoked(name=JOE, by="root")),
    )
    assert story.answered().decision is None


# --- what is refused -------------------------------------------------------------------------------------------------

REFUSALS: list[tuple[Refusal, Story, dict[str, Any]]] = [
    (Refusal.NO_ANSWER, Story(), {"says": ""}),
    (Refusal.NO_ANSWER, Story(), {"says": "", "claimed": "", **NO_CODE}),
    (Refusal.UNKNOWN_PLAN, Story(), {"digest": "f" * 64}),
    (Refusal.STALE_PLAN, Story(more=(NEWER,)), {}),
    (Refusal.NOT_ASKED, Story(asked=0), {}),
    (Refusal.SETTLED, Story(more=(decided(PLAN, "approved", JOE),)), {}),
    (Refusal.SETTLED, Story(more=(a_decision(PLAN, "expired"),)), {"says": "reject"}),
    (Refusal.SETTLED, Story(more=(ENDED,)), {}),
    (Refusal.STALE_QUESTION, Story(asked=2, more=(a_decision(PLAN, "invalid"),)), {"attempt": 1}),
    (Refusal.STALE_QUESTION, Story(), {"attempt": 2}),
    (Refusal.REPLAYED, Story(more=tuple(said_yes(PLAN, JANE, at=NOW, request="request-1", counts=False))), {}),
    (Refusal.EXPIRED, Story(), {"submitted_at": UNTIL + timedelta(seconds=1), "now": after(600)}),
    (Refusal.EXPIRED, Story(), {"submitted_at": UNTIL + timedelta(seconds=1), "now": after(600), "says": "reject"}),
    (Refusal.NOT_REGISTERED, Story(), {"claimed": "eve"}),
    (Refusal.NOT_REGISTERED, Story(), {"claimed": ""}),
    (Refusal.NOT_REGISTERED, Story(plan=IN_SLACK), {**BY_BUTTON, "slack": NOBODY_IN_SLACK}),
    (Refusal.NOT_REGISTERED, Story(plan=IN_SLACK), {**BY_BUTTON, "slack": None, "claimed": JANE}),
    (Refusal.NOT_REGISTERED, Story(approvers=()), {}),
    (Refusal.REVOKED, Story(approvers=(*WITH_JANE, REVOKED)), {}),
    (Refusal.DOUBTFUL, Story(registry=Registry.read(entries(*signed(*WITH_JANE), REVOKED), SIGNER)), {}),
    (Refusal.LOCKED, Story(approvers=(*WITH_JANE, *LOCKED)), {}),
    (Refusal.LOCKED, Story(plan=IN_SLACK, approvers=(*WITH_JANE, *LOCKED)), BY_BUTTON),
    (Refusal.CODE_MISSING, Story(), NO_CODE),
    (Refusal.CODE_MISSING, Story(), {**NO_CODE, "says": "reject"}),
    (Refusal.CODE_MISSING, Story(plan=IN_SLACK), NO_CODE),
    (Refusal.CODE_MISSING, Story(plan=IN_SLACK), {**NO_CODE, "slack": JANE_IN_SLACK}),
    (Refusal.CODE_MISSING, Story(), BY_BUTTON),
    (Refusal.WRONG_CODE, Story(), {"code": SecretStr("000000")}),
    (Refusal.WRONG_CODE, Story(), {"code": SecretStr("")}),
    (Refusal.WRONG_CODE, Story(), {"code": SecretStr("١٢٣٤٥٦")}),
    (Refusal.WRONG_CODE, Story(), {"code": SecretStr(code_of(JANE, NOW, 2))}),
    (Refusal.WRONG_CODE, Story(), {"code": SecretStr(code_of(JANE, NOW, -2))}),
    (Refusal.WRONG_CODE, Story(), {"code": SecretStr(code_of(JOE, NOW))}),
    (Refusal.WRONG_CODE, Story(), {"code": SecretStr(code_of(JANE, after(2))), "submitted_at": after(2)}),
    (Refusal.USED_CODE, Story(approvers=(*WITH_JANE, used())), {}),
    (Refusal.USED_CODE, Story(approvers=(*WITH_JANE, used(1))), {}),
    (Refusal.USED_CODE, Story(approvers=(*WITH_JANE, used(), *WITH_JANE)), {}),
    (Refusal.NOT_NAMED, Story(plan=a_plan(approvers=(JOE,))), {}),
    (Refusal.NOT_NAMED, Story(plan=a_plan(approvers=(JOE,))), {"says": "reject"}),
    (Refusal.NOT_GRANTED, Story(approvers=(added(JANE, grants=("remediate@*", "contain@staging")),)), {}),
    (
        Refusal.NOT_GRANTED,
        Story(plan=PLAN.model_copy(update={"extents": ()}), approvers=(added(JANE, grants=("contain@production",)),)),
        {},
    ),
    (
        Refusal.NOT_GRANTED,
        Story(
            plan=PLAN.model_copy(
                update={
                    "extents": (
                        *PLAN.extents,
                        Extent(case="case-2", environment="staging"),
                    )
                }
            ),
            approvers=(added(JANE, grants=("contain@production",)),),
        ),
        {},
    ),
    (Refusal.SELF_APPROVAL, Story(started_by="command:jane@corp.example"), {}),
    (Refusal.SELF_APPROVAL, Story(started_by="command:JDoe"), {}),
    (Refusal.SELF_APPROVAL, Story(plan=IN_SLACK, started_by="command:jdoe"), BY_BUTTON),
    (Refusal.SAME_PERSON, Story(plan=BY_TWO, more=tuple(said_yes(BY_TWO, JANE, at=NOW))), {}),
]


@pytest.mark.parametrize(("code", "story", "changes"), REFUSALS)
def test_every_refusal(code: Refusal, story: Story, changes: dict[str, Any]) -> None:
    found = story.answered(**changes)
    assert (found.answer.code, found.answer.counts) == (code.value, False)
    assert found.answer.reason
    assert SIGNER.verifies(response_stream(PLAN.response), found.answer)
    if code is Refusal.EXPIRED:
        assert found.decision is not None
        assert found.decision.answer == "expired"
    else:
        assert found.decision is None


def test_the_table_names_every_refusal() -> None:
    assert {code for code, _, _ in REFUSALS} == set(Refusal)


def test_a_refused_answer_that_came_with_a_form_closes_that_form_alone() -> None:
    decision = Story().answered(attempt=1, channel="prefect", code=SecretStr("000000")).decision
    assert decision is not None
    assert (decision.answer, decision.attempt, decision.approver) == ("invalid", 1, None)
    assert decision.reason.startswith("wrong-code: ")
    assert Story().answered(channel="slack", slack=JANE_IN_SLACK, code=None).decision is None


# --- codes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("story", "changes", "accepted"),
    [
        (Story(), {"code": SecretStr("000000")}, False),
        (Story(approvers=(*WITH_JANE, used())), {}, False),
        (Story(more=(ENDED,)), {}, True),
        (Story(asked=0), {}, True),
        (Story(started_by="command:jdoe"), {}, True),
        (Story(), {"digest": "f" * 64}, True),
        (Story(), {"says": ""}, True),
        (Story(), NO_CODE, None),
        (Story(), {"claimed": "eve"}, None),
        (Story(approvers=(*WITH_JANE, *LOCKED)), {}, None),
        (Story(approvers=(*WITH_JANE, REVOKED)), {}, None),
    ],
)
def test_a_code_is_counted_whatever_else_is_wrong_and_never_checked_for_one_who_may_not(
    story: Story, changes: dict[str, Any], accepted: bool | None
) -> None:
    tried = story.answered(**changes).tried
    assert (tried.accepted if tried else None) is accepted


def test_a_code_that_was_typed_into_the_wrong_fields_is_not_written_down() -> None:
    code = code_of(JANE, NOW)
    found = Story().answered(claimed=code, comment=f"my code is {code}, go")
    assert code not in found.answer.model_dump_json()
    assert found.answer.comment == "my code is (code), go"


def test_a_code_of_before_the_question_is_not_made_to_count_by_a_false_time() -> None:
    """Prefect's database says when a form was stored: whoever owns it may say otherwise."""
    before = ASKED - timedelta(minutes=2)
    found = Story().answered(code=SecretStr(code_of(JANE, before)), submitted_at=before)
    assert (found.answer.code, found.answer.submitted_at) == ("wrong-code", ASKED)


# --- whatever comes --------------------------------------------------------------------------------------------------

CODES = st.sampled_from([code_of(JANE, NOW), code_of(JOE, NOW), "000000"]) | st.text(max_size=8)


SUBMITTED = st.fixed_dictionaries(
    {
        "says": st.sampled_from(["approve", "reject", ""]),
        "claimed": st.sampled_from([JANE, JOE, "U0JANE", "eve", ""]) | st.text(max_size=10),
        "code": st.none() | CODES.map(SecretStr),
        "channel": st.sampled_from(["prefect", "slack", "command"]),
        "slack": st.sampled_from([None, JANE_IN_SLACK, NOBODY_IN_SLACK]),
        "attempt": st.sampled_from([None, 0, 1, 2]),
        "submitted_at": st.sampled_from([NOW, NOW, NOW, after(40), after(100)]),
    }
)


@given(
    submitted=SUBMITTED,
    plan=st.sampled_from([PLAN, IN_SLACK, BY_TWO]),
    started_by=st.sampled_from(["webhook", f"command:{JANE}", "command:jdoe"]),
    records=st.lists(st.sampled_from([used(), wrong(), REVOKED, *LOCKED]), max_size=6),
)
def test_nothing_without_a_valid_proof_of_somebody_else_than_the_starter_ever_approves(
    submitted: dict[str, Any], plan: Plan, started_by: str, records: list[RegistryRecord]
) -> None:
    story = Story(plan=plan, started_by=started_by, approvers=(*WITH_JANE, *records))
    found = story.answered(now=after(200), **submitted)
    if found.decision is None or found.decision.answer != "approved":
        return
    name, code = found.decision.approver, submitted["code"]
    by_button = submitted["channel"] == "slack" and submitted["slack"] == JANE_IN_SLACK and plan is IN_SLACK
    assert submitted["says"] == "approve"
    assert plan.approval.quorum == 1
    assert (started_by == "webhook" and REVOKED not in records) or name == JOE
    if code is None:
        assert by_button
    else:
        assert name is not None
        assert (code.get_secret_value().strip(), submitted["submitted_at"]) == (code_of(name, NOW), NOW)
        assert name == JOE or used() not in records
