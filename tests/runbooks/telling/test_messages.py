"""The Slack messages: what they say, and that they stay within what Slack takes whatever is in them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployments.sandbox.slack_blocks import view_problems
from runbooks.plan import Extent, Plan
from runbooks.records import AnswerGiven, ResponseEnded
from runbooks.telling.answering import (
    APPROVE,
    APPROVE_WITH_CODE,
    REJECT,
    PlanRef,
    code_view,
    read_answer_value,
    said_back,
    said_view,
)
from runbooks.telling.blocks import Message
from runbooks.telling.escaping import size
from runbooks.telling.messages import (
    alert_message,
    approval_message,
    decision_message,
    note,
    outcome_message,
)
from runbooks.verdict import VerdictKind
from runbooks.windows import ChangeWindow
from tests.runbooks.builders import (
    CASE,
    INSTANCE_ID,
    a_case_key,
    a_contain_plan,
    a_decision,
    a_finding,
    a_package,
    a_resource,
    a_runbook,
    a_verdict,
    after,
    assessments,
    keys_of,
)

URL = "https://prefect.example/runs/flow-run/1"
MARKS = "🔴✋✅❌❔⚠⏰"
WORDS = st.text(max_size=4000) | st.sampled_from(["<!channel> " * 400, "&" * 5000, "😀" * 2000, "*bold*\n" * 500])
PLAN = a_contain_plan()


def texts(value: Any) -> Iterator[dict[str, Any]]:
    """Every text object of the blocks."""
    if isinstance(value, dict):
        if value.get("type") in ("mrkdwn", "plain_text"):
            yield value
        for each in value.values():
            yield from texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from texts(each)


def said(message: Message) -> str:
    return "\n".join(each["text"] for each in texts(message.blocks))


def assert_slack_takes(message: Message) -> None:
    """Block Kit's limits, and no control sequence but our own links."""
    assert 1 <= size(message.text) <= 3000
    assert len(message.blocks) <= 50
    for each in texts(message.blocks):
        assert each["text"]
        if each["type"] == "mrkdwn":
            assert each["verbatim"] is True
    for block in message.blocks:
        match block["type"]:
            case "header":
                assert size(block["text"]["text"]) <= 150
            case "section":
                assert size(block.get("text", {}).get("text", "")) <= 3000
                assert len(block.get("fields", [])) <= 10
                assert all(size(field["text"]) <= 2000 for field in block.get("fields", []))
            case "context":
                assert len(block["elements"]) <= 10
            case "actions":
                assert len(block["elements"]) <= 25
                for button in block["elements"]:
                    assert size(button["text"]["text"]) <= 75
                    assert size(button.get("value", "")) <= 2000
                    assert size(button.get("url", "")) <= 3000
            case other:
                pytest.fail(f"a block of type {other}")
    marked = [each["text"] for each in texts(message.blocks) if each["type"] == "mrkdwn"]
    assert not [text for text in marked if re.search(r"<(?!https?://)", text)]
    assert sum(each in MARKS for each in said(message)) <= 1 or "😀" in said(message)
    json.dumps(message.model_dump()).encode()


def alert(**urls: Any) -> Message:
    return alert_message(keys_of(), {CASE: (a_finding(),)}, a_runbook(), **urls)


def test_the_alert_says_what_where_and_how_bad() -> None:
    message = alert(run_url=URL, ticket_url="https://jira.example/browse/SEC-1")
    assert message.text == f"CRITICAL CVE-2026-10001 on checkout-7 ({INSTANCE_ID})"
    assert message.blocks[0]["text"]["text"] == f"🔴 {message.text}"
    for fact in (
        f"*Where*\n{INSTANCE_ID} (210987654321, eu-west-1)",
        "*Severity*\nCRITICAL, score 9.1",
        "*Exploit*\nknown",
        "*EPSS*\n0.420",
        "*Package*\nlibssl3 3.0.2",
        "*Fixed in*\n3.0.2-0ubuntu1.99",
        "*First seen*\n2026-03-02 09:15:30 UTC",
        "*Runbook*\nHigh-severity CVE on an EC2 instance",
        "Nothing is changed before a person approves the plan.",
        f"<{URL}|Follow the run>",
        "<https://jira.example/browse/SEC-1|Ticket>",
    ):
        assert fact in said(message)
    assert "Amazon Inspector" not in said(message)
    assert_slack_takes(message)


