"""What is pressed in the sandbox's Slack, as the application receives it and as a person sees what comes of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.signature import SignatureVerifier
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deployments.sandbox.slack import slack_app
from deployments.sandbox.slack_interactions import SIGNING_SECRET, Interactions
from deployments.sandbox.slack_workspace import TOKEN, Workspace
from tests.deployments.sandbox.conftest import PATIENCE_SECONDS
from tests.serving import serving


class Application:
    """An application of the workspace: keeps what it gets, and answers what it is told to."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, Any], bool]] = []
        """Each payload, and whether it was signed."""
        self.answers: list[Response] = []
        self.client: WebClient | None = None
        self.opens: dict[str, Any] | None = None
        """The modal it opens for every action."""

    async def receive(self, request: Request) -> Response:
        body = await request.body()
        assert request.headers["content-type"] == "application/x-www-form-urlencoded"
        signed = SignatureVerifier(SIGNING_SECRET).is_valid_request(body, dict(request.headers))
        payload = json.loads(parse_qs(body.decode())["payload"][0])
        self.got.append((payload, signed))
        if self.opens and self.client and payload["type"] == "block_actions":
            self.client.views_open(trigger_id=payload["trigger_id"], view=self.opens)
        return self.answers.pop(0) if self.answers else Response()


@pytest.fixture
def workspace() -> Workspace:
    return Workspace()


@pytest.fixture
def interactions(workspace: Workspace) -> Interactions:
    return Interactions(workspace, patience=0.1)


@pytest.fixture
def address(workspace: Workspace, interactions: Interactions) -> Iterator[str]:
    with serving(slack_app(workspace, interactions)) as url:
        yield url


@pytest.fixture
def client(address: str) -> WebClient:
    return WebClient(TOKEN, base_url=address + "/api/", retry_handlers=[])


@pytest.fixture
def application(address: str, client: WebClient) -> Iterator[Application]:
    application = Application()
    application.client = client
    with serving(Starlette(routes=[Route("/in", application.receive, methods=["POST"])])) as url:
        httpx.post(address + "/sandbox/application", json={"request_url": f"{url}/in"}).raise_for_status()
        yield application


def plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text}


def button(action: str, **more: Any) -> dict[str, Any]:
    return {"type": "button", "action_id": action, "text": plain(action.title()), "value": "RSP-1|abc|1", **more}


CONFIRM = {"title": plain("Sure?"), "text": plain("Plan abc"), "confirm": plain("Yes"), "deny": plain("Not now")}
MODAL = {
    "type": "modal",
    "callback_id": "code",
    "title": plain("Approve"),
    "submit": plain("Approve"),
    "private_metadata": "RSP-1|abc|1",
    "blocks": [
        {"type": "section", "text": plain("Plan abc")},
        {
            "type": "input",
            "block_id": "code",
            "label": plain("One-time code"),
            "element": {"type": "plain_text_input", "action_id": "code"},
        },
    ],
}


@pytest.fixture
def question(client: WebClient) -> str:
    """The timestamp of a message in a thread, with buttons."""
    top = client.chat_postMessage(channel="security", text="alert")["ts"]
    buttons = [button("approve", style="danger", confirm=CONFIRM), button("reject", confirm=CONFIRM)]
    blocks = [{"type": "section", "text": plain("?")}, {"type": "actions", "elements": buttons}]
    return str(client.chat_postMessage(channel="security", text="approve?", blocks=blocks, thread_ts=top)["ts"])


def press(address: str, ts: str, action: str = "approve", user: str = "U0ALICE") -> httpx.Response:
    return httpx.post(
        address + "/sandbox/press", json={"user": user, "ts": ts, "action_id": action}, timeout=PATIENCE_SECONDS
    )


def submit(address: str, user: str = "U0ALICE", **values: str) -> dict[str, Any]:
    return httpx.post(
        address + "/sandbox/submit", json={"user": user, "values": values}, timeout=PATIENCE_SECONDS
    ).json()


