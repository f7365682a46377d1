"""Why it could happen, and what would keep it from happening again, as far as the facts tell."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import cast

from runbooks.container_image import ImageFacts
from runbooks.definition import Signal
from runbooks.finding import Finding, VulnerablePackage
from runbooks.function import FunctionFacts
from runbooks.instance import Instance, InstanceFacts
from runbooks.network import NetworkFacts
from runbooks.plan import Phase
from runbooks.telling.function_causes import function_causes, function_lessons
from runbooks.telling.image_causes import image_causes, image_lessons
from runbooks.telling.incident import Material
from runbooks.telling.network_causes import network_causes, network_lessons
from runbooks.telling.timeline import aware
from runbooks.telling.words import duration
from runbooks.timestamps import moment
from runbooks.triage import Assessment

SOON = timedelta(days=1)
"""Inspector assesses a new instance within this; what it sees later was not there, or not known, at the launch."""


def root_cause(material: Material) -> tuple[str, ...]:
    """The image, the package and how it came, since when it was seen, and the way in; each line once."""
    lines = (line for each in material.assessments for line in _causes_of(each, material))
    told = tuple(dict.fromkeys(lines))
    return told or ("nothing was read of the resource that would tell",)


def prevention(material: Material) -> tuple[str, ...]:
    """The runbook's own items, then those that follow from this incident."""
    derived = (line for each in material.assessments for line in _lessons_of(each))
    return tuple(
        dict.fromkeys((*material.runbook.post_mortem.prevention, *derived, *_lessons_of_the_response(material)))
    )


def _causes_of(each: Assessment, material: Material) -> Iterator[str]:
    resource, findings = each.facts.resource, material.findings.get(each.case, ()) or each.facts.findings
    if isinstance(resource, ImageFacts):
        yield from image_causes(resource, each.triage.packages, findings)
        return
    if isinstance(resource, NetworkFacts):
        yield from network_causes(each, resource, findings)
        return
    if isinstance(resource, FunctionFacts):
        yield from function_causes(resource, findings)
        return
    instance = resource.instance if isinstance(resource, InstanceFacts) else None
    if instance is not None:
        yield f"{instance.id} was started from the image {instance.image}{_launched(each, instance)}"
    for finding in findings:
        for package in finding.packages:
            yield f"{package.name} {package.version} {_where(package)}; {_since(finding)}"
        if not finding.packages:
            yield f"{finding.vulnerability_id or finding.title}; {_since(finding)}"
    for path in each.triage.paths:
        yield f"{path.ports} was open to {path.source} by {path.group}, through {path.gateway}"
    if not each.triage.paths and instance is not None and each.triage.decision == "respond":
        yield f"no way in from the internet to {instance.id} was found"


def _launched(each: Assessment, instance: Instance) -> str:
    launched = next(filter(None, map(launched_at, each.facts.findings)), None)
    group = f", by the Auto Scaling group {instance.auto_scaling.group}" if instance.auto_scaling else ""
    return (f" at {moment(launched)}" if launched else "") + group


def _where(package: VulnerablePackage) -> str:
    if package.manager == "OS":
        return "belongs to the operating system's packages"
    path = f" at {package.file_path}" if package.file_path else ""
    return f"was installed apart from the operating system ({package.manager}){path}"


def _since(finding: Finding) -> str:
    """Since when, and what the order of launch, disclosure and first sight says of where it came from."""
    seen = finding.first_observed_at
    since = f"first seen {moment(seen)}"
    launched = launched_at(finding)
    if launched is None:
        return f"{since}; whether it came with the image cannot be told"
    if aware(seen) - aware(launched) <= SOON:
        return f"{since}, {duration(aware(seen) - aware(launched))} after the launch: it came with the image"
    published = finding.published_at
    if published is None:
        return f"{since}, {duration(aware(seen) - aware(launched))} after the launch: where it came from cannot be told"
    if aware(published) >= aware(launched):
        return f"{since}; disclosed after the launch, so it may have been there from the start"
    return f"{since}, though disclosed before the launch: it was installed later, or Inspector did not look before"


def launched_at(finding: Finding) -> datetime | None:
    """When the instance was launched, as Inspector's details of the resource say."""
    details = finding.resource.details.get("awsEc2Instance")
    launched = cast("dict[str, object]", details).get("launchedAt") if isinstance(details, dict) else None
    if not isinstance(launched, str):
        return None
    try:
        return aware(datetime.fromisoformat(launched))
    except ValueError:
        return None


def _lessons_of(each: Assessment) -> Iterator[str]:
    resource = each.facts.resource
    if isinstance(resource, ImageFacts):
        yield from image_lessons(each, resource)
    elif isinstance(resource, NetworkFacts):
        yield from network_lessons(each, resource)
    elif isinstance(resource, FunctionFacts):
        yield from function_lessons(each, resource)
    elif isinstance(resource, InstanceFacts) and resource.instance is not None:
        yield from _lessons_of_an_instance(each, resource.instance)


def _lessons_of_an_instance(each: Assessment, instance: Instance) -> Iterator[str]:
    triage = each.triage
    if any(package.manager == "OS" for package in triage.packages):
        yield f"Rebuild the image {instance.image} with the fixed packages, and stop launching from the old one"
    group = instance.auto_scaling
    if group is not None:
        image = group.image or "what its template names"
        yield f"Give the Auto Scaling group {group.group} a patched image: it launches from {image}"
    for path in triage.paths:
        yield f"Close {path.ports} from {path.source} in {path.group}, or narrow who may reach it"
    if triage.patchability is not None and not triage.patchability.ok:
        missing = (triage.patchability.control_path, triage.patchability.package_source)
        for check in (check for check in missing if not check.ok):
            yield f"Make {instance.id} patchable under quarantine: {check.reason}"
    if instance.metadata_tokens != "required":
        yield f"Require IMDSv2 on {instance.id}, so that its credentials are harder to take"
    if Signal.COMPROMISE_SUSPECTED in triage.signals and instance.profile:
        yield f"Revoke the sessions of {instance.profile}: credentials that were issued outlive the containment"


def _lessons_of_the_response(material: Material) -> Iterator[str]:
    expired = {decision.digest for decision in material.history.decisions.values() if decision.answer == "expired"}
    for digest in expired:
        plan = material.history.plans.get(digest)
        yield f"Find out why nobody answered in time about the plan to {plan.phase.value if plan else 'act'}"
    if material.history.ended and material.history.ended.result == "unverifiable":
        yield "See to it that Inspector covers the resource and its inventory is collected, so that a fix can be proven"
    attempts = material.history.next_revision(Phase.REMEDIATE) - 1
    if attempts > 1:
        yield f"Find out why it took {attempts} remediation plans"
