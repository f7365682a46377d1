"""Slack's door: what is pressed by an approver counts, once; whatever else arrives leaves a trace and nothing more."""

from __future__ import annotations

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_CSRF_SUPPORT_ENABLED, temporary_settings
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from deployments.receiver import create_app
from deployments.sandbox.slack_interactions import SIGNING_SECRET
from runbooks.case import APPROVERS_STREAM
from runbooks.records import AnswerGiven, CodeTried
from runbooks.telling.answering import APPROVE, APPROVE_WITH_CODE, CODE, COMMENT, REJECT, answer_value
from tasks.gateways.ledger import Ledger
from tests.deployments.receiver.conftest import ALICE, BOB, CAROL, GUEST, House, services_of
from tests.deployments.receiver.presses import payload, told
from tests.runbooks.signatures import JANE, JOE, code_of
from tests.serving import serving

needs_a_code = pytest.mark.parametrize("rule", [{"slack_suffices": False}])


def brief(answer: AnswerGiven) -> tuple[object, ...]:
    return answer.says, answer.counts, answer.claimed, answer.approver, answer.channel, answer.factor, answer.code


def test_an_approver_who_presses_approve_has_decided(house: House) -> None:
    pressed = house.press(APPROVE)

    assert pressed["status"] == 200
    (answer,) = house.answers()
    decision = house.decision()
    assert brief(answer) == ("approve", True, ALICE, JANE, "slack", "slack", "")
    assert decision is not None
    assert (decision.answer, decision.approver, decision.approvers, decision.channel) == (
        "approved",
        JANE,
        (JANE,),
        "slack",
    )
    assert told(house) == [(ALICE, f"Recorded: you approved. Plan {house.plan.short_digest} goes ahead.")]
    assert house.set_aside() == []


@pytest.mark.parametrize("rule", [{"slack_suffices": True}, {"slack_suffices": False}])
def test_a_rejection_needs_no_code(house: House) -> None:
    house.press(REJECT, BOB)
    decision = house.decision()
    assert [brief(answer) for answer in house.answers()] == [("reject", True, BOB, JOE, "slack", "slack", "")]
    assert decision is not None
    assert (decision.answer, decision.approver) == ("rejected", JOE)


@pytest.mark.parametrize(("user", "code"), [(CAROL, "not-registered"), (GUEST, "not-registered")])
def test_whoever_is_not_registered_is_refused_and_told_alone(house: House, user: str, code: str) -> None:
    house.press(APPROVE, user)
    assert [brief(answer) for answer in house.answers()] == [("approve", False, user, None, "slack", "none", code)]
    assert house.decision() is None
    assert told(house) == [
        (
            user,
            f"Not accepted: {user} is no registered approver. Plan {house.plan.short_digest} is as it was.",
        )
    ]


@pytest.mark.parametrize(
    "who",
    [
        {"team": {"id": "T0OTHER"}, "user": {"id": ALICE, "team_id": "T0OTHER"}},
        {"team": {"id": "T0SANDBOX"}, "user": {"id": ALICE, "team_id": "T0OTHER"}},
        {"team": {"id": "T0OTHER"}, "user": {"id": ALICE}},
        {"team": None, "user": {"id": ALICE}},
        {"user": {"id": "U0MALLORY", "name": JANE, "username": "alice", "team_id": "T0SANDBOX"}},
    ],
)
def test_the_id_of_an_approver_counts_in_their_own_team_alone_and_a_name_never(
    house: House, who: dict[str, Any]
) -> None:
    assert house.send(payload(house, **who)).status_code == 200
    assert [(answer.counts, answer.code) for answer in house.answers()] == [(False, "not-registered")]
    assert house.decision() is None


@needs_a_code
def test_where_slack_does_not_suffice_the_code_is_asked_for_in_a_modal(house: House) -> None:
    opened = house.press(APPROVE_WITH_CODE)
    assert house.answers() == []
    assert opened["view"]["callback_id"] == APPROVE_WITH_CODE
    shown = json.dumps(opened["view"])
    assert house.plan.digest in shown
    assert "Contain i-0a1b2c3d4e5f60718" in shown

    wrong = house.submit(**{CODE: "000000"})
    assert wrong["errors"] == {
        CODE: f"Not accepted: the one-time code is wrong, or not of this time. "
        f"Plan {house.plan.short_digest} is as it was."
    }
    assert house.decision() is None

    right = house.submit(**{CODE: code_of(JANE, datetime.now(UTC)), COMMENT: "go ahead"})
    assert right["view"]["title"]["text"] == "Recorded"
    assert [brief(answer) for answer in house.answers()] == [
        ("approve", False, ALICE, None, "slack", "none", "wrong-code"),
        ("approve", True, ALICE, JANE, "slack", "code", ""),
    ]
    decision = house.decision()
    assert decision is not None
    assert (decision.answer, decision.approver, decision.comment) == ("approved", JANE, "go ahead")
    tried = [entry.record() for entry in house.ledger.entries(APPROVERS_STREAM)]
    assert [record.accepted for record in tried if isinstance(record, CodeTried)] == [False, True]