def test_a_press_arrives_signed_with_who_what_and_where(
    address: str, application: Application, workspace: Workspace, question: str
) -> None:
    application.answers = [JSONResponse({"seen": True})]

    answer = press(address, question, user="U0GUEST").json()

    ((payload, signed),) = application.got
    top = workspace.messages[0].ts
    assert answer == {"status": 200, "answer": {"seen": True}, "view": None, "errors": {}}
    assert signed
    assert (payload["type"], payload["team"]["id"]) == ("block_actions", "T0SANDBOX")
    assert payload["user"] == {"id": "U0GUEST", "username": "guest", "name": "guest", "team_id": "T0PARTNER"}
    assert payload["container"] == {
        "type": "message",
        "message_ts": question,
        "channel_id": "C0SECURITY",
        "is_ephemeral": False,
        "thread_ts": top,
    }
    assert (payload["message"]["ts"], payload["channel"]["name"]) == (question, "security")
    (action,) = payload["actions"]
    told = {name: action[name] for name in ("action_id", "value", "type", "block_id", "style")}
    assert told == {
        "action_id": "approve",
        "value": "RSP-1|abc|1",
        "type": "button",
        "block_id": "b1",
        "style": "danger",
    }


def test_what_cannot_be_pressed_is_not_sent(address: str, application: Application, question: str) -> None:
    assert [
        press(address, question, "shout").json(),
        press(address, "1.0").json(),
        press(address, question, user="U0NOBODY").json(),
        submit(address),
    ] == [
        {"error": "no_such_button"},
        {"error": "no_such_button"},
        {"error": "user_not_found"},
        {"error": "no_open_view"},
    ]
    assert application.got == []


def test_without_a_request_url_nothing_can_be_pressed(address: str, question: str) -> None:
    assert press(address, question).json() == {"error": "no_request_url"}
    assert "disabled" in httpx.get(address).text


def test_an_application_that_is_away_or_fails_is_told_to_who_pressed(
    address: str, application: Application, question: str
) -> None:
    application.answers = [Response(status_code=503)]
    failed = press(address, question).json()
    httpx.post(address + "/sandbox/application", json={"request_url": "http://127.0.0.1:9/"})
    assert [failed["status"], press(address, question).json()["status"]] == [503, 0]


def test_a_modal_is_filled_in_corrected_and_closed_by_the_answers(
    address: str, application: Application, workspace: Workspace, question: str
) -> None:
    application.opens = MODAL
    application.answers = [
        Response(),
        JSONResponse({"response_action": "errors", "errors": {"code": "wrong"}}),
        JSONResponse({"response_action": "update", "view": {**MODAL, "title": plain("Approved")}}),
        Response(),
    ]

    opened, wrong, updated, closed = press(address, question).json(), *(submit(address, code=c) for c in "123")

    assert opened["view"] == MODAL
    assert (wrong["view"], wrong["errors"]) == (MODAL, {"code": "wrong"})
    assert (updated["view"]["title"]["text"], updated["errors"]) == ("Approved", {})
    assert (closed["view"], workspace.views) == (None, {})
    views = [payload["view"] for payload, _ in application.got[1:]]
    assert [view["state"]["values"]["code"]["code"]["value"] for view in views] == ["1", "2", "3"]
    assert {(view["callback_id"], view["private_metadata"]) for view in views} == {("code", "RSP-1|abc|1")}
    assert {payload["type"] for payload, _ in application.got[1:]} == {"view_submission"}
    assert all(signed for _, signed in application.got)


def test_a_failed_submission_leaves_the_modal_open_with_the_reason(
    address: str, application: Application, question: str
) -> None:
    application.opens, application.answers = MODAL, [Response(), Response(status_code=500)]
    press(address, question)
    answer = submit(address, code="123456")
    assert (answer["status"], answer["view"]) == (500, MODAL)
    assert list(answer["errors"]) == ["code"]


def test_a_trigger_is_good_once_and_for_three_seconds(client: WebClient, workspace: Workspace) -> None:
    now = [1_700_000_000.0]
    workspace._clock = lambda: now[0]
    first, second = workspace.trigger("U0ALICE"), workspace.trigger("U0ALICE")
    client.views_open(trigger_id=first, view=MODAL)
    now[0] += 3.1
    refused: list[str] = []
    for trigger in (first, second, "1.2.abc"):
        with pytest.raises(SlackApiError) as no:
            client.views_open(trigger_id=trigger, view=MODAL)
        refused.append(no.value.response["error"])
    assert refused == ["exchanged_trigger_id", "expired_trigger_id", "invalid_trigger_id"]


