"""A finding: one vulnerability on one resource, in our words, whatever envelope it came in."""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import Field

from runbooks.model import Model


class FindingType(StrEnum):
    PACKAGE = "PACKAGE_VULNERABILITY"
    CODE = "CODE_VULNERABILITY"
    NETWORK = "NETWORK_REACHABILITY"


class ResourceType(StrEnum):
    """Resource types that Inspector documents for AWS. Any other value is kept as the string it is."""

    EC2_INSTANCE = "AWS_EC2_INSTANCE"
    ECR_IMAGE = "AWS_ECR_CONTAINER_IMAGE"
    ECR_REPOSITORY = "AWS_ECR_REPOSITORY"
    LAMBDA_FUNCTION = "AWS_LAMBDA_FUNCTION"
    CODE_REPOSITORY = "CODE_REPOSITORY"
    MACHINE_IMAGE = "MACHINE_IMAGE"


class FindingStatus(StrEnum):
    ACTIVE = "ACTIVE"
    SUPPRESSED = "SUPPRESSED"
    CLOSED = "CLOSED"


SEVERITIES = ("INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL")
"""Inspector's severities in rising order. UNTRIAGED (no vendor score yet) is outside the order."""

_FINDING_ARN = re.compile(r"arn:aws[a-zA-Z-]*:inspector2:[a-z]{2}(-[a-z]+)+-\d:\d{12}:finding/[a-f0-9]{32}", re.ASCII)


class VulnerablePackage(Model):
    """One vulnerable package on the resource."""

    name: str
    version: str
    epoch: int = 0
    release: str | None = None
    arch: str | None = None
    manager: str = "OS"
    """Inspector's packageManager: OS, PIP, JAR, GOBINARY, ... ; an unknown one is kept, UNKNOWN where none was sent."""
    fixed_in: str | None = None
    """fixedInVersion as sent (it may carry its own epoch), None when no fix is known."""
    remediation: str | None = None
    file_path: str | None = None
    extra: dict[str, Any] = Field(default_factory=dict)
    """Every other member of the package (sourceLayerHash, sourceLambdaLayerArn), kept as sent."""


class Resource(Model):
    """What the finding is on. `id` is Inspector's: an instance id, an image ARN, a function ARN."""

    type: str
    id: str
    account: str
    region: str
    partition: str = "aws"
    tags: dict[str, str] = Field(default_factory=dict)
    details: dict[str, Any] = Field(default_factory=dict)
    """Inspector's details for the resource as sent, times in ISO 8601; a hint that triage reads again."""
    extra: dict[str, Any] = Field(default_factory=dict)
    """Every other member of the resource (provider, providerAccountId), kept as sent."""


class Finding(Model):
    """One vulnerability on one resource, as Inspector reports it."""

    arn: str
    type: str
    status: str
    severity: str
    title: str
    description: str = ""
    resource: Resource
    vulnerability_id: str | None = None
    packages: tuple[VulnerablePackage, ...] = ()
    inspector_score: float | None = None
    """Inspector's own 0-10 score; often absent (network, code, untriaged)."""
    cvss_score: float | None = None
    """The highest CVSS base score listed in the finding."""
    epss: float | None = None
    """EPSS probability, 0-1."""
    exploit_available: bool | None = None
    fix_available: str | None = None
    """YES, NO or PARTIAL as sent; None when the finding does not say."""
    vendor_severity: str | None = None
    source_url: str | None = None
    published_at: datetime | None = None
    """When the vendor disclosed the vulnerability (vendorCreatedAt)."""
    first_observed_at: datetime
    last_observed_at: datetime
    updated_at: datetime
    last_known_exploit_at: datetime | None = None
    extra: dict[str, Any] = Field(default_factory=dict)
    """Every other member of the finding, kept as sent where it was sent, times in ISO 8601.

    Members that are understood in part keep the rest here: `packageVulnerabilityDetails` its cvss list, references and
    source. `resources` holds any resource after the one the finding is taken to be on.
    """

    @property
    def arn_is_valid(self) -> bool:
        """Whether the API takes `arn` back (BatchGetFindingDetails); placeholders and on-demand ones it refuses."""
        return _FINDING_ARN.fullmatch(self.arn) is not None

    @property
    def severity_rank(self) -> int:
        """Place in SEVERITIES; -1 for UNTRIAGED and for a severity this system does not know."""
        return SEVERITIES.index(self.severity) if self.severity in SEVERITIES else -1
