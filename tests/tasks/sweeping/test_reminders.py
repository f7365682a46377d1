"""Reminding of open questions: once for each time that is due, in the response's thread, whoever else sweeps."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from deployments.sandbox.slack_workspace import Workspace
from runbooks.case import response_stream
from runbooks.catalog import Catalog
from runbooks.plan import Phase, Plan
from runbooks.records import Decision, Intent, Outcome
from runbooks.steps.base import operation_id
from tasks.answering import settle
from tasks.notices import ALERT
from tests.runbooks.builders import a_runbook
from tests.tasks.prefect_api import PrefectApi
from tests.tasks.sweep_house import SweepHouse, prefect_api, slack_workspace, sweep_house

INSTANCE = "i-0a1b2c3d4e5f60718"


@pytest.fixture
def prefect() -> Iterator[PrefectApi]:
    with prefect_api() as api:
        yield api


@pytest.fixture
def slack() -> Iterator[tuple[Workspace, dict[str, Any]]]:
    with slack_workspace() as found:
        yield found


@pytest.fixture
def workspace(slack: tuple[Workspace, dict[str, Any]]) -> Workspace:
    return slack[0]


@pytest.fixture
def house(tmp_path: Path, prefect: PrefectApi, slack: tuple[Workspace, dict[str, Any]]) -> Iterator[SweepHouse]:
    with sweep_house(tmp_path, **slack[1]) as opened:
        yield opened


@pytest.fixture
def plan(house: SweepHouse, prefect: PrefectApi) -> Plan:
    """A question asked at eight, about a response whose alert is in Slack."""
    house.deliver()
    house.sweep()
    response = house.newest(INSTANCE)
    lease = house.take_over(response.id)
    alert, slack = operation_id(response.id, f"post-message/{ALERT}"), house.slack
    assert slack is not None
    posted = slack.post("the alert", [], alert)
    told: dict[str, Any] = {"operation": alert, "action": "post-message", "subject": ALERT}
    house.ledger.append(
        response_stream(response.id),
        Intent(**told, epoch=lease.epoch),
        Outcome(**told, status="done", result=posted.model_dump()),
    )
    made = house.ask(response.id)
    prefect.become(response.flow_run or "", "PAUSED")
    return made


def reminders(workspace: Workspace) -> list[str]:
    alert = next(each for each in workspace.messages if each.text == "the alert")
    return [each.text for each in workspace.messages if each.thread_ts == alert.ts]


def kinds(house: SweepHouse, plan: Plan) -> list[str]:
    return [entry.kind for entry in house.ledger.entries(response_stream(plan.response))][-4:]


def test_a_question_is_reminded_of_after_its_time_then_after_twice_that_and_not_past_its_end(
    house: SweepHouse, workspace: Workspace, plan: Plan
) -> None:
    asked, told = house.now(), []
    for _ in range(70):
        house.clock.pass_by(minutes=1)
        if house.sweep().reminded:
            told.append(house.now() - asked)
    assert told == [timedelta(minutes=15), timedelta(minutes=45)]
    first, second = reminders(workspace)
    assert first == second
    assert first.startswith(f"⏰ Still waiting for an answer: Contain {INSTANCE}")
    assert first.endswith("It can be answered until 2026-03-02 09:00:00 UTC.")


@pytest.mark.parametrize("phase", Phase)
def test_a_question_of_any_phase_is_reminded_of_after_the_time_of_its_own_rule(
    house: SweepHouse, prefect: PrefectApi, plan: Plan, phase: Phase
) -> None:
    minutes = {"contain": 10, "rebuild": 20, "remediate": 30, "release": 40, "deprecate": 50}
    rules = {name: {"approval": {"remind_minutes": each}} for name, each in minutes.items()}
    vars(house)["catalog"] = Catalog([a_runbook(**rules)])
    no = Decision(digest=plan.digest, attempt=1, answer="rejected", approver="jane", channel="slack")
    settle(house, plan.response, no)
    house.ask(plan.response, phase=phase, revision=2)
    due = minutes[{Phase.TEST: "rebuild", Phase.VERIFY: "remediate"}.get(phase, phase)]
    house.clock.pass_by(minutes=due - 1)
    assert house.sweep().reminded == []
    house.clock.pass_by(minutes=1)
    assert house.sweep().reminded == [plan.response]


def test_it_is_written_down_before_and_after(house: SweepHouse, plan: Plan) -> None:
    house.clock.pass_by(minutes=15)
    house.sweep()
    assert kinds(house, plan) == ["approval-asked", "intent", "outcome", "reminded"]


def test_an_answered_question_is_not_reminded_of(house: SweepHouse, workspace: Workspace, plan: Plan) -> None:
    no = Decision(digest=plan.digest, attempt=1, answer="rejected", approver="jane", channel="slack")
    settle(house, plan.response, no)
    house.clock.pass_by(minutes=16)
    assert house.sweep().reminded == []
    assert reminders(workspace) == []


def test_a_reminder_whose_answer_was_lost_is_found_and_not_posted_again(
    house: SweepHouse, workspace: Workspace, plan: Plan
) -> None:
    house.clock.pass_by(minutes=15)
    workspace.faults.add("chat.postMessage", "answer-lost")
    assert [each.split(": ")[:2] for each in house.sweep().troubles] == [["reminders", "answer-lost"]]
    assert house.sweep().reminded == [plan.response]
    assert len(reminders(workspace)) == 1
    assert kinds(house, plan) == ["approval-asked", "intent", "outcome", "reminded"]


def test_while_another_sweep_reminds_this_one_leaves_it_alone(
    house: SweepHouse, workspace: Workspace, plan: Plan
) -> None:
    house.clock.pass_by(minutes=15)
    other = house.ledger.hold(f"reminders/{plan.response}", 30)
    assert (house.sweep().reminded, house.sweep().troubles, reminders(workspace)) == ([], [], [])
    house.ledger.release(other)
    assert house.sweep().reminded == [plan.response]