def test_the_alert_does_not_promise_an_approval_that_is_not_asked_for() -> None:
    runbook = a_runbook(remediate={"approval": {"required": False}})
    message = alert_message(keys_of(), {CASE: (a_finding(),)}, runbook)
    assert "may change things without asking" in said(message)
    assert "Nothing is changed before" not in said(message)


def test_the_worst_finding_is_named_and_the_others_are_counted() -> None:
    findings = (a_finding(1, severity="HIGH"), a_finding(2), a_finding(3, severity="LOW"))
    message = alert_message(keys_of(), {CASE: findings}, a_runbook())
    assert message.text == f"CRITICAL CVE-2026-10002 and 2 more on checkout-7 ({INSTANCE_ID})"


def test_an_alert_of_four_hundred_cases_is_one_message() -> None:
    keys = {key.id: key for key in (a_case_key(f"i-{number:017x}") for number in range(400))}
    findings = {
        case: (a_finding(number, resource=a_resource(key.resource_id)),)
        for number, (case, key) in enumerate(keys.items(), start=1)
    }
    message = alert_message(keys, findings, a_runbook())
    assert "400 instances (210987654321, eu-west-1)" in message.text
    assert "and 388 more" in said(message)
    assert_slack_takes(message)


def test_the_question_shows_the_steps_the_terms_the_digest_and_leads_to_the_form() -> None:
    message = approval_message(PLAN, keys_of(), URL, after(60))
    for number, step in enumerate(PLAN.steps, start=1):
        assert f"{number}. {step.describe()}" in said(message)
    for fact in (
        "*Answer before*\n2026-03-02 10:16:00 UTC",
        "*Steps*\n7, of which 5 can be put back",
        "*When it is fixed*\nreleased by itself",
        f"`{PLAN.digest}`",
        "checkout keeps the replacement",
        "credentials the instance has already been issued",
    ):
        assert fact in said(message)
    (buttons,) = [block["elements"] for block in message.blocks if block["type"] == "actions"]
    assert [(button["action_id"], button.get("url")) for button in buttons] == [("open", URL)]
    assert_slack_takes(message)


def buttons_of(message: Message) -> dict[str, dict[str, Any]]:
    (buttons,) = [block["elements"] for block in message.blocks if block["type"] == "actions"]
    return {button["action_id"]: button for button in buttons}


def ruled(**rule: Any) -> Plan:
    return PLAN.model_copy(update={"approval": PLAN.approval.model_copy(update=rule)})


def test_answers_in_slack_carry_response_and_digest_and_ask_again() -> None:
    plan = ruled(slack_suffices=True)
    buttons = buttons_of(approval_message(plan, keys_of(), URL, after(60), answers_in_slack=True))
    assert list(buttons) == ["open", APPROVE, REJECT]
    for button in (buttons[APPROVE], buttons[REJECT]):
        assert read_answer_value(button["value"]) == PlanRef(response=plan.response, digest=plan.digest)
        assert plan.short_digest in button["confirm"]["text"]["text"]
        assert INSTANCE_ID in button["confirm"]["text"]["text"]
    assert buttons[APPROVE]["style"] == "danger"


