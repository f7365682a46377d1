"""What a verdict rests on, as it was read: of an instance, or of an image and of those that have taken its place."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from runbooks.finding import Finding
from runbooks.function import FunctionAlias, FunctionContent
from runbooks.model import Model

ABSENT = "ABSENT"
"""The status of a finding that Inspector no longer has (closed ones are deleted after 3 or 30 days)."""


class Coverage(Model):
    """What Inspector says of its own view of the resource (ListCoverage, scan type PACKAGE)."""

    status: str
    reason: str
    last_scanned_at: datetime | None = None


class Evidence(Model):
    """What was read to reach a verdict on one resource: the case's own, or a successor's."""

    resource: str
    gone: bool = False
    platform: str
    findings: dict[str, str]
    """ARN -> status of the case's vulnerabilities on this resource; ABSENT when Inspector has the finding no more."""
    coverage: Coverage | None
    installed: dict[str, str | None]
    """Package -> installed version; None when the inventory does not have the package."""
    unreadable: tuple[str, ...] = ()
    """Packages of another manager than the operating system's: the inventory never lists them."""
    inventory_captured_at: datetime | None = None


class CandidateEvidence(Model):
    """What Inspector says of an image that is to take, or has taken, a vulnerable one's place."""

    digest: str
    coverage: Coverage | None
    findings: tuple[Finding, ...] = ()
    """All that it reports on this very digest, of whatever severity and status."""


class SuccessorEvidence(Model):
    """The part of it that a verdict keeps: the case's own vulnerabilities, and no others."""

    digest: str
    coverage: Coverage | None
    vulnerabilities: dict[str, str] = Field(default_factory=dict)
    """Id of each vulnerability of the case -> status of Inspector's finding on this digest; ABSENT without one."""


class ImageEvidence(Model):
    """What was read to reach a verdict on one image: who runs it still, and what runs in its place."""

    kind: Literal["image"] = "image"
    resource: str
    """The image as Inspector names it."""
    gone: bool = False
    archived: bool = False
    users: tuple[str, ...] = ()
    """Who runs this very digest now, each in words."""
    unseen: tuple[str, ...] = ()
    """What runs it, or may, where that cannot be seen, each in words: Inspector's count comes up to 36 hours late."""
    left: tuple[str, ...] = ()
    """Those of both to whom nothing was deployed, in the same words: waiting brings them to no other image."""
    was_run: bool = False
    """Whether triage saw anybody run it."""
    deployed: bool = False
    """Whether this response has deployed another image in its place."""
    successors: tuple[SuccessorEvidence, ...] = ()
    """The digests that run in its place; where nobody ran it, the one that was built."""


class FunctionEvidence(Model):
    """What was read to reach a verdict on one function: Inspector's view of $LATEST, and what is served instead."""

    kind: Literal["function"] = "function"
    resource: str
    """The function as Inspector names it: always its $LATEST."""
    gone: bool = False
    findings: dict[str, str] = Field(default_factory=dict)
    """ARN -> status of the case's vulnerabilities on $LATEST; ABSENT when Inspector has the finding no more."""
    reported_at: datetime | None = None
    """When Inspector last observed one of them that is active."""
    coverage: Coverage | None = None
    latest: FunctionContent | None = None
    modified_at: datetime | None = None
    """When $LATEST was changed last."""
    aliases: tuple[FunctionAlias, ...] = ()
    pinned: tuple[str, ...] = ()
    """Who invokes, or may invoke, by its number a version with other packages than $LATEST, each in words."""
    vulnerable: tuple[FunctionContent, ...] = ()
    """What it was when Inspector found it vulnerable, as triage read it."""


class NetworkEvidence(Model):
    """What was read to reach a verdict on the ways into one instance."""

    kind: Literal["network"] = "network"
    resource: str
    gone: bool = False
    ports: tuple[str, ...]
    """What was to be closed, in words."""
    paths: tuple[str, ...] = ()
    """Every way that leads there from the internet now, evaluated anew, in words."""
    findings: dict[str, str] = Field(default_factory=dict)
    """ARN -> status; ABSENT when Inspector has the finding no more, EXPECTED when it is about what is meant to be."""
    beside: tuple[str, ...] = ()
    """Ports that Inspector reports now by a path that nothing was done about, and that are not meant to be open."""
    closed_at: datetime | None = None
    """When Inspector last closed one of them."""
    coverage: Coverage | None = None
    """Scan type NETWORK."""


AnyEvidence = Evidence | ImageEvidence | FunctionEvidence | NetworkEvidence
