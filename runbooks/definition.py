"""A runbook: the values and choices of one playbook, read from YAML. Never logic: a new `if` is a named choice here."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Container, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Literal, Self

import rfc8785
from pydantic import AfterValidator, Field, model_validator

from runbooks.build_choices import Builder
from runbooks.build_terms import named
from runbooks.deploy_choices import Deploy
from runbooks.finding import SEVERITIES, Finding, FindingType, ResourceType
from runbooks.function_choices import Function, checked_alarms
from runbooks.lifecycle_policy import checked_lifecycle_policy
from runbooks.model import Model
from runbooks.network_choices import Cidr, Network
from runbooks.plan import ApprovalRule
from runbooks.windows import ChangeWindow

Minutes = Annotated[int, Field(ge=1, le=60 * 24 * 14)]
Seconds = Annotated[int, Field(ge=1, le=3600)]
Share = Annotated[int, Field(ge=1, le=100)]
SeverityName = Literal["INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL", "UNTRIAGED"]
ANY = "any"
"""Stands in a runbook for every type that is known."""
Playbook = Literal["instance", "image", "function", "network", "ticket"]
Wave = Annotated[int, Field(ge=1)] | Annotated[str, Field(pattern=r"^(100|[1-9][0-9]?)%$")]


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


Conditions = tuple[tuple[Signal, ...], ...]
"""Sets of signals: a condition that holds is a set of which every signal is there. An empty set holds never."""


def holding(conditions: Conditions, signals: Collection[Signal]) -> tuple[Signal, ...] | None:
    """The first of the conditions that holds; None where none does."""
    return next((each for each in conditions if each and set(each) <= set(signals)), None)


def in_words(condition: Sequence[Signal]) -> str:
    """The condition as adjectives: what `...` is."""
    return " and ".join(signal.words for signal in condition)


class Approval(Model):
    """Who is asked before a phase runs. There is no default that approves."""

    required: bool = True
    approvers: tuple[str, ...] = ()
    """Names of registered approvers; empty: every one whose grants cover the phase and the environment."""
    quorum: Annotated[int, Field(ge=1, le=5)] = 1
    """How many different people must say yes; never the one who started the response."""
    slack_suffices_in: tuple[str, ...] = ()
    """Environments in which a button in Slack is proof enough; elsewhere a one-time code is needed."""
    expires_minutes: Minutes = 60
    remind_minutes: Minutes = 15
    """How long a question waits before the SOC is reminded of it, again and again."""

    def rule(self, environments: Sequence[str] = ()) -> ApprovalRule:
        """The rule for a plan that touches these environments."""
        return ApprovalRule(
            required=self.required,
            approvers=self.approvers,
            quorum=self.quorum,
            slack_suffices=bool(environments) and set(environments) <= set(self.slack_suffices_in),
            expires_minutes=self.expires_minutes,
        )


class PreAuthorised(Model):
    """Containment that nobody is asked about first: only by the runbook's choice, where the tags say so too."""

    when: Annotated[Conditions, Field(min_length=1)]
    """Any of these sets must hold completely; an empty set holds never."""
    tags: Annotated[dict[str, str], Field(min_length=1)]
    """The instance must carry all of these."""
    maximum_per_hour: Annotated[int, Field(ge=1, le=100)] = 3
    """So many cases, over all responses; for a plan that would go beyond it a person is asked."""


class Matches(Model):
    """Which findings the runbook covers."""

    finding_type: Literal["PACKAGE_VULNERABILITY", "CODE_VULNERABILITY", "NETWORK_REACHABILITY", "any"]
    """`any` is each of them that is known here: a type that is new tomorrow waits for whoever knows it."""
    resource_type: str
    """As Inspector names it, or `any` of those that are known here."""
    severities: Annotated[tuple[SeverityName, ...], Field(min_length=1)]

    def covers(self, finding: Finding) -> bool:
        return (
            _is_one(finding.type, self.finding_type, frozenset(FindingType))
            and _is_one(finding.resource.type, self.resource_type, frozenset(ResourceType))
            and finding.severity in self.severities
        )

    @property
    def precision(self) -> int:
        """How many of the two types it names: of two runbooks that cover a finding the preciser one has it."""
        return (self.finding_type != ANY) + (self.resource_type != ANY)