def test_where_slack_does_not_suffice_its_button_asks_for_a_code_and_the_modal_repeats_what_it_is_about() -> None:
    plan = PLAN.model_copy(update={"extents": (Extent(case=CASE, environment="production", environment_size=40),)})
    buttons = buttons_of(approval_message(plan, keys_of(), URL, after(60), answers_in_slack=True))
    assert list(buttons) == ["open", APPROVE_WITH_CODE, REJECT]
    assert "confirm" not in buttons[APPROVE_WITH_CODE]
    view = code_view(plan, keys_of())
    shown = "\n".join(each["text"] for each in texts(view["blocks"]))
    for fact in (
        f"*Contain {INSTANCE_ID} (210987654321, eu-west-1)*",
        "7 steps",
        "1 of 40 running instances of environment production",
        f"`{plan.digest}`",
        "One-time code",
    ):
        assert fact in shown
    assert view["private_metadata"] == buttons[APPROVE_WITH_CODE]["value"]
    assert list(view_problems(view)) == []


@pytest.mark.parametrize(
    "value", ["", "x", "response-1|abc", f"response-1|{'A' * 64}", f"a|b|{'a' * 64}", f"|{'a' * 64}"]
)
def test_what_no_button_of_ours_carries_is_no_answer(value: str) -> None:
    assert read_answer_value(value) is None


def test_the_question_says_how_much_it_touches_when_and_who_may_approve() -> None:
    extent = Extent(
        case=CASE, environment="production", environment_size=40, auto_scaling_group="web", auto_scaling_group_size=4
    )
    plan = ruled(quorum=2, approvers=("alice", "bob")).model_copy(
        update={"extents": (extent,), "windows": (ChangeWindow(start="02:00", end="04:00"),)}
    )
    message = approval_message(plan, keys_of(), URL, after(60))
    for fact in (
        "• 1 of 40 running instances of environment production",
        "• 1 of 4 instances of Auto Scaling group web",
        "daily 02:00 to 04:00 UTC",
        "2 different people with the grant contain@production; only alice and bob may",
        "Proof: a one-time code, also in Slack",
    ):
        assert fact in said(message)
    assert_slack_takes(message)


@pytest.mark.parametrize(
    ("counts", "answer", "words"),
    [
        (True, "approved", "Recorded: you approved. Plan {digest} goes ahead."),
        (True, "rejected", "Recorded: you rejected. Nothing of plan {digest} will be done."),
        (True, None, "Recorded: your yes counts. Plan {digest} needs a different person's yes too."),
        (False, None, "Not accepted: the one-time code is wrong. Plan {digest} is as it was."),
    ],
)
def test_who_answered_is_told_what_became_of_it(counts: bool, answer: str | None, words: str) -> None:
    given = AnswerGiven(
        digest=PLAN.digest,
        attempt=1,
        says="approve",
        counts=counts,
        claimed="U0ALICE",
        approver=None,
        channel="slack",
        factor="none",
        submitted_at=after(1),
        code="" if counts else "wrong-code",
        reason="" if counts else "the one-time code is wrong",
    )
    decision = a_decision(PLAN, answer) if answer else None
    assert said_back(given, decision) == words.format(digest=PLAN.short_digest)
    assert list(view_problems(said_view(given, decision))) == []


@pytest.mark.parametrize(
    ("answer", "words", "consequence"),
    [
        ("approved", "approved", "The plan runs now"),
        ("rejected", "rejected", "Nothing of this plan is done."),
        ("expired", "expired without an answer", "nobody answered"),
        ("invalid", "not accepted", "the question stays open"),
    ],
)
def test_a_decision_says_who_how_when_and_what_follows(answer: str, words: str, consequence: str) -> None:
    decision = a_decision(PLAN, answer, comment="go `ahead`", reason="a reason", channel="slack")
    message = decision_message(decision, PLAN, keys_of(), at=after(5))
    assert words in message.text
    assert consequence in said(message)
    assert "by `jane@corp.example` through Slack at 2026-03-02 09:21:00 UTC" in said(message)
    assert "Comment: `go 'ahead'`" in said(message)
    assert "Reason: a reason" in said(message)
    assert PLAN.digest in said(message)
    assert not [block for block in message.blocks if block["type"] == "actions"]


