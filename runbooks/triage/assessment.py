"""What triage found of one case and what it decided, as values."""

from __future__ import annotations

from typing import Literal

from runbooks.definition import Signal
from runbooks.errors import Refused
from runbooks.exposure import InternetPath
from runbooks.facts import CaseFacts
from runbooks.instance import Instance
from runbooks.model import Model
from runbooks.quarantine import Patchability

PackageCondition = Literal["vulnerable", "fixed", "absent", "unknown"]
Remediation = Literal["patch", "replace", "rebuild", "person", "close", "update"]
Priority = Literal["P1", "P2", "P3", "P4"]
Origin = Literal["base", "own", "layer", "runtime"]
Decided = Literal["respond", "nothing-to-do", "person"]


class PackageState(Model):
    """One vulnerable package, as found on the instance or in the image."""

    name: str
    architecture: str | None
    manager: str
    installed: str | None
    fixed_in: str | None
    state: PackageCondition
    origin: Origin | None = None
    """Of a container image's package: whether it came with the base image, or was added to it; of a function's, whether
    a layer or the runtime has it, or its own code. None: not known."""


class Triage(Model):
    """What triage found of one case, and what it decided."""

    case: str
    decision: Decided
    code: str
    """Stable reason of the decision: vulnerable, instance-gone, finding-closed, already-fixed, protected, ..."""
    priority: Priority = "P4"
    signals: tuple[Signal, ...] = ()
    contain: bool = False
    remediation: Remediation = "person"
    reasons: tuple[str, ...] = ()
    packages: tuple[PackageState, ...] = ()
    paths: tuple[InternetPath, ...] = ()
    patchability: Patchability | None = None


class Assessment(Model):
    """A case as planning takes it: what was read, and what triage made of it."""

    facts: CaseFacts
    triage: Triage

    @property
    def case(self) -> str:
        return self.facts.case

    @property
    def instance(self) -> Instance:
        """The instance that is acted upon.

        Raises:
            Refused: there is none any more.
        """
        if self.facts.host.instance is None:
            raise Refused(f"{self.case} has no instance to act upon", code="instance-gone")
        return self.facts.host.instance
