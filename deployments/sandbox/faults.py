"""Faults to inject: what AWS and the network do to a caller on a bad day.

A fault names an operation and how often it strikes. `timeout-after-effect` is the cruel one: the change is made and the
caller never hears of it.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from deployments.sandbox.operations import is_read
from deployments.sandbox.wire import Answer, AwsError, Message

_REMEMBERED_READS = 500
_PARTIAL = frozenset(
    {"ssm:SendCommand", "inspector2:BatchGetFindingDetails", "ec2:CreateSnapshots", "ecr:BatchDeleteImage"}
)


class Perform(Protocol):
    """Carries a call out, wholly or in part."""

    def __call__(self, *, partial: bool) -> Answer: ...


class FaultKind(StrEnum):
    """What goes wrong."""

    THROTTLE = "throttle"
    TIMEOUT_AFTER_EFFECT = "timeout-after-effect"
    TIMEOUT_BEFORE = "timeout-before"
    SERVER_ERROR = "server-error"
    PARTIAL = "partial"
    STALE_READ = "stale-read"


@dataclass
class Fault:
    """One fault, and how many more calls it strikes. The operation is written service:Operation, as in IAM."""

    operation: str
    kind: FaultKind
    times: int = 1

    def __post_init__(self) -> None:
        self.kind = FaultKind(self.kind)
        if self.kind is FaultKind.PARTIAL and self.operation not in _PARTIAL:
            raise ValueError(f"{self.operation} cannot succeed in part; these can: {', '.join(sorted(_PARTIAL))}")
        if self.kind is FaultKind.STALE_READ and not is_read(self.operation.partition(":")[2]):
            raise ValueError(f"{self.operation} is not a read")


class Faults:
    """The faults that wait for their call."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []
        self._last_reads: OrderedDict[str, Answer] = OrderedDict()

    def inject(self, fault: Fault) -> None:
        """Have this fault strike the next calls of its operation."""
        self._waiting.append(fault)

    def clear(self) -> None:
        """No more faults, and nothing stale to show."""
        self._waiting.clear()
        self._last_reads.clear()

    def strike(self, message: Message) -> FaultKind | None:
        """The fault that strikes this call, if any; it is used up by that."""
        name = f"{message.service}:{message.operation}"
        for fault in self._waiting:
            if fault.operation != name:
                continue
            if fault.kind is FaultKind.STALE_READ and _key(message) not in self._last_reads:
                continue
            fault.times -= 1
            if fault.times <= 0:
                self._waiting.remove(fault)
            return fault.kind
        return None

    def disturb(self, message: Message, kind: FaultKind | None, perform: Perform) -> Answer | None:
        """Answer a call as the fault wants it; None means that the caller gets no answer at all."""
        match kind:
            case FaultKind.THROTTLE:
                return message.serialise(_throttled(message.service))
            case FaultKind.SERVER_ERROR:
                return message.serialise(AwsError("InternalError", "An internal error has occurred.", status=500))
            case FaultKind.TIMEOUT_BEFORE:
                return None
            case FaultKind.TIMEOUT_AFTER_EFFECT:
                perform(partial=False)
                return None
            case FaultKind.STALE_READ:
                return self._last_reads[_key(message)]
            case FaultKind.PARTIAL:
                return perform(partial=True)
            case _:
                return self._remember(message, perform(partial=False))

    def _remember(self, message: Message, answer: Answer) -> Answer:
        if is_read(message.operation) and answer.ok and message.service != "s3":
            key = _key(message)
            self._last_reads[key] = answer
            self._last_reads.move_to_end(key)
            if len(self._last_reads) > _REMEMBERED_READS:
                self._last_reads.popitem(last=False)
        return answer


def _key(message: Message) -> str:
    params = json.dumps(message.params, sort_keys=True, default=str)
    return f"{message.account}/{message.region}/{message.service}/{message.operation}/{params}"


def _throttled(service: str) -> AwsError:
    if service == "ec2":
        return AwsError("RequestLimitExceeded", "Request limit exceeded.", status=503)
    code = "Throttling" if service in ("autoscaling", "elbv2", "sts", "iam") else "ThrottlingException"
    return AwsError(code, "Rate exceeded")
