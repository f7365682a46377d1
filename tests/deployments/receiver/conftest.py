"""A receiver with Slack on both sides of it: the workspace where things are pressed, and the ledger they end in."""

from __future__ import annotations

import json
import shutil
import time
import uuid
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from slack_sdk import WebClient
from slack_sdk.signature import SignatureVerifier

from deployments.receiver import create_app
from deployments.sandbox.slack import slack_app
from deployments.sandbox.slack_interactions import SIGNING_SECRET, Interactions
from deployments.sandbox.slack_workspace import TOKEN, Workspace
from runbooks.case import APPROVERS_STREAM, SYSTEM_STREAM, response_stream
from runbooks.history import ResponseHistory
from runbooks.plan import Plan
from runbooks.records import AnswerGiven, ApprovalAsked, Decision, Record, SetAsideRecord
from runbooks.telling.messages import approval_message
from tasks.gateways.ledger import Ledger
from tasks.journal import read_history
from tasks.services import Services
from tasks.settings import Settings
from tests.runbooks.builders import a_case_key, a_contain_plan, a_finding, keys_of
from tests.runbooks.signatures import JANE, JOE, added, made, signed
from tests.serving import serving

SIGNING_KEY = b64encode(b"a signing key of thirty-two byte").decode()
ALICE, BOB, CAROL, GUEST = "U0ALICE", "U0BOB", "U0CAROL", "U0GUEST"
"""Alice is Jane, Bob is Joe; Carol is registered nowhere, and the guest is from another workspace."""

_HTTP = httpx.Client(timeout=20, trust_env=False, verify=False, limits=httpx.Limits(max_keepalive_connections=0))


@dataclass
class House:
    """What a test has at hand."""

    ledger: Ledger
    workspace: Workspace
    slack: str
    receiver: str
    plan: Plan
    run: str
    """The flow run that sleeps over the question."""
    question: str
    """The timestamp of the message with the buttons."""
    finish: Callable[[], None]
    """Stops the receiver, once it has done what it does after its answers."""

    def press(self, action: str, user: str = ALICE) -> dict[str, Any]:
        asked = {"user": user, "ts": self.question, "action_id": action}
        return _HTTP.post(f"{self.slack}/sandbox/press", json=asked).json()

    def submit(self, user: str = ALICE, **values: str) -> dict[str, Any]:
        return _HTTP.post(f"{self.slack}/sandbox/submit", json={"user": user, "values": values}).json()

    def send(self, body: bytes | dict[str, Any], *, at: float | str | None = None, **headers: str) -> httpx.Response:
        """Anything at all, signed as Slack would unless the headers say otherwise."""
        return _HTTP.send(self.signed(body, at=at, **headers))

    def signed(self, body: bytes | dict[str, Any], *, at: float | str | None = None, **headers: str) -> httpx.Request:
        raw = body if isinstance(body, bytes) else urlencode({"payload": json.dumps(body)}).encode()
        timestamp = str(int(time.time())) if at is None else str(at)
        signature = SignatureVerifier(SIGNING_SECRET).generate_signature(
            timestamp=timestamp, body=raw.decode("latin-1")
        )
        every = {
            "content-type": "application/x-www-form-urlencoded",
            "x-slack-request-timestamp": timestamp,
            "x-slack-signature": signature or "",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        sent = {name: value for name, value in every.items() if value != ""}
        return httpx.Request("POST", f"{self.receiver}/slack/interactions", content=raw, headers=sent)

    def history(self) -> ResponseHistory:
        return read_history(self.ledger, self.plan.response)

    def answers(self) -> list[AnswerGiven]:
        return self.history().answers.get(self.plan.digest, [])

    def decision(self) -> Decision | None:
        return self.history().decisions.get(self.plan.digest)

    def set_aside(self) -> list[SetAsideRecord]:
        records = [entry.record() for entry in self.ledger.entries(SYSTEM_STREAM)]
        return [record for record in records if isinstance(record, SetAsideRecord)]

    def written(self, *records: Record) -> None:
        self.ledger.append(response_stream(self.plan.response), *records)


@pytest.fixture
def rule() -> dict[str, Any]:
    """What a test changes of the plan's approval rule."""
    return {"slack_suffices": True}


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        return request.getfixturevalue("postgres_url")
    return f"sqlite:///{tmp_path}/ledger.db"


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    ledger = Ledger.open(url)
    yield ledger
    ledger.close()


@pytest.fixture(scope="session")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """To begin from: bringing one up takes longer than most of these tests."""
    file = tmp_path_factory.mktemp("ledgers") / "ledger.db"
    Ledger.open(f"sqlite:///{file}").close()
    return file


@pytest.fixture
def house(tmp_path: Path, rule: dict[str, Any], empty_ledger: Path) -> Iterator[House]:
    """A response that asks about a plan in Slack, and a receiver that takes the answer."""
    # Its triggers last three seconds: none passes here, however busy the machine is.
    began = time.time()
    workspace = Workspace(clock=lambda: began)
    interactions = Interactions(workspace, patience=0.2)
    shutil.copy(empty_ledger, tmp_path)
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db")
    with serving(slack_app(workspace, interactions)) as slack, ExitStack() as running:
        have = services_of(tmp_path, slack)
        receiver = running.enter_context(serving(create_app(ledger, "key", have=have)))
        interactions.request_url = f"{receiver}/slack/interactions"
        run = str(uuid.uuid4())
        plan = _asked(ledger, rule, run)
        yield House(ledger, workspace, slack, receiver, plan, run, _posted(slack, plan), running.close)
    ledger.close()


def services_of(folder: Path, slack: str, **changes: Any) -> Services:
    """What a receiver with this ledger and this Slack works with."""
    values: dict[str, Any] = {
        "home": folder,
        "ledger_url": f"sqlite:///{folder}/ledger.db",
        "slack_token": TOKEN,
        "slack_url": f"{slack}/api/",
        "slack_channel": "#security",
        "slack_signing_secret": SIGNING_SECRET,
        "signing_key": SIGNING_KEY,
    }
    return Services(Settings(**(values | changes)))


def _asked(ledger: Ledger, rule: dict[str, Any], run: str) -> Plan:
    people = {JANE: ALICE, JOE: BOB}
    registered = [added(name, slack_user=user, slack_team="T0SANDBOX") for name, user in people.items()]
    ledger.append(APPROVERS_STREAM, *signed(*registered))
    key = a_case_key()
    ledger.take_finding(key, a_finding(), "webhook")
    response = ledger.start_response(key.runbook, [key.id], "webhook").id
    plan = a_contain_plan()
    plan = plan.model_copy(update={"response": response, "approval": plan.approval.model_copy(update=rule)})
    asked = ApprovalAsked(
        digest=plan.digest, attempt=1, expires_at=datetime.now(UTC) + timedelta(hours=1), flow_run=run
    )
    ledger.append(response_stream(response), made(plan))
    ledger.ask(response, asked)
    return plan


def _posted(slack: str, plan: Plan) -> str:
    message = approval_message(plan, keys_of(), "http://127.0.0.1/form", datetime.now(UTC), answers_in_slack=True)
    client = WebClient(TOKEN, base_url=f"{slack}/api/")
    return str(client.chat_postMessage(channel="security", text=message.text, blocks=[*message.blocks])["ts"])
