"""A vulnerable Lambda function, from its finding to its release, with the product's own tasks on the sandbox."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deployments.sandbox.furnish_function import furnish_function
from deployments.sandbox.furnish_function_options import FunctionOptions
from runbooks.case import CaseKey
from runbooks.catalog import Catalog
from runbooks.definition import Runbook
from runbooks.event import read_payload
from runbooks.plan import Plan
from runbooks.records import ResponseEnded
from runbooks.verdict import Verdict
from tasks.acting import carry_out_stage
from tasks.executor import Progress
from tasks.triage import Triaged, already_triaged, triage_cases
from tasks.verdicts import verdicts_on
from tasks.verifying import Verified, look_for_verdict
from tests.tasks.conftest import OpenHouse
from tests.tasks.gateways.aws_world import ACCOUNT, REGION
from tests.tasks.harness import House
from tests.tasks.harness import Run as HouseRun
from tests.tasks.playing import Playing

NAME, ALARM = "order-export", "order-export-errors"
BAKES = {"bake_minutes": 1}
SCANNED_WITHIN = 10
"""Sandbox seconds from an update to the scan that follows it."""


def a_runbook(**changes: dict[str, Any]) -> Runbook:
    """The shipped runbook with a canary that does not wait; `changes` are merged into its sections."""
    values = Catalog.read().named("lambda-package-cve").model_dump()
    for name, change in ({"deploy": {"bake_minutes": 0}} | changes).items():
        values[name] |= change
    return Runbook.model_validate(values)


def furnished(open_house: OpenHouse, runbook: Runbook | None = None, **options: Any) -> House:
    """A house with a function whose finding has arrived."""
    house = open_house(runbook=runbook or a_runbook())
    chosen = FunctionOptions.model_validate({"account": ACCOUNT, "region": REGION} | options)
    take_in(house, furnish_function(house.sandbox.cloud, chosen))
    return house


def take_in(house: House, built: dict[str, Any]) -> None:
    """Its finding arrives."""
    house.built.append(built | {"bucket": "none"})
    (finding,) = read_payload(json.dumps(built["event"], default=str)).findings
    house.ledger.take_finding(CaseKey.of(finding, house.runbook.name), finding, "webhook")


class FunctionStory(Playing):
    """The response to it, as its flow plays it."""

    def begin(self) -> HouseRun:
        self.run = self.house.start()
        with self.running():
            self.triaged: Triaged = already_triaged() or triage_cases()
        return self.run

    def released(self, *, closes: bool = True) -> None:
        """The response ends as it should, and somebody asks for a release.

        Args:
            closes: whether its case is closed with it, to which nothing has come since.
        """
        ledger, cases = self.house.ledger, self.run.cases
        result = ResponseEnded(result="fixed", reason="it is proven")
        closing = dict.fromkeys(cases, "fixed") if closes else {}
        ledger.end_response(self.house.response, result, closing, lease=self.run.lease)
        self.house.response = ledger.start_response(self.house.runbook.name, cases, "command:joe", purpose="release").id
        self.run = self.house.take_over()

    def looked(self) -> Verified:
        with self.running():
            return look_for_verdict()

    def once(self, plan: Plan, number: int) -> Progress:
        """One look at a stage, and what it leads to."""
        with self.running():
            return carry_out_stage(plan, number, "once")

    def verdict(self, plan: Plan) -> Verdict:
        row = self.have.ledger.response(self.house.response)
        assert row is not None
        (verdict,) = verdicts_on(self.have, row, plan).values()
        return verdict

    def raise_alarm_at(self, looks: int, alarm: str = ALARM) -> Callable[[], None]:
        """Make the run's nth wait the one after which the alarm is raised; gives what puts the wait back."""
        wait, left = self.run.wait, [looks]

        def waiting() -> None:
            left[0] -= 1
            if left[0] == 0:
                set_alarm(self.house, "ALARM", alarm)
            wait()

        vars(self.run)["wait"] = waiting
        return lambda: vars(self.run).pop("wait")


def story(open_house: OpenHouse, folder: Path, runbook: Runbook | None = None, **options: Any) -> FunctionStory:
    return FunctionStory(furnished(open_house, runbook, **options), folder)


def set_alarm(house: House, state: str, name: str = ALARM) -> None:
    house.client("cloudwatch").set_alarm_state(AlarmName=name, StateValue=state, StateReason="errors")


def world(house: House, name: str = NAME) -> dict[str, Any]:
    """All of the function that the playbook may change."""
    client = house.client("lambda")
    raw = client.get_function_configuration(FunctionName=name)
    urls = client.list_function_url_configs(FunctionName=name)["FunctionUrlConfigs"]
    return {
        "layers": [layer["Arn"] for layer in raw.get("Layers", ())],
        "runtime": raw.get("Runtime"),
        "code": raw["CodeSha256"],
        "aliases": {alias["Name"]: alias_of(alias) for alias in client.list_aliases(FunctionName=name)["Aliases"]},
        "urls": [raw["AuthType"] for raw in urls],
        "reserved": client.get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions"),
    }


def alias_of(raw: dict[str, Any]) -> tuple[str, dict[str, float], str]:
    """What it serves, how it divides the calls, and what its description says."""
    weights = raw.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})
    return raw["FunctionVersion"], weights, raw.get("Description", "")


def versions(house: House, name: str = NAME) -> list[str]:
    return [raw["Version"] for raw in house.client("lambda").list_versions_by_function(FunctionName=name)["Versions"]]
