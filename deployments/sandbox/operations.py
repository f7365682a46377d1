"""The register of operations the sandbox answers itself, and what such an operation is given.

An operation is a function of a `Call`. It returns the result as boto3 would show it, or an `Answer` it got from moto by
`call.forward()`. Everything that is not registered is moto's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from deployments.sandbox.wire import Answer, AwsError, Message

if TYPE_CHECKING:
    from deployments.sandbox.cloud import Cloud
    from deployments.sandbox.world import World

Operation = Callable[["Call"], "dict[str, Any] | Answer"]
OPERATIONS: dict[tuple[str, str], Operation] = {}

_READS = ("Describe", "List", "Get", "Batch_Get", "BatchGet", "Head", "Search")


class Refused(Exception):
    """moto answered with an error; the caller is to see that very answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


@dataclass(frozen=True)
class Call:
    """One call of an AWS operation in the sandbox.

    Attributes:
        message: the call as it came.
        cloud: the sandbox it came to.
        partial: an injected fault asks for this call to succeed only in part.
    """

    message: Message
    cloud: Cloud
    partial: bool = False

    @property
    def params(self) -> dict[str, Any]:
        """The parameters, named as in boto3."""
        return self.message.params

    @property
    def account(self) -> str:
        """The account the caller's credentials are of."""
        return self.message.account

    @property
    def region(self) -> str:
        """The region the call was sent to."""
        return self.message.region

    @property
    def world(self) -> World:
        """What the sandbox keeps for this account and region beyond moto."""
        return self.cloud.world(self.account, self.region)

    @property
    def now(self) -> datetime:
        """The sandbox's time."""
        return self.cloud.clock.now()

    def forward(self) -> Answer:
        """The answer of moto to this very call."""
        return self.message.forward_to(self.cloud.moto)

    def moto(self) -> dict[str, Any]:
        """The result of moto for this very call, to be corrected.

        Raises:
            Refused: moto answered with an error.
        """
        answer = self.forward()
        if not answer.ok:
            raise Refused(answer)
        return self.message.read(answer)


def operation(service: str, *names: str) -> Callable[[Operation], Operation]:
    """Register a function as the answer to these operations of a service (boto3's service and API operation names)."""

    def register(function: Operation) -> Operation:
        for name in names:
            OPERATIONS[service, name] = function
        return function

    return register


def is_read(operation_name: str) -> bool:
    """Whether an operation only looks."""
    return operation_name.startswith(_READS)


def page(
    call: Call,
    items: Sequence[Any],
    *,
    result: str,
    token: str = "NextToken",
    limit: str = "MaxResults",
    most: int = 50,
    invalid_token: str = "InvalidNextToken",
) -> dict[str, Any]:
    """One page of a list, with the token for the next one.

    Raises:
        AwsError: the token is not one of ours.
    """
    given = call.params.get(token)
    if given is not None and not str(given).isdigit():
        raise AwsError(invalid_token, "The specified token is not valid.")
    start = int(given or 0)
    end = start + int(call.params.get(limit) or most)
    answer: dict[str, Any] = {result: list(items[start:end])}
    if end < len(items):
        answer[token] = str(end)
    return answer
