"""Grouping: which cases one response is over, how long they wait for others like them, and what is only an echo."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address, ip_network
from typing import Any

from runbooks.case import CaseKey
from runbooks.container_image import ImageId
from runbooks.definition import Runbook, owner_in
from runbooks.facts import SUSPICION_TAG
from runbooks.finding import Finding, FindingStatus
from runbooks.model import Model
from runbooks.network import opening_of

COMMAND = "command"
"""The source, up to a colon and their name, of what a person asks for: it waits for nothing, and needs not be news."""
UNKNOWN = "unknown"
"""The environment of a resource without the runbook's tag."""
QUIET_SHARE = 4
"""A burst has settled when nothing has joined it for a quarter of the time that it may wait at most."""


class GroupKey(Model):
    """What the cases of one response have in common."""

    runbook: str
    account: str
    region: str
    environment: str
    remediation: str
    """What would be done, as far as the findings tell: the document and its packages, the machine image to be replaced,
    the repository to be rebuilt and its packages, the layers to be exchanged, or whose ticket it is, of what kind."""
    asked_by: str = ""
    """Whose command asked for it: they may not approve it, so nobody else's cases are in it. Empty: nobody's."""

    @property
    def digest(self) -> str:
        """Short name of the key: 16 hex digits."""
        return _digest(self.model_dump())


@dataclass(frozen=True)
class Candidate:
    """A case that no response acts on yet."""

    case: str
    key: GroupKey
    waited: timedelta
    """Since the first of its findings that nothing has answered."""
    quiet: timedelta
    """Since the last of them."""
    is_hasty: bool
    """Whether it waits for nobody."""


def group_key(case: CaseKey, findings: Sequence[Finding], runbook: Runbook, asked_by: str = "") -> GroupKey:
    """The key under which the case joins others. `findings`: all of the case; only the active ones count."""
    active = [each for each in findings if each.status == FindingStatus.ACTIVE]
    tag = runbook.limits.environment_tag
    return GroupKey(
        runbook=runbook.name,
        account=case.account,
        region=case.region,
        environment=next((each.resource.tags[tag] for each in active if each.resource.tags.get(tag)), UNKNOWN),
        remediation=_remediation(active, runbook),
        asked_by=asked_by if is_command(asked_by) else "",
    )


def is_command(source: str) -> bool:
    """Whether a person asked for it."""
    return source.partition(":")[0] == COMMAND


def is_hasty(finding: Finding, runbook: Runbook) -> bool:
    """Whether the finding itself calls for haste: suspected of being compromised, or exploitable and within reach.

    Within reach is an instance with a public address, an image that is in use, and any function: of who calls one its
    finding says nothing.

    A hint of what triage will read, and no more: it only decides whether the case waits for others.
    """
    suspected = SUSPICION_TAG in finding.resource.tags
    within_reach = _is_within_reach(finding, runbook)
    urgent = suspected or (_is_exploitable(finding, runbook) and within_reach)
    return urgent and finding.status == FindingStatus.ACTIVE


class Pause:
    """How long a burst is given to settle.

    Args:
        seconds: how long a case may wait at most; 0 for not at all.
        more_to_come: findings have arrived that no case has taken yet, so that nothing is quiet.
    """

    def __init__(self, seconds: float, *, more_to_come: bool = False) -> None:
        self._most = timedelta(seconds=seconds)
        self._more_to_come = more_to_come

    def is_over(self, waited: timedelta, quiet: timedelta) -> bool:
        """Whether it is, where the first finding came so long ago, and the last one so long."""
        return waited >= self._most or (not self._more_to_come and quiet >= self._most / QUIET_SHARE)


def settled(candidates: Iterable[Candidate], pause: Pause) -> Iterator[tuple[Candidate, ...]]:
    """Those whose group waits no longer, group by group: all of a group, or none."""
    groups: dict[GroupKey, list[Candidate]] = {}
    for each in candidates:
        groups.setdefault(each.key, []).append(each)
    for group in groups.values():
        waits_for_nobody = group[0].key.asked_by or any(each.is_hasty for each in group)
        if waits_for_nobody or pause.is_over(max(each.waited for each in group), min(each.quiet for each in group)):
            yield tuple(group)


