"""A burst: one vulnerability on many instances at once, one plan to approve, patched in waves."""

from __future__ import annotations

import copy
import ipaddress
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

from deployments.local import WEBHOOK_KEY, Local
from runbooks.catalog import LIBRARY
from runbooks.chain import Entry
from runbooks.errors import Outside
from runbooks.plan import Phase, Plan
from runbooks.records import (
    ApprovalAsked,
    CasesJoined,
    Decision,
    Outcome,
    PhaseEnded,
    PlanMade,
    ResponseEnded,
    ResponseStarted,
    WaveEnded,
)
from runbooks.telling.wave_words import wave_ended_words
from runbooks.telling.words import counted, sentence

SEVERITY = "UNTRIAGED"
"""On the first day nobody has scored it yet; and no shipped runbook covers it."""
MOST = 1000
AT_ONCE = 8
"""Events that are delivered side by side."""
BAD = 7
"""The instance whose patch fails, counted from 1; where there are fewer, the last."""


def write_library(folder: Path) -> Path:
    """A runbook for the burst: the shipped one for packages, with room for all of it and a few large waves."""
    values = yaml.safe_load((LIBRARY / "ec2-package-cve.yaml").read_text(encoding="utf-8"))
    values |= {"name": "ec2-burst", "title": "A CVE of the day, on many instances", "waves": [1, "10%", "100%"]}
    values["matches"]["severities"] = [SEVERITY]
    values["limits"] |= {
        "maximum_cases": MOST,
        "maximum_cases_at_once": MOST,
        "maximum_cases_per_hour": MOST,
        "maximum_share_of_environment": 50,
        # Whichever wave the bad instance comes in, the demo goes on.
        "maximum_share_of_failures": 100,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ec2-burst.yaml").write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return folder


def burst_of(event: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """The event, on so many instances of one environment: none exposed, so that nothing is contained first."""
    return [_numbered(event, number) for number in range(1, count + 1)]


def furnish_burst(aws: str, events: list[dict[str, Any]], progress: Callable[[str], None]) -> str:
    """Build the instances, one of which cannot be patched, and give the bucket for package lists.

    Raises:
        Outside: the sandbox does not do it.
    """
    bucket, bad = "", min(BAD, len(events))
    with httpx.Client(base_url=aws, trust_env=False, timeout=60) as client:
        for number, event in enumerate(events, 1):
            body = {
                "finding": event["detail"],
                "options": {"exposed": False, "volumes": 1, "patch_fails": number == bad},
            }
            answer = client.post("/sandbox/furnish", json=body)
            if not answer.is_success:
                raise Outside(f"the sandbox could not be furnished: {answer.text[:300]}", code="sandbox")
            event["detail"]["findingArn"] = answer.json()["finding_arn"]
            bucket = str(answer.json()["bucket"])
            progress(f"Furnishing the sandbox: {number} of {counted(len(events), 'instance')}")
    return bucket


def deliver(local: Local, events: list[dict[str, Any]]) -> list[str]:
    """POST them as EventBridge does, several side by side; gives the deliveries' ids.

    Raises:
        Outside: the receiver does not take one.
    """
    headers = {"x-api-key": WEBHOOK_KEY, "user-agent": "Amazon/EventBridge/ApiDestinations"}
    with httpx.Client(base_url=local.receiver, headers=headers, trust_env=False, timeout=30) as client:

        def post(event: dict[str, Any]) -> str:
            answer = client.post("/webhooks/inspector", json=event)
            if answer.status_code != httpx.codes.ACCEPTED:
                raise Outside(f"the receiver answered {answer.status_code}: {answer.text[:300]}", code="not-accepted")
            return str(answer.json()["delivery"])

        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(post, events))


class BurstStory:
    """What a person wants to read of hundreds of cases: the whole, and what goes wrong."""

    def __init__(self, console: Console, form_url: str) -> None:
        self._console = console
        self._form_url = form_url
        self._failed: set[str] = set()

    def tell(self, entry: Entry) -> None:
        for line in self._told(entry):
            self._console.print(line)

    def say(self, words: str) -> None:
        self._console.print(Text(words))

    def chapter(self, title: str) -> None:
        self._console.print()
        self._console.rule(f"[bold]{title}", align="left")

    def _told(self, entry: Entry) -> Iterator[Any]:  # noqa: C901 - one line for each kind of record
        match entry.record():
            case ResponseStarted(response=response, cases=cases, runbook=runbook):
                self.chapter(f"Response {response}")
                yield f"{counted(len(cases), 'case')} under runbook {runbook}"
            case CasesJoined(cases=cases):
                yield f"{counted(len(cases), 'more case')} joined"
            case PlanMade(plan=plan) if plan.phase is not Phase.VERIFY:
                yield from self._plan(plan)
            case ApprovalAsked() as asked:
                form = f"{self._form_url}/runs/flow-run/{asked.flow_run}"
                yield f"[bold yellow]A person is asked once, for all of it[/]: {form}"
            case Decision(approver=str()) as decision:
                yield Text(f"{decision.answer.capitalize()} by {decision.approver}", style="bold")
            case Outcome(action="create-ticket") as outcome:
                yield f"Ticket [bold]{outcome.result.get('key')}[/] ({outcome.subject}): {outcome.result.get('url')}"
            case Outcome(cases=cases, action="patch-packages") as outcome:
                bad = {case for case, status in cases.items() if status == "failed"} - self._failed
                self._failed |= bad
                if bad:
                    yield Text(f"  failed: {outcome.detail or ', '.join(sorted(bad))}; the others go on", style="red")
            case WaveEnded() as wave:
                yield Text(f"  {sentence(wave_ended_words(wave))}")
            case PhaseEnded(phase=phase, result=result) if phase is not Phase.VERIFY:
                yield f"{phase.capitalize()}: {result}"
            case ResponseEnded() as ended:
                yield Text(f"The response has ended: {ended.result}. {sentence(ended.reason)[:400]}", style="bold")
            case _:
                return

    def _plan(self, plan: Plan) -> Iterator[Any]:
        self.chapter(f"{plan.phase.capitalize()}: one plan for {counted(len(plan.cases), 'case')}")
        table = Table(show_edge=False, pad_edge=False)
        for column in ("Wave", "Cases", "Commands"):
            table.add_column(column, justify="right")
        for number, cases in enumerate(plan.waves or (plan.cases,)):
            commands = sum(1 for step in plan.steps if step.kind == "patch-packages" and plan.wave_of(step) == number)
            table.add_row(str(number + 1), str(len(cases)), str(commands))
        yield table
        yield Text(f"digest {plan.digest}", style="cyan")


def _numbered(event: dict[str, Any], number: int) -> dict[str, Any]:
    made = copy.deepcopy(event)
    detail: dict[str, Any] = made["detail"]
    instance = f"i-{0xB0000000000000000 + number:017x}"
    detail["severity"] = SEVERITY
    detail["findingArn"] = f"{detail['findingArn'].rpartition('/')[0]}/{number:032x}"
    resource: dict[str, Any] = detail["resources"][0]
    resource["id"] = instance
    resource["tags"] = {"Name": f"shop-{number:04}", "environment": "production"}
    network = resource["details"]["awsEc2Instance"]
    network["ipV4Addresses"] = [str(ipaddress.ip_address("10.0.1.0") + number % 250 + 4)]
    made["id"] = str(uuid.uuid5(uuid.NAMESPACE_URL, f"burst/{number}"))
    made["resources"] = [instance]
    return made