def _is_one(text: str, wanted: str, known: Container[str]) -> bool:
    return text in known if wanted == ANY else text == wanted


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


class BlockPromotion(Model):
    """What keeps a vulnerable image from going further. The gate refuses it in any case, while its case is open."""

    stages: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9.@_-]{1,100}/[A-Za-z0-9.@_-]{1,100}$")], ...] = ()
    """`pipeline/stage`: the way into the stage is closed. `{repository}` does not stand for anything here."""
    deny_pulls: bool = False
    """Deny pulls of the whole repository: what runs goes on, what restarts or scales out fails. The deployment of the
    patched image, which is in the same repository, begins by leaving out the execution roles of what it deploys; to all
    others pulls stay denied until the release."""
    may_pull: tuple[Annotated[str, Field(pattern=r"^arn:[a-z*-]+:iam::[0-9*]+:role/\S+$")], ...] = ()
    """ARNs of roles, with wildcards, that may pull all the same: the build's, the integration test's, and those of the
    instances on which ECS runs tasks that name no execution role. This system's own role for reading always may."""


class Contain(Model):
    when: Conditions
    """Contain when any of these sets holds completely. An empty list: never."""
    approval: Approval = Approval()
    quarantine: Quarantine = Quarantine()
    replacement_capacity: Literal["launch", "none"] = "launch"
    """Whether the Auto Scaling group replaces the detached instance, or runs with one less."""
    protect_evidence: bool = True
    snapshots: bool = True
    pre_authorised: PreAuthorised | None = None
    block: BlockPromotion = BlockPromotion()
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
    windows: tuple[ChangeWindow, ...] = ()
    """When the first change may be made; empty: at any time."""
    any_time_when: Conditions = ()
    """Do not wait for a window when any of these sets holds completely."""


class Rebuild(Builder):
    """How a patched image is made, and tried before anybody runs it."""

    refuse_new: SeverityName = "HIGH"
    """The new image must bring no vulnerability of this severity, or above, that the old one has not."""
    approval: Approval = Approval()
    timeout_minutes: Minutes = 90


class Deprecate(Model):
    """How the old image is retired, once nobody runs it."""

    approval: Approval = Approval()
    remove_tags: bool = True
    archive: bool = True
    delete: bool = False
    """For good, and only where this says so; an image that is archived is not deleted as well."""
    lifecycle_policy: Annotated[str, AfterValidator(checked_lifecycle_policy)] | None = None
    """JSON of the lifecycle policy to put on the repository, after a preview; None leaves the one there is."""
    immutable_tags: bool = False


class Verify(Model):
    look_every_seconds: Seconds = 60
    timeout_minutes: Minutes = 180
    """After this without a scan later than the fix the verdict is `unverifiable`."""
    when_not_fixed: Literal["person", "remediate-again"] = "person"
    maximum_attempts: Annotated[int, Field(ge=1, le=5)] = 2
    look_again_hours: Annotated[int, Field(ge=1, le=168)] = 6
    """How long after an `unverifiable` verdict it is looked at again."""
    looks_again: Annotated[int, Field(ge=0, le=30)] = 4
    """How often that is done."""
    watch_days: Annotated[int, Field(ge=0, le=365)] = 14
    """How long a fixed case is watched for the same finding, or the same package on what replaced it."""


class Release(Model):
    when_fixed: Literal["by-itself", "ask"] = "by-itself"
    """`by-itself` only ever holds where the approved contain plan said so and no compromise is suspected."""
    approval: Approval = Approval()


class Limits(Model):
    """Blast radius; always on. The shares and the numbers per hour count everything that this system has under way."""

    maximum_cases: Annotated[int, Field(ge=1, le=1000)] = 500
    maximum_interfaces: Annotated[int, Field(ge=1, le=50)] = 15
    maximum_cases_at_once: Annotated[int, Field(ge=1, le=1000)] = 10
    """Cases that are being changed at the same time, over all responses."""
    maximum_cases_per_hour: Annotated[int, Field(ge=1, le=10_000)] = 20
    maximum_share_of_auto_scaling_group: Share = 34
    maximum_share_of_target_group: Share = 34
    maximum_share_of_environment: Share = 25
    """Percent; one instance is always within it."""
    maximum_share_of_failures: Share = 20
    """Percent of the cases of the waves so far: where more were not fixed, the next wave is not begun."""
    environment_tag: Annotated[str, Field(min_length=1, max_length=128)] = "environment"
    """The instance tag that names its environment; without it the environment is `unknown`."""
    protected_tags: dict[str, str] = Field(default_factory=dict)
    """An instance with any of these tags is never touched."""