def gist(finding: Finding) -> str:
    """What of a finding calls for an answer: sent again with the same, as for every tag of ours, it is an echo."""
    opening = opening_of(finding)
    return _digest(
        {
            "severity": finding.severity,
            "exploit": bool(finding.exploit_available),
            "suspected": SUSPICION_TAG in finding.resource.tags,
            "packages": sorted({(each.name, each.manager, each.fixed_in or "") for each in finding.packages}),
        }
        | ({"ports": str(opening.ports)} if opening else {})
    )


def _remediation(active: Sequence[Finding], runbook: Runbook) -> str:
    if runbook.playbook == "image":
        return _rebuild(active)
    if runbook.playbook == "ticket":
        return _ticket(active, runbook)
    if runbook.playbook == "function":
        return _update(active)
    if runbook.playbook == "network":
        return _closing(active)
    if runbook.remediate.strategy == "replace":
        return f"replace {' '.join(sorted({_image(each) for each in active}))}"
    packages = {package.name for each in active for package in each.packages}
    return f"{runbook.remediate.document} {' '.join(sorted(packages))}"


def _rebuild(active: Sequence[Finding]) -> str:
    """The repository, and what is wrong with its images: a base image's packages are in all that are built on it."""
    images = (ImageId.of(each.resource.id) for each in active)
    repositories = {image.repository if image else UNKNOWN for image in images}
    packages = {f"{package.name} ({package.manager})" for each in active for package in each.packages}
    return f"rebuild {' '.join(sorted(repositories))}: {', '.join(sorted(packages))}"


def _closing(active: Sequence[Finding]) -> str:
    """The ports, and the groups that open them: who shares these gets the same copy of them."""
    openings = [opening for each in active if (opening := opening_of(each))]
    groups = {step.id for each in openings for step in each.steps if step.id.startswith("sg-")}
    return f"close {', '.join(sorted({str(each.ports) for each in openings}))} in {' '.join(sorted(groups))}"


def _ticket(active: Sequence[Finding], runbook: Runbook) -> str:
    """Whose it is, and of what kind: one ticket is for one owner, with a table of all their resources of the kind."""
    owners = {owner_in(each.resource.tags, runbook.handover) or UNKNOWN for each in active}
    kinds = {f"{each.type} on {each.resource.type}" for each in active}
    return f"ticket for {' '.join(sorted(owners))}: {', '.join(sorted(kinds))}"


def _update(active: Sequence[Finding]) -> str:
    """The layers that have what is vulnerable, which functions share; what is a function's own, it shares with none."""
    packages = [(each, package) for each in active for package in each.packages]
    where = {str(package.extra.get("sourceLambdaLayerArn") or each.resource.id) for each, package in packages}
    return f"update {' '.join(sorted(where))}: {', '.join(sorted({package.name for _, package in packages}))}"


def _is_within_reach(finding: Finding, runbook: Runbook) -> bool:
    if runbook.playbook == "image":
        return _is_in_use(finding)
    return runbook.playbook == "function" or _has_public_address(finding)


def _is_in_use(finding: Finding) -> bool:
    """Whether Inspector has seen the image run (AwsEcrContainerImageDetails, inUseCount)."""
    details = finding.resource.details.get("awsEcrContainerImage")
    count = details.get("inUseCount") if isinstance(details, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return isinstance(count, int) and count > 0


def _image(finding: Finding) -> str:
    return str(_instance(finding).get("imageId") or UNKNOWN)


def _is_exploitable(finding: Finding, runbook: Runbook) -> bool:
    return bool(finding.exploit_available) or (finding.epss or 0.0) >= runbook.thresholds.epss


def _has_public_address(finding: Finding) -> bool:
    instance = _instance(finding)
    listed = [instance.get(name) for name in ("ipV4Addresses", "ipV6Addresses")]
    return any(_is_public(str(text)) for each in listed if isinstance(each, list) for text in each)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


def _is_public(text: str) -> bool:
    try:
        address = ip_address(text)
    except ValueError:
        return False
    return not any(address in network for network in _INTERNAL if network.version == address.version)


_INTERNAL = tuple(
    ip_network(network)
    for network in (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "127.0.0.0/8"),
        *("fc00::/7", "fe80::/10", "::1/128"),
    )
)
"""Addresses that are no way in from the internet (RFC 1918, 6598, 3927, 4193, 4291)."""


def _instance(finding: Finding) -> dict[str, Any]:
    """Inspector's details of the instance, as sent (AwsEc2InstanceDetails)."""
    details = finding.resource.details.get("awsEc2Instance")
    return details if isinstance(details, dict) else {}  # pyright: ignore[reportUnknownVariableType]


def _digest(value: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
