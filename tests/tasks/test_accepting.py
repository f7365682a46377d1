"""What is meant to be open is accepted: the alert's ticket says who has said so, once, and nothing is changed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployments.sandbox.jira import jira_app
from deployments.sandbox.jira_site import TOKEN, Site
from flows.playbooks.network import play
from runbooks.records import ResponseEnded
from tasks.accepting import tell_acceptance
from tasks.alert import open_ticket
from tasks.gateways.jira import JiraGateway
from tests.serving import serving
from tests.tasks.conftest import OpenHouse
from tests.tasks.network_story import NetworkStory, story
from tests.tasks.playing import prefect_alone


@pytest.fixture(scope="module", autouse=True)
def prefect() -> Iterator[None]:
    with prefect_alone():
        yield


@pytest.fixture
def site() -> Site:
    return Site(search_delay=0)


@pytest.fixture
def jira(site: Site) -> Iterator[JiraGateway]:
    with serving(jira_app(site)) as url:
        yield JiraGateway(url, site.email, TOKEN, "SEC", "Task", timeout=5)


def playing(open_house: OpenHouse, folder: Path, jira: JiraGateway, **options: Any) -> NetworkStory:
    found = story(open_house, folder, **options)
    vars(found.have)["jira"] = jira
    return found


def played(playing: NetworkStory) -> ResponseEnded:
    with playing.running():
        return asyncio.run(play())


def comments(site: Site) -> list[str]:
    (issue,) = site.issues.values()
    return [str(each["body"]) for each in issue.comments]


def test_an_expected_port_ends_as_an_acceptance_that_the_ticket_tells(
    open_house: OpenHouse, tmp_path: Path, site: Site, jira: JiraGateway
) -> None:
    tags = {"remediation:expected-exposure": "443"}
    accepted = playing(open_house, tmp_path, jira, ports=(443, 443), tags=tags)
    ended = played(accepted)
    assert ended.result == "nothing-to-do"
    assert "tcp/443 is meant to be open" in ended.reason
    (said,) = comments(site)
    assert said.startswith("*Accepted, and nothing is changed.*")
    assert "is meant to be open: its owner's tag remediation:expected" in said.replace("\\", "")
    assert accepted.house.mutating_calls() == []
    (case,) = accepted.run.cases
    row = accepted.house.ledger.case(case)
    assert row is not None
    assert row.status == "closed"


def test_told_again_it_is_told_once(open_house: OpenHouse, tmp_path: Path, site: Site, jira: JiraGateway) -> None:
    tags = {"remediation:expected-exposure": "443"}
    with playing(open_house, tmp_path, jira, ports=(443, 443), tags=tags).running():
        open_ticket()
        tell_acceptance()
        tell_acceptance()
    assert len(comments(site)) == 1


def test_what_is_for_a_person_is_not_called_accepted(
    open_house: OpenHouse, tmp_path: Path, site: Site, jira: JiraGateway
) -> None:
    unreadable = playing(open_house, tmp_path, jira, tags={"remediation:expected-exposure": "ssh"})
    assert played(unreadable).result == "person"
    assert all(not issue.comments for issue in site.issues.values())
