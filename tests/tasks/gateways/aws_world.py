"""A furnished sandbox, reached over HTTP by the gateways' own boto3 clients, and what was called in it."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deployments.sandbox.faults import Fault, FaultKind
from deployments.sandbox.server import Sandbox
from runbooks.steps import Step, Target
from runbooks.steps.base import Role, operation_id
from tasks.gateways.actions import Look, actions
from tasks.gateways.aws_session import AwsSessions

ACCOUNT = "210987654321"
REGION = "eu-west-1"
INSTANCE = "i-0a1b2c3d4e5f60718"
DIGEST = "d1" * 32
CASE = "case-0123456789ab"
ROLE_ARN = "arn:{partition}:iam::{account}:role/remediation-runbooks-{role}"

_EVENTS = Path(__file__).parents[2] / "events"
_SERVICES = {"elbv2": "elasticloadbalancing"}


def an_event(instance: str = INSTANCE, number: int = 1, *, in_group: bool = False) -> dict[str, Any]:
    """A finding event about an instance; `number` makes another one of it."""
    event: dict[str, Any] = copy.deepcopy(json.loads((_EVENTS / "ec2_package_event.json").read_text()))
    detail, resource = event["detail"], event["detail"]["resources"][0]
    detail["findingArn"] = f"arn:aws:inspector2:{REGION}:{ACCOUNT}:finding/{number:032x}"
    resource["id"] = instance
    resource["details"]["awsEc2Instance"]["ipV4Addresses"] = [f"10.20.3.{13 + number}"]
    if not in_group:
        del resource["tags"]["aws:autoscaling:groupName"]
    return event


@dataclass
class AwsWorld:
    """The sandbox, seen as the gateways see it."""

    sandbox: Sandbox
    guarded: list[str] = field(default_factory=list)
    """The operations the guard was asked about, in order."""

    def __post_init__(self) -> None:
        self.sessions = self.new_sessions()
        self.actions = actions(self.sessions)
        self.operations: dict[str, str] = {}

    def new_sessions(self, **options: Any) -> AwsSessions:
        chosen: dict[str, Any] = {"session_name": "response/0042", "guard": self.guarded.append} | options
        return AwsSessions(ROLE_ARN, **chosen)

    def forget_everything(self) -> None:
        """A new process: nothing is remembered but what AWS holds."""
        self.sessions = self.new_sessions()
        self.actions = actions(self.sessions)

    def furnish(self, event: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
        built = self.sandbox.furnish(event or an_event(), **options)
        self.sandbox.cloud.record.clear()
        return built

    def client(self, service: str, role: Role = Role.READ) -> Any:
        return self.sessions.client(service, ACCOUNT, REGION, role)

    def look(self, *steps: Step) -> list[Look]:
        """The looks at these steps, which are the whole plan so far."""
        self.operations |= {step.key: operation_id(DIGEST, step.key) for step in steps}
        looks = self.actions[_kind(steps[0])].look(steps, self.operations)
        return [looks[step.key] for step in steps]

    def act(self, step: Step) -> dict[str, Any]:
        return self.actions[_kind(step)].act(step, operation_id(DIGEST, step.key))

    def fault(self, operation: str, kind: FaultKind, times: int = 1) -> None:
        with self.sandbox.cloud.lock:
            self.sandbox.cloud.faults.inject(Fault(operation, kind, times))

    def calls(self, *, mutating: bool | None = None) -> list[str]:
        """What was called since the world was furnished, as `service:Operation`, role sessions aside."""
        return [
            f"{_SERVICES.get(call['service'], call['service'])}:{call['operation']}"
            for call in self.sandbox.cloud.record.calls()
            if call["service"] != "sts" and mutating in (None, call["mutating"])
        ]

    def parameters(self, operation: str) -> list[dict[str, Any]]:
        """The parameters of every call of this operation."""
        return [c["parameters"] for c in self.sandbox.cloud.record.calls() if c["operation"] == operation]

    def groups_of(self, interface: str) -> list[str]:
        answer = self.client("ec2").describe_network_interfaces(NetworkInterfaceIds=[interface])
        return [group["GroupId"] for group in answer["NetworkInterfaces"][0]["Groups"]]


def a_target(identifier: str = INSTANCE, kind: str = "instance") -> Target:
    return Target(account=ACCOUNT, region=REGION, type=kind, id=identifier)


def statuses(looks: Sequence[Look]) -> list[str]:
    return [look.status for look in looks]


def operation(step: Step) -> str:
    return operation_id(DIGEST, step.key)


def _kind(step: Step) -> str:
    return type(step).model_fields["kind"].default
