"""A finding as Inspector's API tells it, from a payload of any origin and from what the resource is now."""

from __future__ import annotations

import copy
import re
from datetime import UTC, datetime
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape
from botocore.session import get_session

from deployments.sandbox.platforms import installed_version, version_parts
from deployments.sandbox.scanned import KINDS
from deployments.sandbox.world import Finding, Package, World

_JAVA_DATE = re.compile(r"^\w{3} (\w{3} \d{2} \d{2}:\d{2}:\d{2}(?:\.\d+)?) UTC (\d{4})$")
_US_DATE = "%b %d, %Y, %I:%M:%S %p"
_OF_THE_RESOURCE = ("findingArn", "awsAccountId", "status", "resources")
_TIMES = ("firstObservedAt", "lastObservedAt", "updatedAt")


def advisory_body(finding: dict[str, Any]) -> dict[str, Any]:
    """The members of a finding that do not depend on the resource, as the API's model has them."""
    model = get_session().get_service_model("inspector2")
    body = _as_modelled(model.shape_for("Finding"), finding)
    for name in (*_OF_THE_RESOURCE, *_TIMES):
        body.pop(name, None)
    body.setdefault("severity", "HIGH")
    body.setdefault("type", "PACKAGE_VULNERABILITY")
    body.setdefault("description", "")
    body.setdefault("remediation", {"recommendation": {"text": "None Provided"}})
    return body


def describe_finding(world: World, finding: Finding) -> dict[str, Any]:
    """The finding as ListFindings shows it now."""
    entry = copy.deepcopy(finding.advisory.body)
    entry |= {
        "findingArn": finding.arn,
        "awsAccountId": world.account,
        "status": finding.status,
        "firstObservedAt": finding.first_observed_at,
        "lastObservedAt": finding.last_observed_at,
        "updatedAt": finding.updated_at,
        "resources": [_resource(world, finding)],
    }
    details = entry.get("packageVulnerabilityDetails") or {}
    if finding.packages and details.get("vulnerablePackages"):
        details["vulnerablePackages"] = _vulnerable_packages(finding, details["vulnerablePackages"])
    return entry


def parse_time(text: str) -> datetime:
    """A moment in any of the forms Inspector's events and samples use, taken as UTC.

    Raises:
        ValueError: it is none of these forms.
    """
    java = _JAVA_DATE.match(text)
    if java:
        form = "%b %d %H:%M:%S.%f %Y" if "." in java[1] else "%b %d %H:%M:%S %Y"
        return datetime.strptime(f"{java[1]} {java[2]}", form).replace(tzinfo=UTC)
    if text[:3].isalpha():
        return datetime.strptime(text.replace("\u202f", " "), _US_DATE).replace(tzinfo=UTC)
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _vulnerable_packages(finding: Finding, stated: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The advisory's packages that are there, each at the version and in the layer it is there."""
    installed = {package.key: package for package in finding.packages}
    return [
        _as_installed(entry, installed[one.name, one.arch])
        for one, entry in zip(finding.advisory.packages, stated, strict=True)
        if (one.name, one.arch) in installed
    ]


def _as_installed(entry: dict[str, Any], package: Package) -> dict[str, Any]:
    shown = dict(entry)
    if package.version != installed_version(entry):
        shown.pop("release", None)
        shown |= version_parts(package.version) if package.manager == "OS" else {"version": package.version}
    if package.layer:
        of_function = package.layer.startswith("arn:")
        shown["sourceLambdaLayerArn" if of_function else "sourceLayerHash"] = package.layer
    return shown


def _resource(world: World, finding: Finding) -> dict[str, Any]:
    return {
        "id": finding.resource_id,
        "type": finding.resource_type,
        "partition": "aws",
        "region": world.region,
    } | KINDS[finding.resource_type].describe(world, finding)


def _as_modelled(shape: Shape, value: Any) -> Any:
    """The value with only the members the model knows, and its times as times."""
    if isinstance(shape, StructureShape):
        members = value if isinstance(value, dict) else {}
        return {name: _as_modelled(shape.members[name], one) for name, one in members.items() if name in shape.members}
    if isinstance(shape, ListShape):
        return [_as_modelled(shape.member, one) for one in value or []]
    if isinstance(shape, MapShape):
        return dict(value or {})
    if shape.type_name == "timestamp":
        return _as_time(value)
    return value


def _as_time(value: str | float | datetime) -> datetime:
    if isinstance(value, datetime):
        return value
    return parse_time(value) if isinstance(value, str) else datetime.fromtimestamp(value, UTC)
