"""The whole way of what belongs to no case: it is delivered, the sweep takes it, and people are told of it once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployments.sandbox.jira import jira_app
from deployments.sandbox.jira_site import TOKEN, Issue, Site
from deployments.sandbox.server import Sandbox
from deployments.sandbox.slack_workspace import Workspace
from runbooks.catalog import LIBRARY
from tests.kinds_page import EVENTS
from tests.serving import serving
from tests.tasks.gateways.aws_world import ACCOUNT, INSTANCE, REGION, ROLE_ARN, an_event
from tests.tasks.sweep_house import SweepHouse, prefect_api, slack_workspace, sweep_house


@dataclass
class People:
    """A house whose sweep reaches AWS, Jira and Slack."""

    house: SweepHouse
    sandbox: Sandbox
    slack: Workspace
    jira: Site

    def deliver(self, name: str, number: int = 1, **changes: Any) -> str:
        """An example's event, once more: an event of another id."""
        event = json.loads(EVENTS[name].read_text()) | {"id": f"{name}-{number}"} | changes
        return self.house.ledger.receive(event["id"], "webhook", json.dumps(event).encode()).id

    def told(self) -> tuple[list[Issue], list[str]]:
        return [*self.jira.issues.values()], [each.text for each in self.slack.messages]


@pytest.fixture
def people(tmp_path: Path, executor_aws: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[People]:
    monkeypatch.setenv("AWS_ENDPOINT_URL", executor_aws.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    executor_aws.reset()
    site = Site(search_delay=0)
    with prefect_api(), slack_workspace() as (slack, channel), serving(jira_app(site)) as url:
        jira = {"jira_server": url, "jira_user": site.email, "jira_token": TOKEN}
        with sweep_house(tmp_path, role_arn=ROLE_ARN, coverage_gaps="ticket", **channel, **jira) as house:
            house.clock.now = executor_aws.cloud.clock.now()

            def seconds() -> float:
                return house.clock.now.timestamp()

            site.clock = seconds
            yield People(house, executor_aws, slack, site)


def test_a_gap_that_lasts_becomes_one_ticket_for_the_platform_team(people: People) -> None:
    people.sandbox.furnish(an_event())
    people.sandbox.cloud.world(ACCOUNT, REGION).nodes[INSTANCE].registered_at = None
    people.deliver("coverage_event")
    assert (people.house.sweep().troubles, people.told()) == ([], ([], []))

    people.house.clock.pass_by(minutes=61)
    assert people.house.sweep().asked == [INSTANCE]
    people.deliver("coverage_event", 2)
    people.house.sweep()
    people.house.clock.pass_by(minutes=61)
    people.house.sweep()

    (issue,), messages = people.told()
    assert issue.summary.startswith(f"Inspector does not scan a resource: {INSTANCE} in {ACCOUNT}, {REGION}")
    assert {"coverage-gap", "platform-team"} <= set(issue.labels)
    assert messages == [], "it is nobody's alarm"


def test_a_kind_that_is_new_is_one_alert_and_is_acted_upon_after_an_update(people: People, tmp_path: Path) -> None:
    detail = json.loads(EVENTS["code_repository_event"].read_text())["detail"]
    detail["resources"][0]["type"] = "AWS_QUANTUM"
    for number in range(3):
        people.deliver("code_repository_event", number, detail=detail)
        assert people.house.sweep().troubles == []

    (issue,), (message,) = people.told()
    new = f"Something new has been delivered: {detail['type']} on AWS_QUANTUM"
    assert issue.summary == new
    assert {"unknown-kind", "security-operations"} <= set(issue.labels)
    assert message.startswith(f"⚠️ {new}")
    assert people.house.ledger.cases() == ()

    ids = people.house.ledger.set_aside("unknown-kind")
    assert len(people.house.ledger.replay(ids, "command:jo")) == 3
    assert updated(people.house, tmp_path).sweep().troubles == []

    (case,) = people.house.ledger.cases()
    assert (case.key.runbook, case.key.resource_type) == ("quantum", "AWS_QUANTUM")
    assert {each.state for each in people.house.ledger.deliveries()} == {"handled"}
    assert len(people.house.ledger.responses()) == 1
    assert people.told() == ([issue], [message])


def updated(house: SweepHouse, folder: Path) -> SweepHouse:
    """The same house, when somebody has added a runbook of their own that knows the type."""
    shipped = yaml.safe_load((LIBRARY / "any-high-severity-finding.yaml").read_text(encoding="utf-8"))
    mine = shipped | {"name": "quantum", "matches": shipped["matches"] | {"resource_type": "AWS_QUANTUM"}}
    (folder / "quantum.yaml").write_text(yaml.safe_dump(mine), encoding="utf-8")
    later = SweepHouse(house.settings.model_copy(update={"library": str(folder)}), house.clock)
    vars(later)["ledger"] = house.ledger
    return later
