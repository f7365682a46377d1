"""People are told once of what belongs to no case, by ticket and message, whatever gets lost on the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployments.sandbox.jira import jira_app
from deployments.sandbox.jira_site import TOKEN, Site
from deployments.sandbox.slack_workspace import Workspace
from runbooks.case import NOTICES
from tasks.raising import raise_notice
from tests.serving import serving
from tests.tasks.prefect_api import PrefectApi
from tests.tasks.sweep_house import SweepHouse, prefect_api, slack_workspace, sweep_house

NEW, GAP = "Inspector3 Prophecy", "i-0abc in 210987654321, eu-west-1: PACKAGE UNMANAGED_EC2_INSTANCE"


@pytest.fixture
def prefect() -> Iterator[PrefectApi]:
    with prefect_api() as api:
        yield api


@pytest.fixture
def slack() -> Iterator[tuple[Workspace, dict[str, Any]]]:
    with slack_workspace() as found:
        yield found


@pytest.fixture
def jira() -> Iterator[tuple[Site, dict[str, Any]]]:
    site = Site(search_delay=0)
    with serving(jira_app(site)) as url:
        yield site, {"jira_server": url, "jira_user": site.email, "jira_token": TOKEN}


@pytest.fixture
def house(
    tmp_path: Path,
    prefect: PrefectApi,
    slack: tuple[Workspace, dict[str, Any]],
    jira: tuple[Site, dict[str, Any]],
) -> Iterator[SweepHouse]:
    with sweep_house(tmp_path, **slack[1], **jira[1]) as opened:

        def seconds() -> float:
            return opened.clock.now.timestamp()

        jira[0].clock = seconds
        yield opened


def new_kind(house: SweepHouse) -> None:
    raise_notice(house.ledger, "unknown-kind", NEW, "nobody knows it", "delivery-1")


def tickets(jira: tuple[Site, dict[str, Any]]) -> list[str]:
    return [issue.summary for issue in jira[0].issues.values()]


def messages(slack: tuple[Workspace, dict[str, Any]]) -> list[str]:
    return [each.text.split(":")[0] for each in slack[0].messages]


def kinds(house: SweepHouse) -> list[list[str]]:
    return [[entry.kind for entry in house.ledger.entries(stream)] for stream in house.ledger.streams(NOTICES)]


def test_a_new_kind_is_one_ticket_and_one_message_however_often_it_is_raised(
    house: SweepHouse, slack: Any, jira: Any
) -> None:
    new_kind(house)
    assert house.sweep().noticed == [NEW]
    new_kind(house)
    assert house.sweep().noticed == []
    assert tickets(jira) == [f"Something new has been delivered: {NEW}"]
    assert messages(slack) == ["⚠️ Something new has been delivered"]
    assert kinds(house) == [["notice-raised", "intent", "outcome", "intent", "outcome", "notice-given"]]
    assert "runbooks inbox replay --code unknown-kind" in slack[0].messages[0].text


def test_a_gap_is_a_ticket_for_the_platform_team_and_no_message(house: SweepHouse, slack: Any, jira: Any) -> None:
    raise_notice(house.ledger, "coverage-gap", GAP, "it is not scanned", None)
    assert house.sweep().noticed == [GAP]
    (issue,) = jira[0].issues.values()
    assert "platform-team" in issue.labels
    assert messages(slack) == []


@pytest.mark.parametrize("lost", ["POST issue", "chat.postMessage"])
def test_what_was_done_and_not_answered_is_found_and_not_done_again(
    house: SweepHouse, slack: Any, jira: Any, lost: str
) -> None:
    new_kind(house)
    far_end = jira[0] if lost == "POST issue" else slack[0]
    far_end.faults.add(lost, "answer-lost")
    first = house.sweep()
    assert (first.noticed, [each.split(": ")[1] for each in first.troubles]) == ([], ["answer-lost"])
    house.clock.pass_by(minutes=2)
    assert house.sweep().noticed == [NEW]
    assert (len(tickets(jira)), len(messages(slack))) == (1, 1)


def test_while_another_sweep_is_at_it_this_one_leaves_it_alone(house: SweepHouse, jira: Any) -> None:
    new_kind(house)
    (stream,) = house.ledger.streams(NOTICES)
    other = house.ledger.hold(stream, 30)
    assert (house.sweep().noticed, house.sweep().troubles, tickets(jira)) == ([], [], [])
    house.ledger.release(other)
    assert house.sweep().noticed == [NEW]


def test_without_slack_and_jira_it_waits_for_one(tmp_path: Path, prefect: PrefectApi, jira: Any) -> None:
    with sweep_house(tmp_path) as alone:
        new_kind(alone)
        assert (alone.sweep().noticed, kinds(alone)) == ([], [["notice-raised"]])
    with sweep_house(tmp_path, **jira[1]) as later:
        assert later.sweep().noticed == [NEW]
    assert len(tickets(jira)) == 1
