"""The product as it runs on one machine, and one incident in it: what was delivered, and what has become of it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil
import yaml

from deployments.demo.events import read_event
from deployments.demo.operator import Operator
from deployments.local import WEBHOOK_KEY, Local
from deployments.processes import Stack, marked
from deployments.stack import responds
from runbooks.case import case_stream
from runbooks.catalog import LIBRARY
from runbooks.history import ResponseHistory
from runbooks.records import CaseVerdict, ResponseEnded
from tasks.gateways.ledger import ApprovalRow, CaseRow, Ledger, ResponseRow
from tasks.journal import read_history

REGION = "eu-central-1"
PACKAGE_BUCKET = "remediation-{account}-{region}"
"""As the sandbox names the bucket it furnishes."""
LONGEST_SECONDS = 150.0
LOOK_SECONDS = 0.2

T = TypeVar("T")


@dataclass(frozen=True)
class Product:
    """Everything that runs, and the ways to look into it."""

    stack: Stack
    local: Local
    ledger: Ledger
    operator: Operator
    """Answers forms as the UI does; the browser's tests press the buttons themselves."""

    def operator_who(self, decision: str) -> Operator:
        return Operator(self.local.prefect, self.local.authenticators, decision=decision)

    def until(self, find: Callable[[], T | None], what: str, within: float = LONGEST_SECONDS) -> T:
        """What `find` finds, as soon as it does; an AssertionError that says `what` when it does not in time."""
        limit = time.monotonic() + within
        while not (found := find()):
            self.stack.check()
            assert time.monotonic() < limit, f"within {within:g} s there was not {what}"
            time.sleep(LOOK_SECONDS)
        return found

    def deliver(self, number: int, *, severity: str = "CRITICAL", **world: Any) -> Incident:
        """Furnish a world of its own (an account) for an event, and POST the event as EventBridge does.

        Args:
            number: tells the incidents apart; part of account and instance id.
            severity: says which runbook covers it.
            world: options of the sandbox's furnishing.
        """
        event = an_event(number, severity)
        body = {"finding": event["detail"], "options": {"known_exploited": True, **world}}
        made = self._post(f"{self.local.aws}/sandbox/furnish", body).raise_for_status().json()
        incident = Incident(self, event, made["account"], made["instance_id"])
        incident.before.update(incident.world())
        incident.send()
        return incident

    def advance(self, seconds: float) -> None:
        """Let time pass in the sandbox's AWS."""
        self._post(f"{self.local.aws}/sandbox/clock/advance", {"seconds": seconds}).raise_for_status()

    def receive(self, event: dict[str, Any]) -> httpx.Response:
        return self._post(f"{self.local.receiver}/webhooks/inspector", event, {"x-api-key": WEBHOOK_KEY})

    def messages(self) -> list[dict[str, Any]]:
        """Every message in the sandbox's Slack."""
        return httpx.get(self.local.slack.replace("/api/", "/sandbox/messages"), trust_env=False, timeout=60).json()

    def issues(self) -> list[dict[str, Any]]:
        """Every ticket in the sandbox's Jira."""
        return httpx.get(f"{self.local.jira}/sandbox/issues", trust_env=False, timeout=60).json()

    def run(self, *arguments: str, within: float = LONGEST_SECONDS) -> subprocess.CompletedProcess[str]:
        """The `runbooks` command, with the settings of the running product."""
        command = (sys.executable, "-m", "deployments.cli.main", *arguments)
        environment = self.local.environment
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=within, check=False)

    def start_by_hand(self, deployment: str, **parameters: str) -> None:
        """Start a deployment from Prefect, as the form on its page does, and not by way of the sweep."""
        command = (sys.executable, "-m", "prefect", "deployment", "run", f"{deployment}/{deployment}")
        given = [part for name, value in parameters.items() for part in ("--param", f"{name}={value}")]
        subprocess.run((*command, *given), env=self.local.environment, capture_output=True, check=True, timeout=60)

    def is_up(self, server: str) -> bool:
        return responds(f"{server}/healthz")

    def processes(self, *words: str) -> list[psutil.Process]:
        """The processes of this stack, and of no other, whose command line has all these words."""
        return [each for each in marked(self.stack.mark) if all(word in _command(each) for word in words)]

    def _post(self, url: str, body: Any, headers: dict[str, str] | None = None) -> httpx.Response:
        return httpx.post(url, json=body, headers=headers, trust_env=False, timeout=60)