def test_the_outcome_says_result_evidence_and_what_is_left() -> None:
    ended = ResponseEnded(result="not fixed", reason="libssl3 is still vulnerable", contained=True)
    message = outcome_message(
        ended, (a_verdict(VerdictKind.NOT_FIXED, "one", "two"),), keys_of(), took=timedelta(minutes=46), run_url=URL
    )
    assert message.text == f"Not fixed: {INSTANCE_ID} (210987654321, eu-west-1)"
    for fact in (
        "❌",
        "libssl3 is still vulnerable",
        "Still contained",
        "Took 46 min",
        f"• {INSTANCE_ID} is not fixed: one; two",
        f"<{URL}|The run>",
    ):
        assert fact in said(message)
    assert_slack_takes(message)


def test_a_note_is_its_text_and_its_links() -> None:
    message = note("Waiting for <Inspector> & co", {"The run": URL, "None": None})
    assert message.text == "Waiting for <Inspector> & co"  # the gateway escapes it
    assert said(message) == f"Waiting for &lt;Inspector&gt; &amp; co\n<{URL}|The run>"
    assert_slack_takes(note(""))


@settings(deadline=None, max_examples=50)
@given(WORDS, WORDS)
def test_nothing_that_is_said_breaks_a_message(one: str, two: str) -> None:
    finding = a_finding(
        title=one,
        vulnerability_id=one,
        severity=two,
        source_url=two,
        packages=(a_package(name=one, version=two, fixed_in=one),) * 30,
        resource=a_resource(tags={"Name": two}),
    )
    plan = PLAN.model_copy(
        update={
            "reasons": (one, two) * 20,
            "not_covered": (one,) * 60,
            "cannot_be_put_back": (two,) * 60,
            "runbook": one,
            "approval": PLAN.approval.model_copy(update={"approvers": (one, two)}),
        }
    )
    decision = a_decision(plan, approver=one, comment=two, reason=one)
    ended = ResponseEnded(result=one, reason=two, contained=True)
    verdicts = (a_verdict(VerdictKind.UNVERIFIABLE, one, two),) * 40
    for message in (
        alert_message(keys_of(), {CASE: (finding,) * 30}, a_runbook(), run_url=one, console_url=two),
        approval_message(plan, keys_of(), one, after(60), answers_in_slack=True),
        decision_message(decision, plan, keys_of(), at=after(1)),
        outcome_message(ended, verdicts, keys_of(), run_url=one, ticket_url=two),
        note(one, {two: URL}),
    ):
        assert_slack_takes(message)
    assert list(view_problems(code_view(plan, keys_of()))) == []


def test_a_plan_of_hundreds_of_steps_is_one_question() -> None:
    every = assessments(50)
    message = approval_message(a_contain_plan(*every), keys_of(*every), URL, after(60))
    assert "and 286 more" in said(message)
    assert_slack_takes(message)


def test_the_alert_of_three_hundred_cases_names_the_most_urgent_and_counts_the_rest() -> None:
    keys = {key.id: key for key in (a_case_key(f"i-{number:017x}") for number in range(300))}
    findings = {
        case: (a_finding(1, resource=a_resource(key.resource_id), severity="HIGH"),) for case, key in keys.items()
    }
    last = list(keys)[-1]
    findings[last] = (a_finding(2, resource=a_resource(keys[last].resource_id)),)
    message = alert_message(keys, findings, a_runbook())
    assert message.text == "CRITICAL CVE-2026-10002 and 1 more on 300 instances (210987654321, eu-west-1)"
    (where,) = [block["text"]["text"] for block in message.blocks if "most urgent" in str(block.get("text"))]
    lines = where.split("\n")
    assert lines[1] == f"• {keys[last]}: CRITICAL CVE-2026-10002"
    assert (len(lines), lines[-1]) == (1 + 12 + 1, "and 288 more")
