"""A step: one change to the world, with what it expects, what it leaves, its undo and the permissions it needs."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Any, ClassVar, Self

from runbooks.model import Model


class Role(StrEnum):
    """The AWS role a step acts under. Reading has a role of its own."""

    READ = "read"
    CONTAIN = "contain"
    PATCH = "patch"
    RESTORE = "restore"


class Target(Model):
    """The one thing a step changes. Account and region are always part of its name."""

    account: str
    region: str
    type: str
    """instance, network-interface, security-group, auto-scaling-group, object, association or launch-template."""
    id: str

    def __str__(self) -> str:
        return f"{self.type}/{self.account}/{self.region}/{self.id}"


class Step(Model):
    """One change to the world. Subclasses add the state expected before and the state left after."""

    calls: ClassVar[tuple[str, ...]]
    """The mutating calls behind it, as `service:Operation`: AWS's, but for those of `github`."""
    permissions: ClassVar[tuple[str, ...]]
    """IAM actions that looking and acting need."""
    role: ClassVar[Role]
    essential: ClassVar[bool] = True
    """Whether a case falls out of the plan when this step fails. Evidence never delays isolation."""
    evidence: ClassVar[bool] = False
    """Whether it keeps evidence: asked for a few times at most, so that it never delays what follows."""
    finishes_later: ClassVar[bool] = False
    """Whether the call only starts the change, and its end is to be looked for."""
    must_end: ClassVar[bool] = False
    """Whether it rests half done where nobody looks again: once begun, it is never given up."""
    all_at_once: ClassVar[bool] = False
    """Whether its one call changes the instances of all its cases."""
    acting_reads: ClassVar[tuple[str, ...]] = ()
    """Those of the permissions that only read, and that AWS asks of whoever makes the call."""
    shows_within_seconds: ClassVar[int] = 6
    """How long whoever is called is given to show the change. AWS promises no bound; this is within what a run waits in
    place."""
    undo_reason: ClassVar[str] = ""
    """Why there is no undo, where `undo` gives None; the approver reads it."""

    target: Target
    cases: tuple[str, ...]
    """The ids of the cases this step serves."""
    undoes: bool = False
    """Whether this step puts back what another one changed: such a step may always run."""

    @property
    def key(self) -> str:
        """Unique in its plan: what it does and to what."""
        return f"{self._kind}:{self.target.id}"

    def key_of(self, name: str) -> str:
        """The key of what has this name in its account and region alone."""
        return f"{self._kind}:{self.target.account}/{self.target.region}/{name}"

    @property
    def _kind(self) -> str:
        return getattr(self, "kind")  # noqa: B009 - every subclass has the discriminator, the base has not

    @property
    def acting_role(self) -> Role:
        """The role this very step acts under: putting back has one of its own."""
        return Role.RESTORE if self.undoes else self.role

    @property
    def undo(self) -> Step | None:
        """The step that puts back what was there, or None with the class's `undo_reason`."""
        return None

    def exchanged(self, **more: Any) -> Self:
        """The same step the other way round, for `undo`: what it expects and what it leaves change places.

        Args:
            more: what else is another value then.
        """
        ends = {"expects": getattr(self, "leaves"), "leaves": getattr(self, "expects")}  # noqa: B009 - subclasses' own
        return self.model_copy(update={**ends, "undoes": not self.undoes, **more})

    @property
    def follows(self) -> bool:
        """Whether an earlier step of the same plan brings this one about: found done, it is this plan's doing."""
        return False

    def describe(self) -> str:
        """The step in words, for the one who approves it."""
        raise NotImplementedError

    def expectation(self) -> str:
        """What it expects to find, in words."""
        raise NotImplementedError


def operation_id(plan_digest: str, step_key: str) -> str:
    """The name of one act for ever: tags, comments and client tokens carry it, so that the act can be found again."""
    return "rb-" + hashlib.sha256(f"{plan_digest}/{step_key}".encode()).hexdigest()[:24]