@needs_a_code
def test_a_press_without_the_code_does_not_count_where_one_is_needed(house: House) -> None:
    opened = house.press(APPROVE_WITH_CODE)
    assert opened["view"]["callback_id"] == APPROVE_WITH_CODE
    answer = house.submit(**{CODE: "  "})
    assert CODE in answer.get("errors", {}), answer
    # Last, because what it is told arrives later, and would be taken for the answer to another press.
    assert house.send(payload(house, APPROVE)).status_code == 200
    assert [(answer.counts, answer.code) for answer in house.answers()] == [(False, "code-missing")] * 2
    assert house.decision() is None


@pytest.mark.parametrize("rule", [{"slack_suffices": True, "quorum": 2}])
def test_two_people_are_two_people(house: House) -> None:
    house.press(APPROVE)
    house.press(APPROVE)
    assert house.decision() is None
    house.press(APPROVE, BOB)
    decision = house.decision()
    assert [(answer.counts, answer.code) for answer in house.answers()] == [
        (True, ""),
        (False, "same-person"),
        (True, ""),
    ]
    assert decision is not None
    assert decision.approvers == (JANE, JOE)
    assert "needs a different person's yes too" in told(house)[0][1]


def test_a_replayed_request_is_refused_and_a_flood_of_it_is_one_entry(house: House) -> None:
    body = urlencode({"payload": json.dumps(payload(house))}).encode()
    at = int(time.time())
    statuses = [house.send(body, at=at).status_code for _ in range(20)]
    assert statuses == [200, *[409] * 19]
    assert len(house.answers()) == 1
    assert [record.code for record in house.set_aside()] == ["replayed"]


def test_a_replay_to_another_receiver_is_refused_by_the_ledger(house: House, tmp_path: Path) -> None:
    body = urlencode({"payload": json.dumps(payload(house, user={"id": CAROL, "team_id": "T0SANDBOX"}))}).encode()
    at = int(time.time())
    house.send(body, at=at)
    with serving(create_app(house.ledger, "key", have=services_of(tmp_path, house.slack))) as another:
        house.receiver = another
        assert house.send(body, at=at).status_code == 200
    assert [answer.code for answer in house.answers()] == ["not-registered", "replayed"]
    assert len({answer.request for answer in house.answers()}) == 1


def test_the_same_request_twice_at_once_counts_once(house: House) -> None:
    body = urlencode({"payload": json.dumps(payload(house))}).encode()
    at = int(time.time())
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: house.send(body, at=at).status_code, range(8)))
    assert sorted(statuses) == [200, *[409] * 7]
    assert len(house.answers()) == 1


def test_a_yes_to_another_plan_of_the_response_is_not_a_yes_to_this_one(house: House) -> None:
    other = f"{house.plan.response}|{'0' * 64}"
    house.send(payload(house, actions=[{"action_id": APPROVE, "value": other}]))
    assert house.decision() is None
    assert [answer.code for answer in house.history().answers["0" * 64]] == ["unknown-plan"]


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"type": "shortcut", "callback_id": "x"},
        {"type": "view_closed"},
        {"actions": [{"action_id": "open", "type": "button"}]},
        {"actions": [{"action_id": "another-application", "value": "x"}]},
    ],
)
def test_what_concerns_somebody_else_is_acknowledged_and_leaves_nothing(
    house: House, elsewhere: dict[str, Any]
) -> None:
    answer = house.send(payload(house) | elsewhere)
    assert (answer.status_code, answer.content) == (200, b"")
    assert (house.answers(), house.set_aside(), told(house)) == ([], [], [])


def test_another_modal_is_acknowledged_and_leaves_nothing(house: House) -> None:
    view = {"callback_id": "survey", "private_metadata": answer_value(house.plan), "state": {"values": {}}}
    answer = house.send(payload(house) | {"type": "view_submission", "view": view})
    assert (answer.status_code, house.answers(), house.set_aside()) == (200, [], [])


