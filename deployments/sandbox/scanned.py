"""The kinds of resources Inspector scans. A new kind is one class, and its line in `KINDS`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar, Protocol

from deployments.sandbox.platforms import Platform
from deployments.sandbox.scanned_functions import ScannedFunctions
from deployments.sandbox.scanned_images import ScannedImages
from deployments.sandbox.scanned_instances import ScannedInstances
from deployments.sandbox.world import Finding, Package, PackageKey, World


class Scanned(Protocol):
    """One resource Inspector scans, with the packages it knows of it."""

    resource_type: ClassVar[str]
    first_scanned_at: datetime | None
    scanned_at: datetime | None

    @property
    def resource_id(self) -> str:
        """What Inspector calls it."""
        ...

    @property
    def platform(self) -> Platform:
        """Its operating system."""
        ...

    @property
    def inventory(self) -> Mapping[PackageKey, Package]:
        """The packages Inspector judges it by."""
        ...


class Kind(Protocol):
    """One kind of resource.

    Attributes:
        resource_type: Inspector's name for it.
        closing: reasons of coverage for which its findings are closed, with nothing fixed.
    """

    resource_type: str
    closing: frozenset[str]

    def all(self, world: World) -> Iterable[Any]:
        """Every resource of this kind."""
        ...

    def find(self, world: World, resource_id: str) -> Any:
        """One resource."""
        ...

    def coverage(self, world: World, scanned: Any, /) -> tuple[str, str]:
        """Its scan status: the code and the reason."""
        ...

    def rows(self, world: World, scanned: Any, /) -> Iterable[dict[str, Any]]:
        """What ListCoverage says of it, apart from what is the same for every kind."""
        ...

    def describe(self, world: World, finding: Finding) -> dict[str, Any]:
        """The tags and details of a finding's resource."""
        ...


KINDS: dict[str, Kind] = {
    kind.resource_type: kind for kind in (ScannedInstances(), ScannedImages(), ScannedFunctions())
}


def coverage(world: World, scanned: Scanned) -> tuple[str, str]:
    """The scan status of a resource: its code and its reason."""
    return KINDS[scanned.resource_type].coverage(world, scanned)


def of_finding(world: World, finding: Finding) -> Scanned:
    """The resource a finding is about."""
    return KINDS[finding.resource_type].find(world, finding.resource_id)
