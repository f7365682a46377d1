"""What only people act upon, from its finding to the end of its case, as its flow plays it on the sandbox."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deployments.sandbox.furnish_function import furnish_function
from deployments.sandbox.furnish_function_options import FunctionOptions
from deployments.sandbox.jira import jira_app
from deployments.sandbox.jira_site import TOKEN, Site
from deployments.sandbox.server import Sandbox
from deployments.sandbox.slack_workspace import Workspace
from flows.playbooks import play
from flows.rescan_verify import _playbook as look
from runbooks.case import case_stream
from runbooks.inspector import to_detail
from runbooks.records import Reconciled, ResponseEnded
from tasks.gateways.aws_session import AwsSessions
from tasks.gateways.inspector import InspectorGateway
from tasks.gateways.ledger import CaseRow, ResponseRow
from tasks.handing_over import open_handover_ticket
from tasks.intake import drain
from tasks.run import open_response, running
from tasks.services import use
from tasks.sweeping.ending import Over, end_cases
from tasks.sweeping.over import OPEN_CASES, look_at_what_is_over
from tasks.sweeping.swept import Swept
from tasks.triage import triage_cases
from tests.serving import serving
from tests.tasks.gateways.aws_world import ACCOUNT, REGION, ROLE_ARN
from tests.tasks.playing import prefect_alone
from tests.tasks.sweep_house import SweepHouse, slack_workspace, sweep_house

WEAKNESS = {
    "type": "CODE_VULNERABILITY",
    "title": "CWE-798 - Hardcoded credentials",
    "codeVulnerabilityDetails": {
        "cwes": ["CWE-798"],
        "detectorId": "python/hardcoded-credentials@v1.0",
        "detectorName": "Hardcoded credentials",
        "filePath": {"fileName": "app.py", "filePath": "src/app.py", "startLine": 4, "endLine": 6},
    },
    "remediation": {"recommendation": {"text": "Read it from a secret store."}},
}


@pytest.fixture(scope="module", autouse=True)
def prefect() -> Iterator[None]:
    with prefect_alone():
        yield


@dataclass
class Story:
    """A weakness in the code of a function, in a sandbox with Slack and Jira."""

    house: SweepHouse
    sandbox: Sandbox
    slack: Workspace
    jira: Site
    arn: str

    @property
    def finding(self) -> Any:
        return self.sandbox.cloud.world(ACCOUNT, REGION).findings[self.arn]

    @property
    def case(self) -> CaseRow:
        """The first, which is about the finding."""
        return self.house.ledger.cases()[0]

    def asked(self) -> list[Reconciled]:
        """What was written down of Inspector's answers."""
        stream = f"{OPEN_CASES}{ACCOUNT}/{REGION}"
        records = [entry.record() for entry in self.house.ledger.entries(stream)]
        return [each for each in records if isinstance(each, Reconciled)]

    def deliver(self, status: str | None = None, arn: str = "") -> None:
        """An event about the finding as Inspector has it, or as somebody says that it is."""
        self.pass_by(1)
        arn = arn or self.arn
        self.sandbox.cloud.world(ACCOUNT, REGION).findings[arn].updated_at = self.sandbox.cloud.clock.now()
        sessions = AwsSessions(ROLE_ARN, "aws", session_name="test")
        finding = InspectorGateway(sessions).findings(ACCOUNT, REGION, [arn])[arn]
        assert finding is not None
        said = finding.model_copy(update={"status": status or finding.status})
        self.house.ledger.receive(f"{said.status}/{said.updated_at}", "webhook", json.dumps(to_detail(said)).encode())
        drain(self.house.ledger, self.house.catalog)

    def pass_by(self, minutes: float) -> None:
        self.sandbox.advance(minutes * 60)
        self.house.clock.now = self.sandbox.cloud.clock.now()

    def sweep(self, hours: float = 0) -> Swept:
        """The part of a sweep that asks about what is open, so many hours from now."""
        self.pass_by(hours * 60)
        swept = Swept()
        asyncio.run(
            swept.guarded("open cases", look_at_what_is_over(self.house, self.house.now(), swept)),
        )
        return swept

    def become(self, status: str) -> None:
        """Inspector changes the finding, and no event of that arrives."""
        self.pass_by(1)
        self.finding.status, self.finding.updated_at = status, self.sandbox.cloud.clock.now()

    def play(self, flow: Any = play) -> ResponseEnded:
        """The newest response's run, from its first line to its last."""
        row = self.newest
        with use(self.house), running(row.id, 0, "run"):
            return asyncio.run(flow())

    @property
    def newest(self) -> ResponseRow:
        row = self.house.ledger.response(self.case.last_response_id or "")
        assert row is not None
        return row

    def somebody_takes_it(self) -> None:
        """The board moves a ticket one column at a time: what nobody took cannot be done."""
        (issue,) = self.jira.issues.values()
        issue.status = "In Progress"

    def closed_for(self) -> list[str]:
        entries = self.house.ledger.entries_of(case_stream(self.case.id), "case-closed")
        return [entry.body["reason"] for entry in entries]

    def comments(self) -> list[str]:
        return [str(each["body"]) for issue in self.jira.issues.values() for each in issue.comments]

    def tickets(self) -> list[tuple[str, str]]:
        return [(issue.summary, issue.status) for issue in self.jira.issues.values()]


