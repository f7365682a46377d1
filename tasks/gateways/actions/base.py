"""How a step is looked at and done.

Looking compares the live state with what the step expects and what it leaves, for all steps of a stage at once. An act
sends the step's calls, each once. What an act made is found again later, by anyone: by its tag, its comment, its
client token or the state itself; so that an act whose answer was lost is not done twice.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Generic, Literal, Protocol, TypeVar

from pydantic import Field

from runbooks.errors import Refused
from runbooks.model import Model
from runbooks.steps.base import Role, Step
from tasks.gateways.aws_errors import acts, reads
from tasks.gateways.aws_session import AwsSessions
from tasks.gateways.copacetic import Copacetic
from tasks.gateways.github import GitHubGateway

CASE_TAG = "remediation-runbooks:case"
"""The tag that says which case something was made for."""


class Look(Model):
    """What the live state says of one step."""

    status: Literal["as-expected", "as-left", "half-done", "in-progress", "failed", "drifted"]
    """as-expected: act. as-left: it is done already. half-done: begun and not finished, act finishes it. in-progress:
    the world is on its way, look again. failed: it ended badly. drifted: neither as expected nor as left."""
    found: dict[str, Any] = Field(default_factory=dict)
    """The live state, as JSON: what the ledger keeps as the original."""
    detail: str = ""
    """In words, for a person."""
    result: dict[str, Any] = Field(default_factory=dict)
    """The ids found: of snapshots, a command, a group, a refresh, a new instance."""
    cases: dict[str, str] = Field(default_factory=dict)
    """Case id -> done, in-progress or failed, for a step that serves many."""


class Action(Protocol):
    """One kind of step, looked at and done."""

    def look(self, steps: Sequence[Any], operations: Mapping[str, str]) -> dict[str, Look]:
        """The live state of these steps, by step key.

        Args:
            operations: step key -> operation id, of the whole plan.

        Raises:
            Outside: AWS did not say.
        """
        ...

    def act(self, step: Any, operation: str) -> dict[str, Any]:
        """Send the step's calls, each once, as the look before found it to be needed; gives the ids it made.

        Raises:
            AnswerLost: the effect is not known; look before anything else.
            Throttled: AWS refused it for now.
            Outside: AWS refused it.
        """
        ...


class Place:
    """One account and region, with the clients for it."""

    def __init__(self, sessions: AwsSessions, account: str, region: str) -> None:
        self.sessions = sessions
        self.account = account
        self.region = region

    def reading(self, service: str) -> Any:
        """A client that reads."""
        return self.sessions.client(service, self.account, self.region, Role.READ)

    def acting(self, service: str, step: Step) -> Any:
        """A client that acts, under the very role of this step."""
        return self.sessions.client(service, self.account, self.region, step.acting_role)


@dataclass(frozen=True)
class Elsewhere:
    """Whom some kinds of steps need besides AWS."""

    github: GitHubGateway | None = None
    """None where no token is set."""
    copacetic: Copacetic = field(default_factory=Copacetic)


StepT = TypeVar("StepT", bound=Step)


class AwsAction(ABC, Generic[StepT]):
    """An action whose steps are looked at place by place; `act` goes by what `look` has just seen."""

    def __init__(self, sessions: AwsSessions, elsewhere: Elsewhere | None = None) -> None:
        self._sessions = sessions
        self._elsewhere = elsewhere or Elsewhere()
        self._seen: dict[str, tuple[StepT, Look]] = {}

    @reads()
    def look(self, steps: Sequence[StepT], operations: Mapping[str, str]) -> dict[str, Look]:
        """See `Action.look`."""
        looks: dict[str, Look] = {}
        for (account, region), here in groupby(sorted(steps, key=_place_of), key=_place_of):
            looks |= self._look(Place(self._sessions, account, region), list(here), operations)
        self._seen |= {operations[step.key]: (step, looks[step.key]) for step in steps}
        return looks

    @acts()
    def act(self, step: StepT, operation: str) -> dict[str, Any]:
        """See `Action.act`. A step that was not looked at since its last act is looked at first.

        Raises:
            Refused: the look found something that must not be acted upon; its code is the look's status.
        """
        if operation not in self._seen or self._seen[operation][0] != step:
            self.look([step], {step.key: operation})
        _, look = self._seen.pop(operation)
        if look.status == "as-left":
            return look.result
        if look.status not in ("as-expected", "half-done"):
            raise Refused(look.detail or f"{step.key} is {look.status}", code=look.status)
        place = Place(self._sessions, step.target.account, step.target.region)
        return self._act(place, step, operation, look)

    @abstractmethod
    def _look(self, place: Place, steps: Sequence[StepT], operations: Mapping[str, str]) -> dict[str, Look]:
        """Look at steps that are all in one account and region."""

    @abstractmethod
    def _act(self, place: Place, step: StepT, operation: str, look: Look) -> dict[str, Any]:
        """Send the calls."""


def compare(live: Any, expects: Any, leaves: Any, name: str, result: Mapping[str, Any] | None = None) -> Look:
    """The look at one value that is as wanted already, as expected, or something else."""
    found = {name: list(live) if isinstance(live, tuple) else live}
    if live == leaves:
        return Look(status="as-left", found=found, result=dict(result or {}))
    if live == expects:
        return Look(status="as-expected", found=found, result=dict(result or {}))
    detail = f"{name} is {spoken(live)}, and the plan found {spoken(expects)}"
    return Look(status="drifted", found=found, detail=detail)


def gone(what: str) -> Look:
    """The look at something that is not there any more."""
    return Look(status="drifted", detail=f"{what} does not exist any more")


def spoken(value: Any) -> str:
    """A value in words."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(str(item) for item in value) + "]"
    return str(value)


def tags(values: Mapping[str, str]) -> list[dict[str, str]]:
    """A TagSpecification's tags. AWS keeps the prefix aws: for itself and refuses it from anyone else."""
    return [{"Key": key, "Value": value} for key, value in values.items() if not key.startswith("aws:")]


def _place_of(step: Step) -> tuple[str, str]:
    return step.target.account, step.target.region
