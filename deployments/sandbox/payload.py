"""What a payload says about the instance or image it is about, whatever envelope it came in."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from deployments.sandbox.platforms import Platform, fixed_version, installed_version
from deployments.sandbox.world import Package, VulnerablePackage

_VALID_ARN = re.compile(r"^arn:aws[a-z-]*:inspector2:[a-z0-9-]+:\d{12}:finding/[a-f0-9]{32}$")
_VALID_DIGEST = re.compile(r"sha256:[a-f0-9]{64}")
_OUR_OWN_RANGES = tuple(ip_network(block) for block in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
_DEFAULT_ADDRESS = "10.20.1.10"
_DEFAULT_REGION = "us-east-1"
_ARN_REGION = 3


class NotAnInstanceFinding(ValueError):
    """The payload holds no finding about an EC2 instance."""


class NotAnImageFinding(ValueError):
    """The payload holds no finding about a container image."""


@dataclass(frozen=True, kw_only=True)
class StatedFinding:
    """A finding and where it is, with what it says of the vulnerability."""

    finding: dict[str, Any]
    account: str
    region: str
    platform: Platform

    @property
    def arn(self) -> str | None:
        """The finding's ARN, None when the payload holds only a placeholder."""
        arn = str(self.finding.get("findingArn") or "")
        return arn if _VALID_ARN.match(arn) else None

    @property
    def vulnerability_id(self) -> str:
        """The CVE or advisory the finding is about."""
        return str(self._details.get("vulnerabilityId") or self.finding.get("title") or "UNKNOWN").split(" - ")[0]

    @property
    def packages(self) -> tuple[Package, ...]:
        """The vulnerable packages as they are installed."""
        return tuple(self._installed(one) for one in self._details.get("vulnerablePackages") or [])

    @property
    def vulnerable_packages(self) -> tuple[VulnerablePackage, ...]:
        """The vulnerable packages with the version that fixes them."""
        return tuple(
            VulnerablePackage(
                name=one["name"],
                arch=self.platform.package_arch(one.get("arch") or "ALL"),
                manager=one.get("packageManager") or "OS",
                fixed_in=fixed_version(one.get("fixedInVersion")),
                stated=one,
            )
            for one in self._details.get("vulnerablePackages") or []
        )

    @property
    def _details(self) -> dict[str, Any]:
        return self.finding.get("packageVulnerabilityDetails") or {}

    def _installed(self, stated: dict[str, Any]) -> Package:
        return Package(
            name=stated["name"],
            arch=self.platform.package_arch(stated.get("arch") or "ALL"),
            version=installed_version(stated),
            manager=stated.get("packageManager") or "OS",
            file_path=stated.get("filePath"),
        )


@dataclass(frozen=True, kw_only=True)
class Subject(StatedFinding):
    """The instance a finding is about, with everything the payload tells of it; the rest is derived from its id."""

    instance_id: str
    image_id: str
    instance_type: str
    vpc_id: str
    subnet_id: str
    profile_arn: str
    private_address: str
    public_addresses: tuple[str, ...]
    ipv6_addresses: tuple[str, ...]
    key_name: str | None
    tags: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class ImageSubject(StatedFinding):
    """The container image a finding is about. Without a digest, it has the one of the manifest it is given."""

    repository: str
    digest: str | None
    tags: tuple[str, ...]
    architecture: str


def read_subject(payload: dict[str, Any]) -> Subject:
    """Read an EventBridge event or a bare finding.

    Raises:
        NotAnInstanceFinding: it is neither, or not about an EC2 instance.
    """
    finding, resource = _finding_and_resource(payload)
    if resource.get("type") != "AWS_EC2_INSTANCE":
        raise NotAnInstanceFinding("the payload holds no finding about an EC2 instance")
    details = (resource.get("details") or {}).get("awsEc2Instance") or {}
    account = str(finding.get("awsAccountId") or payload.get("account"))
    instance_id = resource["id"].rpartition("/")[2]
    private, public = _addresses(details.get("ipV4Addresses") or [])
    return Subject(
        finding=finding,
        account=account,
        region=resource.get("region") or payload.get("region") or _region_of(finding),
        instance_id=instance_id,
        platform=Platform(details.get("platform") or "AMAZON_LINUX_2023"),
        image_id=details.get("imageId") or _derived("ami", instance_id),
        instance_type=details.get("type") or "t3.small",
        vpc_id=details.get("vpcId") or _derived("vpc", account),
        subnet_id=details.get("subnetId") or _derived("subnet", account),
        profile_arn=details.get("iamInstanceProfileArn") or f"arn:aws:iam::{account}:instance-profile/ManagedNode",
        private_address=private,
        public_addresses=public,
        ipv6_addresses=tuple(details.get("ipV6Addresses") or []),
        key_name=details.get("keyName"),
        tags=dict(resource.get("tags") or {}),
    )


def read_image_subject(payload: dict[str, Any]) -> ImageSubject:
    """Read an EventBridge event or a bare finding about a container image.

    Raises:
        NotAnImageFinding: it is neither, or not about an image.
    """
    finding, resource = _finding_and_resource(payload)
    details = (resource.get("details") or {}).get("awsEcrContainerImage") or {}
    if resource.get("type") != "AWS_ECR_CONTAINER_IMAGE" or not details.get("repositoryName"):
        raise NotAnImageFinding("the payload holds no finding about a container image")
    digest = str(details.get("imageHash") or "")
    return ImageSubject(
        finding=finding,
        account=str(finding.get("awsAccountId") or payload.get("account")),
        region=resource.get("region") or payload.get("region") or _region_of(finding),
        platform=Platform(details.get("platform") or "UBUNTU_22_04"),
        repository=details["repositoryName"],
        digest=digest if _VALID_DIGEST.fullmatch(digest) else None,
        tags=tuple(details.get("imageTags") or []),
        architecture=details.get("architecture") or "amd64",
    )


def _finding_and_resource(payload: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    finding = payload.get("detail") or payload
    resources = finding.get("resources") or []
    return finding, resources[0] if resources and isinstance(resources[0], dict) else {}


def _addresses(stated: list[str]) -> tuple[str, tuple[str, ...]]:
    """The private address and the public ones. AWS's samples hold neither by range: then the first is private."""
    own = [one for one in stated if any(ip_address(one) in block for block in _OUR_OWN_RANGES)]
    private = (own or stated or [_DEFAULT_ADDRESS])[0]
    return private, tuple(one for one in stated if one != private and one not in own)


def _region_of(finding: dict[str, Any]) -> str:
    parts = str(finding.get("findingArn") or "").split(":")
    return parts[_ARN_REGION] if len(parts) > _ARN_REGION and parts[_ARN_REGION] else _DEFAULT_REGION


def _derived(kind: str, seed: str) -> str:
    return f"{kind}-{hashlib.sha256(f'{kind}/{seed}'.encode()).hexdigest()[:17]}"
