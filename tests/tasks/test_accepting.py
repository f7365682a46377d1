"""What is meant to be open is accepted: the alert's ticket says who has said so, once, and nothing is changed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployments.sandbox.jira import jira_app
from deployments.sandbox.jira_site import TOKEN, Issue, Site
from flows.playbooks.network import play
from flows.response_run import LookAgain
from runbooks.case import case_stream
from runbooks.plan import Phase
from runbooks.records import ResponseEnded
from tasks.accepting import tell_acceptance
from tasks.alert import open_ticket
from tasks.gateways.jira import JiraGateway
from tasks.planning import make_plan
from tests.serving import serving
from tests.tasks.conftest import OpenHouse
from tests.tasks.network_story import INSTANCE, TWELVE_HOURS, NetworkStory, finding_on, furnished, story
from tests.tasks.playing import prefect_alone

MEANT = "i-0d1d2d3d4d5d60001"
"""An instance that is meant to be reached."""


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
    return comments_on(issue)


def comments_on(issue: Issue) -> list[str]:
    return [str(each["body"]) for each in issue.comments]


def verdicts_of(playing: NetworkStory, case: str) -> list[str]:
    entries = playing.house.ledger.entries_of(case_stream(case), "case-verdict")
    return [str(each.body["verdict"]["kind"]) for each in entries]


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


def test_one_that_is_accepted_keeps_no_other_from_being_proven_fixed(
    open_house: OpenHouse, tmp_path: Path, site: Site, jira: JiraGateway
) -> None:
    house = furnished(open_house)
    finding_on(house, MEANT, ports=(443, 443), tags={"remediation:expected-exposure": "443"})
    both = NetworkStory(house, tmp_path)
    vars(both.have)["jira"] = jira
    vars(both.have)["settings"] = both.have.settings.model_copy(update={"short_wait_seconds": 0})
    closed, meant = both.case_of(INSTANCE), both.case_of(MEANT)
    with both.running():
        plan = make_plan(Phase.REMEDIATE)
    assert plan.cases == (closed,)
    both.answered(plan, "approved")

    with pytest.raises(LookAgain, match="has not evaluated the network"):
        played(both)
    (said,), (issue,) = comments(site), site.issues.values()
    assert (MEANT in said, INSTANCE in said) == (True, False)
    issue.status = "In Progress"
    both.advance(TWELVE_HOURS)
    ended = played(both)

    assert (ended.result, ended.contained) == ("fixed", False)
    assert ended.reason.startswith(
        "every case that was acted upon is fixed, and the evidence agrees; "
        "triage left nothing to do in 1 other case: Inspector: tcp/443 can be reached from outside"
    )
    closings = {case: house.ledger.entries_of(case_stream(case), "case-closed") for case in (closed, meant)}
    assert {case: [each.body["reason"].split(":")[0] for each in found] for case, found in closings.items()} == {
        closed: ["fixed"],
        meant: ["Inspector"],
    }
    assert verdicts_of(both, closed) == ["fixed"]
    assert verdicts_of(both, meant) == [], "that nothing was done about it proves no fix"
    alert, post_mortem = site.issues.values()
    assert (alert.status, len(comments_on(alert))) == ("Done", 1)
    assert "has no verdict" not in str(post_mortem.description)


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