def test_an_address_that_comes_with_a_press_is_not_called(house: House) -> None:
    called: list[Any] = []

    async def trap(scope: Any, receive: Any, send: Any) -> None:
        called.append(scope["path"])

    with serving(trap) as elsewhere:
        house.send(payload(house, response_url=f"{elsewhere}/actions"))
    assert (called, len(told(house))) == ([], 1)


def test_the_answer_counts_though_slack_cannot_be_reached_afterwards(house: House) -> None:
    house.workspace.faults.add("chat.postEphemeral", "server-error")
    assert house.press(APPROVE)["status"] == 200
    assert house.decision() is not None


@needs_a_code
def test_a_modal_that_slack_does_not_open_is_told(house: House) -> None:
    house.send(payload(house, APPROVE_WITH_CODE, trigger_id="expired"))
    assert told(house) == [(ALICE, "Slack did not open the form for the code. Press again, or follow the link.")]


def test_a_ledger_that_cannot_be_written_decides_nothing_and_the_press_may_be_repeated(
    house: House, tmp_path: Path
) -> None:
    quick = Ledger.open(f"sqlite:///{tmp_path}/ledger.db", wait_seconds=0.2)
    have = services_of(tmp_path, house.slack)
    have.__dict__["ledger"] = quick
    body, at = urlencode({"payload": json.dumps(payload(house))}).encode(), int(time.time())
    with serving(create_app(quick, "key", have=have)) as house.receiver:
        with house.ledger._database.writing():
            busy = house.send(body, at=at)
        again = house.send(body, at=at)
    quick.close()
    assert (busy.status_code, busy.json()["code"]) == (503, "ledger")
    assert again.status_code == 200
    assert len(house.answers()) == 1


@pytest.mark.parametrize("secret", [None, SIGNING_SECRET])
def test_without_a_signing_secret_there_is_no_door(house: House, tmp_path: Path, secret: str | None) -> None:
    have = services_of(tmp_path, house.slack, slack_signing_secret=secret)
    with serving(create_app(house.ledger, "key", have=have)) as house.receiver:
        answer = house.send(payload(house))
    assert answer.status_code == (404 if secret is None else 200)
    assert bool(house.answers()) is (secret is not None)


def test_no_secret_is_said_or_kept(house: House) -> None:
    house.press(APPROVE)
    house.send(payload(house), x_slack_signature="v0=00")
    entries = [entry.body for stream in house.ledger.streams() for entry in house.ledger.entries(stream)]
    everything = "".join([*map(str, entries), *(text for _, text in told(house))])
    assert SIGNING_SECRET not in everything
    assert "xoxb" not in everything


class Prefect:
    """Prefect's API, as far as a run is resumed by it."""

    def __init__(self) -> None:
        self.resumed: list[tuple[str, Any]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        answer: dict[str, Any] = {}
        if request.url.path.endswith("/resume"):
            self.resumed.append((request.url.path.split("/")[-2], await request.json()))
            answer = {"state": None, "status": "ACCEPT", "details": {"type": "accept_details"}}
        await JSONResponse(answer, 201 if answer else 404)(scope, receive, send)


async def knock(house: House, folder: Path, prefect: str, *bodies: dict[str, Any]) -> None:
    """The same receiver, in this very context, which knows where Prefect is."""
    with temporary_settings({PREFECT_API_URL: f"{prefect}/api", PREFECT_CLIENT_CSRF_SUPPORT_ENABLED: False}):
        app = create_app(house.ledger, "key", have=services_of(folder, house.slack))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://receiver") as client:
            for body in bodies:
                (await client.send(house.signed(body))).raise_for_status()


@pytest.mark.parametrize("rule", [{"slack_suffices": True, "quorum": 2}])
def test_the_run_that_sleeps_over_the_question_is_woken_by_what_settles_it(house: House, tmp_path: Path) -> None:
    prefect = Prefect()
    refused, first, second = ({"user": {"id": user, "team_id": "T0SANDBOX"}} for user in (CAROL, ALICE, BOB))
    with serving(prefect) as url:
        asyncio.run(knock(house, tmp_path, url, payload(house, APPROVE, **refused), payload(house, APPROVE, **first)))
        assert prefect.resumed == []
        asyncio.run(knock(house, tmp_path, url, payload(house, APPROVE, **second)))
    assert [run for run, _ in prefect.resumed] == [house.run]
    assert prefect.resumed[0][1]["run_input"]["approver"] == ""