@pytest.fixture
def story(tmp_path: Path, executor_aws: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Story]:
    monkeypatch.setenv("AWS_ENDPOINT_URL", executor_aws.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    executor_aws.reset()
    site = Site(search_delay=0)
    with slack_workspace() as (slack, slack_settings), serving(jira_app(site)) as url:
        jira = {"jira_server": url, "jira_user": site.email, "jira_token": TOKEN}
        with sweep_house(tmp_path, role_arn=ROLE_ARN, **slack_settings, **jira) as house:
            story = Story(house, executor_aws, slack, site, a_weakness(executor_aws))

            def seconds() -> float:
                return house.clock.now.timestamp()

            site.clock = seconds
            story.deliver()
            yield story


def a_weakness(sandbox: Sandbox, name: str = "receipts") -> str:
    """A function whose own code Inspector finds weak."""
    options = FunctionOptions(account=ACCOUNT, region=REGION, name=name, tags={"team": "payments"})
    arn: str = furnish_function(sandbox.cloud, options)["finding_arn"]
    body = sandbox.cloud.world(ACCOUNT, REGION).findings[arn].advisory.body
    body.pop("packageVulnerabilityDetails", None)
    body |= WEAKNESS
    return arn


def changing_calls(story: Story) -> list[str]:
    calls = story.sandbox.cloud.record.calls()
    return [each["operation"] for each in calls if each["mutating"] and each["service"] != "sts"]


def test_a_weakness_ends_in_one_ticket_for_its_owner_and_changes_nothing(story: Story) -> None:
    story.sandbox.cloud.record.clear()
    ended = story.play()
    assert (ended.result, ended.contained) == ("person", False)
    ((summary, status),) = story.tickets()
    assert (summary.split(" on ")[0], status) == ("CRITICAL CWE-798 - Hardcoded credentials", "To Do")
    (issue,) = story.jira.issues.values()
    words = str(issue.description).replace("\\", "")
    for said in (
        "Owner: payments",
        "Weakness: CWE-798",
        "{{src/app.py}}, lines 4 to 6",
        "Read it from a secret store.",
    ):
        assert said in words
    alert, outcome = story.slack.messages
    assert outcome.thread_ts == alert.ts
    assert story.case.status == "open"
    assert changing_calls(story) == []


HANDED_OVER = "it was handed over in a ticket, and whether it is fixed was not looked at"


def test_what_inspector_closes_is_ended_and_never_counted_as_fixed(story: Story) -> None:
    story.play()
    story.somebody_takes_it()
    story.finding.status = "CLOSED"
    story.deliver()
    assert story.case.status == "open", "the word of a delivery closes nothing"
    story.sandbox.cloud.record.clear()

    swept = story.sweep()

    assert (swept.over, swept.looked_again, swept.troubles) == ([story.case.id], [], [])
    why = f"Inspector reports it no more (1 closed): {HANDED_OVER}"
    assert (story.case.status, story.closed_for()) == ("closed", [why])
    assert [status for _, status in story.tickets()] == ["Done"]
    (comment,) = story.comments()
    assert comment.startswith("1 case of this ticket ended, and none of them is counted as fixed:")
    assert changing_calls(story) == []
    assert story.sweep(hours=12) == Swept()


def test_what_inspector_closes_and_nobody_says_is_ended_all_the_same(story: Story) -> None:
    story.play()
    story.somebody_takes_it()
    story.become("CLOSED")
    assert story.sweep(hours=5.5).over == [], "nobody asks all the time"
    assert story.sweep(hours=0.5).over == [story.case.id]
    assert [status for _, status in story.tickets()] == ["Done"]
    assert [(each.listed, each.missed, each.trouble) for each in story.asked()] == [(0, 1, "")]


def test_what_inspector_still_reports_stays_open_and_is_asked_about_from_time_to_time(story: Story) -> None:
    story.play()
    for _ in range(3):
        assert story.sweep(hours=6) == Swept()
    assert [(each.listed, each.missed) for each in story.asked()] == [(1, 0)] * 3
    assert (story.case.status, len(story.tickets()), story.comments()) == ("open", 1, [])


def test_a_forged_closure_leads_to_one_question_and_to_nothing_else(story: Story) -> None:
    story.play()
    story.deliver("CLOSED")
    assert (story.sweep(), story.sweep()) == (Swept(), Swept())
    assert (story.case.status, len(story.tickets()), len(story.asked())) == ("open", 1, 1)

    story.finding.status = "CLOSED"
    story.deliver()
    assert (story.sweep().over, story.case.status) == ([story.case.id], "closed")


def test_what_is_over_before_anybody_has_looked_is_no_ticket(story: Story) -> None:
    story.finding.status = "SUPPRESSED"
    assert story.play().result == "nothing-to-do"
    assert (story.tickets(), story.case.status) == ([], "closed")


def test_an_accepted_risk_ends_it_with_that_reason(story: Story) -> None:
    story.play()
    story.become("SUPPRESSED")
    story.sweep(hours=6)
    (why,) = story.closed_for()
    assert why.endswith("(1 suppressed): a suppression rule covers it, so its owner has accepted the risk")


def test_what_inspector_has_deleted_is_over(story: Story) -> None:
    story.play()
    del story.sandbox.cloud.world(ACCOUNT, REGION).findings[story.arn]
    story.sweep(hours=6)
    assert (story.case.status, story.closed_for()) == (
        "closed",
        [f"Inspector reports it no more (1 deleted): {HANDED_OVER}"],
    )


def test_what_comes_back_is_a_ticket_again(story: Story) -> None:
    story.play()
    story.somebody_takes_it()
    story.become("CLOSED")
    story.sweep(hours=6)
    story.finding.status = "ACTIVE"
    story.deliver()
    assert story.play().result == "person"
    assert [status for _, status in story.tickets()] == ["Done", "To Do"]
    story.become("CLOSED")
    story.sweep(hours=6)
    assert len(story.comments()) == 2, "the ticket that was done is not told again"


def test_a_shared_ticket_is_done_when_its_last_case_is_over(story: Story) -> None:
    other = a_weakness(story.sandbox, "invoices")
    story.deliver(arn=other)
    first, second = story.house.ledger.cases()
    story.play()
    story.somebody_takes_it()
    story.become("CLOSED")
    assert story.sweep(hours=6).over == [first.id]
    assert [status for _, status in story.tickets()] == ["In Progress"]
    story.sandbox.cloud.world(ACCOUNT, REGION).findings[other].status = "CLOSED"
    assert story.sweep(hours=6).over == [second.id]
    assert ([status for _, status in story.tickets()], len(story.comments())) == (["Done"], 2)


@pytest.mark.parametrize("lost", ["server-error", "answer-lost"])
def test_while_the_ticket_cannot_be_told_the_case_stays_open_and_is_told_once(story: Story, lost: str) -> None:
    story.play()
    story.somebody_takes_it()
    story.become("CLOSED")
    story.jira.faults.add("POST issue/{key}/comment", lost)
    swept = story.sweep(hours=6)
    assert (swept.over, [each.split(":")[0] for each in swept.troubles]) == ([], [f"open cases {ACCOUNT}/{REGION}"])
    assert (story.case.status, [status for _, status in story.tickets()]) == ("open", ["In Progress"])
    assert story.sweep() == Swept(), "not asked again at every pass"
    assert story.sweep(hours=0.25).over == [story.case.id]
    assert (len(story.comments()), [status for _, status in story.tickets()]) == (1, ["Done"])
    assert [bool(each.trouble) for each in story.asked()] == [True, False]


def test_news_that_comes_while_inspector_is_asked_keeps_the_case_open(story: Story) -> None:
    story.play()
    head = story.house.ledger.head(case_stream(story.case.id))
    story.deliver("SUPPRESSED")
    swept = Swept()
    end_cases(story.house, [Over(story.case, head, (None,)).because("it is gone")], swept)
    assert (swept.over, story.case.status) == ([], "open")


def test_a_look_on_demand_never_says_fixed(story: Story) -> None:
    story.play()
    for status, verdict in (("ACTIVE", "not fixed"), ("CLOSED", "unverifiable")):
        story.finding.status = status
        with use(story.house):
            open_response("verify", story.case.id, started_by="command:jo")
        assert story.play(look).result == verdict
    assert story.case.status == "open"
    assert len(story.tickets()) == 1


def test_a_run_that_died_before_its_end_makes_no_second_ticket(story: Story) -> None:
    with use(story.house), running(story.newest.id, 0, "first"):
        asyncio.run(_until_the_ticket())
    story.pass_by(2)
    assert story.play().result == "person"
    assert (len(story.tickets()), len(story.slack.messages)) == (1, 2)


async def _until_the_ticket() -> None:
    open_handover_ticket(triage_cases())
