"""A runbook: the values and choices of one playbook, read from YAML. Never logic: a new `if` is a named choice here."""

from __future__ import annotations

import hashlib
import ipaddress
from enum import StrEnum
from typing import Annotated, Literal

import rfc8785
from pydantic import AfterValidator, Field

from runbooks.finding import SEVERITIES, Finding
from runbooks.model import Model
from runbooks.plan import ApprovalRule

Minutes = Annotated[int, Field(ge=1, le=60 * 24 * 14)]
Seconds = Annotated[int, Field(ge=1, le=3600)]
SeverityName = Literal["INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL", "UNTRIAGED"]
Wave = Annotated[int, Field(ge=1)] | Annotated[str, Field(pattern=r"^(100|[1-9][0-9]?)%$")]


def _network(text: str) -> str:
    """As EC2 keeps it: a host part or another spelling would be another rule than the plan's ever after."""
    if "/" not in text:
        raise ValueError("a CIDR has a prefix length, such as 10.0.9.0/24")
    return str(ipaddress.ip_network(text))


Cidr = Annotated[str, AfterValidator(_network)]


class Signal(StrEnum):
    """What triage can say of a case; a runbook decides by sets of them."""

    KNOWN_EXPLOIT = "known-exploit"
    """An exploit is public (exploitAvailable), or EPSS is at or above the runbook's threshold."""
    EXPLOITED_IN_THE_WILD = "exploited-in-the-wild"
    """CISA's KEV catalogue lists the vulnerability."""
    EXPOSED = "exposed"
    """A path from the internet reaches the instance."""
    COMPROMISE_SUSPECTED = "compromise-suspected"
    """A person or a detection says so of this very host."""

    @property
    def words(self) -> str:
        """As an adjective: what `...` is."""
        return {
            "known-exploit": "exploitable by a known exploit",
            "exploited-in-the-wild": "exploited in the wild",
            "exposed": "exposed to the internet",
            "compromise-suspected": "suspected of being compromised",
        }[self.value]


class Approval(Model):
    """Who is asked before a phase runs. There is no default that approves."""

    required: bool = True
    approvers: tuple[str, ...] = ()
    expires_minutes: Minutes = 60

    def rule(self) -> ApprovalRule:
        return ApprovalRule(required=self.required, approvers=self.approvers, expires_minutes=self.expires_minutes)


class Matches(Model):
    """Which findings the runbook covers."""

    finding_type: Literal["PACKAGE_VULNERABILITY", "CODE_VULNERABILITY", "NETWORK_REACHABILITY"]
    resource_type: str
    severities: Annotated[tuple[SeverityName, ...], Field(min_length=1)]

    def covers(self, finding: Finding) -> bool:
        return (
            finding.type == self.finding_type
            and finding.resource.type == self.resource_type
            and finding.severity in self.severities
        )


class Alert(Model):
    slack: bool = True
    ticket: bool = True
    ticket_priority: str | None = None
    """A priority name of the Jira project; None leaves Jira's default."""


class Thresholds(Model):
    """From where a number counts as a signal."""

    epss: Annotated[float, Field(ge=0, le=1)] = 0.1


class Quarantine(Model):
    """What a quarantined interface may still reach."""

    group_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9 ._\-:/()#,@+=&;{}!$*]{1,246}$")] = "remediation-quarantine"
    """What the groups' names begin with; a dash and eight characters follow, and EC2 takes 255 in all."""
    allow_systems_manager: bool = True
    """Leave the SSM endpoints of the VPC reachable, so that the instance can be patched under quarantine."""
    allow_package_source: bool = True
    """Leave the S3 endpoint and the mirrors below reachable on ports 80 and 443."""
    package_mirrors: tuple[Cidr, ...] = ()


class Contain(Model):
    when: tuple[tuple[Signal, ...], ...]
    """Contain when any of these sets holds completely. An empty list: never."""
    approval: Approval = Approval()
    quarantine: Quarantine = Quarantine()
    replacement_capacity: Literal["launch", "none"] = "launch"
    """Whether the Auto Scaling group replaces the detached instance, or runs with one less."""
    protect_evidence: bool = True
    snapshots: bool = True
    cut_connections: bool = False
    """Pass through an open group so that tracked connections are cut; refused while a path from the internet exists."""
    stop: bool = False


class Remediate(Model):
    strategy: Literal["patch", "replace", "patch-else-replace"] = "patch-else-replace"
    approval: Approval = Approval()
    reboot: Literal["RebootIfNeeded", "NoReboot"] = "RebootIfNeeded"
    document: str = "AWS-RunPatchBaseline"
    delivery_timeout_seconds: Annotated[int, Field(ge=30, le=2_592_000)] = 600
    """SendCommand TimeoutSeconds: the time in which the command must start."""
    image_parameter: str | None = None
    """SSM parameter that names the newest patched AMI; None takes AWS's public one of the platform."""
    minimum_healthy_percentage: Annotated[int, Field(ge=0, le=100)] = 90
    checkpoints: tuple[Annotated[int, Field(ge=1, le=100)], ...] = (20, 100)
    checkpoint_delay_seconds: Annotated[int, Field(ge=0, le=172_800)] = 300
    timeout_minutes: Minutes = 120


class Verify(Model):
    look_every_seconds: Seconds = 60
    timeout_minutes: Minutes = 180
    """After this without a scan later than the fix the verdict is `unverifiable`."""
    when_not_fixed: Literal["person", "remediate-again"] = "person"
    maximum_attempts: Annotated[int, Field(ge=1, le=5)] = 2


class Release(Model):
    when_fixed: Literal["by-itself", "ask"] = "by-itself"
    """`by-itself` only ever holds where the approved contain plan said so and no compromise is suspected."""
    approval: Approval = Approval()


class Limits(Model):
    """Blast radius of one response; always on."""

    maximum_cases: Annotated[int, Field(ge=1, le=1000)] = 50
    maximum_interfaces: Annotated[int, Field(ge=1, le=50)] = 15
    protected_tags: dict[str, str] = Field(default_factory=dict)
    """An instance with any of these tags is never touched."""


class PostMortem(Model):
    ticket: bool = True
    prevention: tuple[str, ...] = ()


class Runbook(Model):
    """One playbook's values and choices."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
    title: str
    version: int = 1
    matches: Matches
    alert: Alert = Alert()
    thresholds: Thresholds = Thresholds()
    contain: Contain
    remediate: Remediate = Remediate()
    waves: Annotated[tuple[Wave, ...], Field(min_length=1)] = ("100%",)
    """Sizes of the waves of remediation, cumulative: a count or a percentage. No effect with one case in a response."""
    verify: Verify = Verify()
    release: Release = Release()
    limits: Limits = Limits()
    post_mortem: PostMortem = PostMortem()

    @property
    def digest(self) -> str:
        """SHA-256 of the runbook's canonical JSON; plans carry it."""
        return hashlib.sha256(rfc8785.dumps(self.model_dump(mode="json"))).hexdigest()


__all__ = ["SEVERITIES", "Approval", "Contain", "Matches", "Remediate", "Runbook", "Signal"]
