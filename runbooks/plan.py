"""A plan: an ordered tuple of steps, as data. Its digest is what a person approves and what the executor checks."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import cached_property
from itertools import groupby
from typing import Any, Self

import rfc8785
from pydantic import Field, model_validator

from runbooks.model import Model
from runbooks.steps import AnyStep
from runbooks.steps.base import operation_id
from runbooks.windows import ChangeWindow


class Phase(StrEnum):
    """The phases of a response that change the world; each has a plan of its own."""

    CONTAIN = "contain"
    REBUILD = "rebuild"
    """Makes what will be deployed; nobody runs it yet."""
    TEST = "test"
    REMEDIATE = "remediate"
    VERIFY = "verify"
    RELEASE = "release"
    DEPRECATE = "deprecate"
    """Retires what nobody runs any more."""


class ApprovalRule(Model):
    """Whose yes a plan needs."""

    required: bool = True
    approvers: tuple[str, ...] = ()
    """Names of those who may answer; empty means every registered approver whose grants cover it."""
    quorum: int = 1
    """How many different people must say yes."""
    slack_suffices: bool = False
    """Whether Slack's signature is proof enough of who answers; otherwise a one-time code is needed."""
    pre_authorised: str | None = None
    """Why nobody needs to be asked: the runbook has authorised this beforehand, for these reasons."""
    expires_minutes: int = 60
    """Counted from the question to the plan's first change."""
    covered_by: str | None = None
    """Digest of the approved plan that already said this plan may run (release when fixed)."""


class Extent(Model):
    """How much of what there is one case is: what the limits count."""

    case: str
    place: str = ""
    """Account and region, joined by a slash: environments and Auto Scaling groups have their names within it."""
    environment: str = "unknown"
    environment_size: int | None = None
    """Running instances of the environment in the account and region; None where it was not counted."""
    auto_scaling_group: str | None = None
    auto_scaling_group_size: int = 0
    target_groups: dict[str, int] = Field(default_factory=dict[str, int])
    """Target group ARN -> how many instances it sends to."""
    services: dict[str, int] | None = None
    """ECS service -> how many tasks it wants, all of which are replaced. Set for a container image, which is a share of
    nothing: what it is a part of is its services, and each is deployed as a whole, the way that ECS does it."""


class Plan(Model):
    """What will be done in one phase of one response. Never changed: new facts make a new plan."""

    response: str
    runbook: str
    runbook_digest: str
    phase: Phase
    revision: int
    """1 for the response's first plan of this phase; a later plan of the same phase counts up."""
    cases: tuple[str, ...]
    steps: tuple[AnyStep, ...]
    reasons: tuple[str, ...]
    not_covered: tuple[str, ...] = ()
    """What this plan does not protect against, in words."""
    cannot_be_put_back: tuple[str, ...] = ()
    releases_when_fixed: bool = False
    """Contain plans: whether approving it also approves the release once the verdict is `fixed`."""
    approval: ApprovalRule
    waves: tuple[tuple[str, ...], ...] = ()
    """The cases of each wave, where there is more than one: the next begins when the one before was verified."""
    deferred: tuple[str, ...] = ()
    """Cases that are asked about when this plan has ended: together they are more than the limits let begin."""
    extents: tuple[Extent, ...] = ()
    """One for each case whose world is changed; empty for a plan that only looks."""
    windows: tuple[ChangeWindow, ...] = ()
    """When the plan's first change may be made; empty: at any time."""
    code: str = ""
    """Digest of the program that made it; another one asks again."""
    previous: str | None = None
    """Digest of the plan that this one takes the place of."""

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        """What came of a step is found by its key."""
        twice = [key for key, count in Counter(step.key for step in self.steps).items() if count > 1]
        if twice:
            raise ValueError(f"steps: two have the key {twice[0]}, and what came of one would count for both")
        return self

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the plan's RFC 8785 canonical JSON, as 64 hex digits. Worked out once: a plan never changes."""
        return hashlib.sha256(rfc8785.dumps(self.model_dump(mode="json"))).hexdigest()

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy that works out a digest of its own."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self)(**{**values, **(update or {})})

    @property
    def environments(self) -> tuple[str, ...]:
        """The environments it touches, in order, each once."""
        return tuple(dict.fromkeys(each.environment for each in self.extents))

    @property
    def short_digest(self) -> str:
        return self.digest[:12]

    def operation(self, step: AnyStep) -> str:
        """The operation id of one of its steps."""
        return self._operations.get(step.key) or operation_id(self.digest, step.key)

    def stages(self) -> Iterator[tuple[AnyStep, ...]]:
        """Runs of consecutive steps of one kind and wave: what is looked at and done together."""
        for _, steps in groupby(self.steps, key=lambda step: (step.kind, step.undoes, self.wave_of(step))):
            yield tuple(steps)

    def wave_of(self, step: AnyStep) -> int:
        """The first wave that needs the step, from 0."""
        return min((self._waves[case] for case in step.cases if case in self._waves), default=0)

    def together_with(self, step: AnyStep) -> tuple[str, ...]:
        """The cases of the step's wave: those that begin together."""
        return self.waves[self.wave_of(step)] if self.waves else self.cases

    @cached_property
    def _operations(self) -> dict[str, str]:
        return {step.key: operation_id(self.digest, step.key) for step in self.steps}

    @cached_property
    def _waves(self) -> dict[str, int]:
        return {case: number for number, wave in enumerate(self.waves) for case in wave}
