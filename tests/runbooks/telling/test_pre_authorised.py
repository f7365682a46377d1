"""What nobody was asked about says so wherever it is told."""

from __future__ import annotations

from runbooks.history import fold
from runbooks.plan import ApprovalRule
from runbooks.records import PlanMade, ResponseStarted
from runbooks.telling.messages import decision_message, what_happens_next
from runbooks.telling.post_mortem import write_post_mortem
from runbooks.telling.post_mortem_text import post_mortem_markdown
from runbooks.telling.words import CHANNELS, by_whom
from tests.runbooks.builders import a_contain_plan, a_decision, a_finding, a_runbook, after, an_assessment, keys_of
from tests.runbooks.histories import dated

REASON = "ec2-high-severity-cve has authorised beforehand to contain what is exposed and tagged containment=automatic"
PLAN = a_contain_plan(approval=ApprovalRule(pre_authorised=REASON))
DECISION = a_decision(PLAN, approver=None, channel="runbook", reason=REASON)


def test_slack_says_that_nobody_was_asked_and_why() -> None:
    message = decision_message(DECISION, PLAN, keys_of(), at=after(5))
    said = str(message.blocks)
    assert "without asking: the runbook has authorised it beforehand" in said
    assert REASON in said


def test_the_post_mortem_says_it_too() -> None:
    history = fold(
        [
            dated(
                0, ResponseStarted(response=PLAN.response, runbook=PLAN.runbook, cases=PLAN.cases, started_by="sweep")
            ),
            dated(1, PlanMade(digest=PLAN.digest, plan=PLAN)),
            dated(2, DECISION),
        ]
    )
    findings = {case: (a_finding(),) for case in PLAN.cases}
    text = post_mortem_markdown(write_post_mortem(history, keys_of(), findings, (an_assessment(),), (), a_runbook()))
    assert "without asking: the runbook has authorised it beforehand" in text
    assert CHANNELS["runbook"] in text
    assert REASON in text


def test_the_alert_does_not_promise_that_a_person_is_asked() -> None:
    asks = a_runbook()
    choice = {"when": [["known-exploit", "exposed"]], "tags": {"containment": "automatic"}}
    assert "Nothing is changed before a person approves the plan" in what_happens_next(asks)
    assert "without asking" in what_happens_next(a_runbook(contain={"pre_authorised": choice}))


def test_every_channel_has_words() -> None:
    for channel in ("prefect", "slack", "command", "plan", "runbook", "sweep"):
        assert CHANNELS[channel]
    assert by_whom(DECISION) == "without asking: the runbook has authorised it beforehand"
