"""What the SOC is told about a question and its answer: once, in its place, whichever run tells it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect.logging import disable_run_logger

from deployments.sandbox.slack import slack_app
from deployments.sandbox.slack_workspace import TOKEN, Workspace
from runbooks.case import response_stream
from runbooks.plan import Plan
from runbooks.records import Intent, Outcome
from runbooks.telling.answering import APPROVE_WITH_CODE, REJECT
from tasks.gateways.ledger import Lease, Ledger
from tasks.notices import tell_asked, tell_decided
from tasks.run import Run
from tasks.services import Services
from tasks.settings import Settings
from tests.runbooks.builders import a_case_key, a_contain_plan, a_finding
from tests.runbooks.signatures import JANE, decided
from tests.serving import serving

UNTIL = datetime.now(UTC) + timedelta(hours=1)


class Response:
    """A response that asks about a plan, the Slack it asks in, and the runs that tell."""

    def __init__(self, ledger: Ledger, workspace: Workspace, settings: Settings) -> None:
        self.ledger, self.workspace, self.settings = ledger, workspace, settings
        key = a_case_key()
        ledger.take_finding(key, a_finding(), "webhook")
        self.row = ledger.start_response(key.runbook, [key.id], "webhook")
        self.plan: Plan = a_contain_plan(response=self.row.id)
        self._lease: Lease | None = None

    def run(self, **changes: Any) -> Run:
        """Another run, which takes the response over."""
        if self._lease is not None:
            self.ledger.release(self._lease)
        attempt = self.ledger.next_attempt(self.row.id)
        self._lease = self.ledger.take_over(self.row.id, attempt, f"run-{attempt}", (), 30)
        have = Services(self.settings.model_copy(update=changes))
        return Run(services=have, response=self.row, lease=self._lease, flow_run=f"run-{attempt}")

    def decide(self, **changes: Any) -> Any:
        decision = decided(self.plan, "approved", JANE, **changes)
        self.ledger.append(response_stream(self.row.id), decision)
        return decision

    def messages(self) -> list[tuple[str, list[str]]]:
        """Text and buttons of each message."""
        return [
            (
                message.text,
                [
                    each["action_id"]
                    for block in message.blocks
                    for each in block.get("elements", ())
                    if "value" in each
                ],
            )
            for message in self.workspace.messages
        ]

    def acts(self) -> list[tuple[str, str]]:
        records = (entry.record() for entry in self.ledger.entries(response_stream(self.row.id)))
        return [(record.kind, record.action) for record in records if isinstance(record, Intent | Outcome)]


@pytest.fixture
def response(tmp_path: Path) -> Iterator[Response]:
    workspace, url = Workspace(), f"sqlite:///{tmp_path}/ledger.db"
    ledger = Ledger.open(url)
    with serving(slack_app(workspace)) as slack:
        values: dict[str, Any] = {
            "home": tmp_path,
            "ledger_url": url,
            "slack_token": TOKEN,
            "slack_url": f"{slack}/api/",
            "slack_channel": "#security",
            "slack_signing_secret": "a secret",
        }
        yield Response(ledger, workspace, Settings(**values))
    ledger.close()


QUESTION = "Approve? Contain i-0a1b2c3d4e5f60718 (210987654321, eu-west-1): 7 steps"
ANSWER = "Contain i-0a1b2c3d4e5f60718 (210987654321, eu-west-1): approved"


def test_the_question_has_buttons_only_where_answers_from_slack_are_taken(response: Response) -> None:
    tell_asked(response.run(), response.plan, 1, UNTIL)
    tell_asked(response.run(slack_signing_secret=None), response.plan, 2, UNTIL)
    assert response.messages() == [(QUESTION, [APPROVE_WITH_CODE, REJECT]), (QUESTION, [])]


def test_who_decided_takes_the_place_of_the_question_once_whichever_run_says_it(response: Response) -> None:
    tell_asked(response.run(), response.plan, 1, UNTIL)
    decision = response.decide(channel="slack")

    tell_decided(response.run(), response.plan, decision)
    edited = response.workspace.messages[0].edited
    tell_decided(response.run(), response.plan, decision)

    assert response.messages() == [(ANSWER, [])]
    assert "by `jane@corp.example` through Slack at " in str(response.workspace.messages[0].blocks)
    assert response.workspace.messages[0].edited == edited is not None
    assert response.acts() == [
        ("intent", "post-message"),
        ("outcome", "post-message"),
        ("intent", "update-message"),
        ("outcome", "update-message"),
    ]


def test_what_could_not_be_said_is_said_by_the_next_run(response: Response) -> None:
    tell_asked(response.run(), response.plan, 1, UNTIL)
    decision = response.decide()
    response.workspace.faults.add("chat.update", "server-error")
    with disable_run_logger():
        for _ in range(2):
            tell_decided(response.run(), response.plan, decision)
    assert response.messages() == [(ANSWER, [])]
    assert response.acts()[2:] == [("intent", "update-message"), ("outcome", "update-message")]


def test_a_pre_authorised_plan_is_reported_though_nobody_was_asked(response: Response) -> None:
    decision = response.decide(channel="runbook", approver=None, approvers=(), reason="exploited and exposed")
    for _ in range(2):
        tell_decided(response.run(), response.plan, decision)
    assert response.messages() == [(ANSWER, [])]
    assert "without asking" in str(response.workspace.messages[0].blocks)


def test_where_the_runbook_asks_nobody_nothing_is_said(response: Response) -> None:
    rule = response.plan.approval.model_copy(update={"required": False})
    plan = response.plan.model_copy(update={"approval": rule})
    tell_decided(response.run(), plan, decided(plan, "approved", channel="plan"))
    assert (response.messages(), response.acts()) == ([], [])