@pytest.mark.parametrize(
    ("view", "where"),
    [
        ({**MODAL, "type": "home"}, "/view/type"),
        ({**MODAL, "title": plain("x" * 25)}, "/view/title/text"),
        ({name: value for name, value in MODAL.items() if name != "submit"}, "/view"),
        ({**MODAL, "private_metadata": "x" * 3_001}, "/view/private_metadata"),
        ({**MODAL, "blocks": [{"type": "marquee"}]}, "/blocks/0"),
    ],
)
def test_modals_that_slack_would_refuse_are_refused(
    client: WebClient, workspace: Workspace, view: dict[str, Any], where: str
) -> None:
    with pytest.raises(SlackApiError) as refused:
        client.views_open(trigger_id=workspace.trigger("U0ALICE"), view=view)
    assert refused.value.response["error"] == "invalid_arguments"
    assert any(f"json-pointer:{where}]" in said for said in refused.value.response["response_metadata"]["messages"])
    assert workspace.views == {}


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"value": "x" * 2_001}, "value"),
        ({"action_id": "x" * 256}, "action_id"),
        ({"confirm": {**CONFIRM, "text": plain("x" * 301)}}, "confirm/text/text"),
        ({"confirm": {**CONFIRM, "deny": plain("x" * 31)}}, "confirm/deny/text"),
        ({"confirm": {}}, "confirm/title/text"),
    ],
)
def test_buttons_that_slack_would_refuse_are_refused(client: WebClient, changes: dict[str, Any], path: str) -> None:
    blocks = [{"type": "actions", "elements": [button("approve") | changes]}]
    with pytest.raises(SlackApiError) as refused:
        client.chat_postMessage(channel="security", text="x", blocks=blocks)
    said = refused.value.response["response_metadata"]["messages"][0]
    assert f"json-pointer:/blocks/0/elements/0/{path}]" in said


def test_the_page_shows_each_person_what_is_theirs(
    address: str, client: WebClient, application: Application, workspace: Workspace, question: str
) -> None:
    client.chat_postEphemeral(
        channel="C0SECURITY", user="U0BOB", text="not &lt;yours&gt;", thread_ts=workspace.messages[0].ts
    )
    application.opens = MODAL
    press(address, question)
    pages = {user: httpx.get(address, params={"as": user}).text for user in ("U0ALICE", "U0BOB")}
    assert {user: ("not &lt;yours&gt;" in page, "One-time code" in page) for user, page in pages.items()} == {
        "U0ALICE": (False, True),
        "U0BOB": (True, False),
    }
    assert httpx.get(address + "/sandbox/whispers").json()[0]["user"] == "U0BOB"


def test_the_pages_forms_do_what_its_buttons_say(
    address: str, application: Application, workspace: Workspace, question: str
) -> None:
    application.opens = MODAL
    place = {"as": "U0BOB", "channel": "C0SECURITY", "ts": question}
    pressed = httpx.post(address + "/press", data={**place, "action": "approve"}, timeout=PATIENCE_SECONDS)
    assert (pressed.status_code, pressed.headers["location"]) == (
        303,
        f"/?channel=C0SECURITY&as=U0BOB#p{question.replace('.', '')}",
    )
    application.answers = [JSONResponse({"response_action": "errors", "errors": {"code": "no <b>"}})]
    httpx.post(address + "/submit", data={**place, "code": "000000"})
    assert '<div class="wrong" role="alert">no &lt;b&gt;</div>' in httpx.get(address, params={"as": "U0BOB"}).text
    httpx.post(address + "/close", data=place)
    assert workspace.views == {}
    application.opens, application.answers = None, [Response(status_code=500)]
    failed = httpx.post(
        address + "/press", data={**place, "action": "reject"}, follow_redirects=True, timeout=PATIENCE_SECONDS
    )
    assert "the application answered 500" in failed.text
    assert [(payload["user"]["id"], payload["type"]) for payload, _ in application.got] == [
        ("U0BOB", "block_actions"),
        ("U0BOB", "view_submission"),
        ("U0BOB", "block_actions"),
    ]