def protected_by(tags: Mapping[str, str], protected: Mapping[str, str]) -> str | None:
    """The first protected tag that a resource with these tags carries with just that value, as `key=value`; or None."""
    return next((f"{key}={value}" for key, value in protected.items() if tags.get(key) == value), None)


class PostMortem(Model):
    ticket: bool = True
    prevention: tuple[str, ...] = ()


class Handover(Model):
    """What the person is told who gets the ticket of the playbook `ticket`."""

    owner_tags: tuple[str, ...] = ("owner", "team")
    """Tags of the resource that name its owner; the first that is there counts."""
    advice: tuple[str, ...] = ()
    collect_minutes: Annotated[int, Field(ge=0, le=1440)] = 60
    """How long what comes after a ticket, in the same account and region, is collected for the next one."""


def owner_in(tags: Mapping[str, str], handover: Handover) -> str | None:
    """Who owns a resource with these tags; None where none of them says so."""
    return next((tags[name] for name in handover.owner_tags if tags.get(name)), None)


_ONE_WAVE: tuple[Wave, ...] = ("100%",)


class Runbook(Model):
    """One playbook's values and choices."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
    title: str
    version: int = 1
    matches: Matches
    alert: Alert = Alert()
    thresholds: Thresholds = Thresholds()
    playbook: Playbook = "instance"
    """What is done: by what kind of resource it is about, and how."""
    contain: Contain
    rebuild: Rebuild = Rebuild()
    remediate: Remediate = Remediate()
    network: Network = Network()
    function: Function = Function()
    deploy: Deploy = Deploy()
    deprecate: Deprecate = Deprecate()
    waves: Annotated[tuple[Wave, ...], Field(min_length=1)] = _ONE_WAVE
    """Sizes of the waves of remediation, cumulative: a count or a percentage. The limits may make more of them."""
    verify: Verify = Verify()
    release: Release = Release()
    limits: Limits = Limits()
    post_mortem: PostMortem = PostMortem()
    handover: Handover = Handover()

    @model_validator(mode="after")
    def _goes_with_its_playbook(self) -> Self:
        if self.playbook == "ticket" and self.contain.when:
            raise ValueError("contain.when: a ticket changes nothing; leave it empty")
        if self.playbook == "image":
            block = self.contain.block
            if self.rebuild.patch_in_place and block.deny_pulls and not block.may_pull:
                raise ValueError("contain.block.may_pull: copa pulls what it patches; name the role patch")
            told = any("tag" in named(each) for each in self.rebuild.variables.values())
            if not told and not self.rebuild.patch_in_place:
                raise ValueError("rebuild.variables: one of them must name {tag}, under which the build pushes")
            if self.waves != _ONE_WAVE:
                raise ValueError(
                    "waves: an image has none; the service with the fewest tasks is deployed before the others"
                )
        if self.playbook == "network" and self.contain.when:
            raise ValueError("contain.when: a way in is closed by its remediation; there is nothing to contain")
        if self.playbook == "function":
            checked_alarms(self.deploy.alarms)
            if self.rebuild.project is None:
                raise ValueError("rebuild.project: the image of a function is built by a CodeBuild project")
            if self.waves != _ONE_WAVE:
                raise ValueError("waves: functions have none; the canary of each alias is what goes first")
        return self

    @model_validator(mode="after")
    def _deploys_in_time(self) -> Self:
        waits = {"image": self.deploy.minutes, "function": self.deploy.bake_minutes}.get(self.playbook, 0)
        if waits >= self.remediate.timeout_minutes:
            raise ValueError(
                f"deploy.bake_minutes: a deployment waits {waits} minutes in all, and must end before "
                f"remediate.timeout_minutes ({self.remediate.timeout_minutes})"
            )
        return self

    @property
    def digest(self) -> str:
        """SHA-256 of the runbook's canonical JSON; plans carry it."""
        return hashlib.sha256(rfc8785.dumps(self.model_dump(mode="json"))).hexdigest()


__all__ = ["SEVERITIES", "Approval", "Contain", "Matches", "Remediate", "Runbook", "Signal"]