@dataclass(frozen=True)
class Incident:
    """One event about one instance in an account of its own."""

    product: Product
    event: dict[str, Any]
    account: str
    instance: str
    before: dict[str, Any] = field(default_factory=dict[str, Any])
    """The world as it was furnished."""

    def send(self) -> httpx.Response:
        answer = self.product.receive(self.event)
        assert answer.status_code == httpx.codes.ACCEPTED, answer.text
        return answer

    def world(self) -> dict[str, Any]:
        """The account as it is now."""
        where = {"account": self.account, "region": REGION}
        return httpx.get(f"{self.product.local.aws}/sandbox/world", params=where, trust_env=False, timeout=30).json()

    def interfaces(self, world: dict[str, Any] | None = None) -> dict[str, list[str]]:
        """The instance's interfaces, each with its security groups in order; of the world as it is now, or another."""
        every = (world or self.world())["interfaces"]
        return {name: each["groups"] for name, each in every.items() if each["instance_id"] == self.instance}

    def changes(self) -> list[str]:
        """Every call that changes something in the account, in order."""
        calls = httpx.get(f"{self.product.local.aws}/sandbox/calls", trust_env=False, timeout=30).json()["calls"]
        return [f"{each['service']}:{each['operation']}" for each in calls if self._changes(each)]

    def _changes(self, call: dict[str, Any]) -> bool:
        return call["account"] == self.account and call["mutating"]

    def case(self) -> CaseRow:
        (case,) = self.product.until(
            lambda: self.product.ledger.find_cases(self.instance), f"a case for {self.instance}"
        )
        return case

    def response(self) -> ResponseRow:
        """The newest response about the case."""
        case = self.case().id

        def about_it() -> list[ResponseRow]:
            return [each for each in self.product.ledger.responses() if case in each.cases]

        found = self.product.until(about_it, f"a response about {self.instance}")
        return max(found, key=lambda each: each.started_at)

    def history(self) -> ResponseHistory:
        return read_history(self.product.ledger, self.response().id)

    def verdicts(self) -> list[CaseVerdict]:
        records = (entry.record() for entry in self.product.ledger.entries(case_stream(self.case().id)))
        return [record for record in records if isinstance(record, CaseVerdict)]

    def question(self, phase: str) -> ApprovalRow:
        """The open question about the phase's plan, once its form can be filled in."""
        return self.product.until(lambda: self._asked(phase), f"a form for {self.instance} to {phase}")

    def _asked(self, phase: str) -> ApprovalRow | None:
        assert self.response().status != "ended", f"it has ended: {self.history().ended}"
        plans = {digest for digest, plan in self.history().plans.items() if plan.phase.value == phase}
        mine = (each for each in self._questions() if each.digest in plans and each.answer is None)
        question = next(mine, None)
        if question is None or question.flow_run is None or self.product.operator.form(question.flow_run) is None:
            return None
        return question

    def _questions(self) -> tuple[ApprovalRow, ...]:
        return self.product.ledger.approvals(self.response().id)

    def approve(self, *phases: str) -> None:
        """Say yes to these phases' plans, in this order, as soon as each is asked about; what is answered stays so."""
        for phase in phases:
            if not self._answered(phase):
                self.product.operator.answer(str(self.question(phase).flow_run))

    def reject(self, phase: str) -> None:
        if not self._answered(phase):
            with closing(self.product.operator_who("reject")) as operator:
                operator.answer(str(self.question(phase).flow_run))

    def _answered(self, phase: str) -> bool:
        history = self.history()
        return any(history.plans[digest].phase.value == phase for digest in history.decisions)

    def ended(self) -> ResponseEnded:
        """How the newest response ended, once it has."""
        self.product.until(lambda: self.response().status == "ended", f"an end of the response about {self.instance}")
        ended = self.history().ended
        assert ended is not None
        return ended

    def thread(self) -> list[dict[str, Any]]:
        """The Slack messages about it, the alert first."""
        every = self.product.messages()
        (alert,) = [each for each in every if each["thread_ts"] is None and self.instance in each["text"]]
        return [alert, *(each for each in every if each["thread_ts"] == alert["ts"])]

    def tickets(self) -> list[dict[str, Any]]:
        return [each for each in self.product.issues() if self.instance in each["summary"] + each["description"]]


def an_event(number: int, severity: str = "CRITICAL") -> dict[str, Any]:
    """The shipped event, as if about another instance in another account, and just now."""
    text = json.dumps(read_event(None, datetime.now(UTC)))
    text = text.replace("111122223333", f"1111222233{number:02d}")
    text = text.replace("i-0c0ffee1234567890", f"i-0c0ffee12345678{number:02d}")
    text = text.replace('"severity": "CRITICAL"', f'"severity": "{severity}"')
    return json.loads(text) | {"id": str(uuid.uuid4())}


def write_variant(folder: Path, name: str, severities: list[str], changes: dict[str, Any]) -> None:
    """A runbook like the one for high severities, for other ones, with some values changed."""
    runbook = yaml.safe_load((LIBRARY / "ec2-high-severity-cve.yaml").read_text(encoding="utf-8"))
    runbook |= {"name": name}
    runbook["matches"]["severities"] = severities
    for part, values in changes.items():
        runbook[part] |= values
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(runbook), encoding="utf-8")


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""
