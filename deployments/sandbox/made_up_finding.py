"""Findings about a container image for whoever has none at hand, in the form Inspector sends them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from deployments.sandbox.platforms import version_parts


@dataclass(frozen=True)
class Vulnerability:
    """One vulnerability of one package, as Inspector states it."""

    id: str
    source: str
    package: str
    arch: str
    version: str
    fixed_in: str
    manager: str
    score: float
    epss: float
    description: str


OPENSSL = Vulnerability(
    "CVE-2024-5535",
    "UBUNTU_CVE",
    "openssl",
    "X86_64",
    "3.0.2-0ubuntu1.10",
    "0:3.0.2-0ubuntu1.17",
    "OS",
    9.1,
    0.62,
    "Calling SSL_select_next_proto with an empty list of protocols may read beyond a buffer.",
)
PYYAML = Vulnerability(
    "CVE-2020-14343",
    "NVD",
    "PyYAML",
    "ALL",
    "5.3.1",
    "5.4",
    "PIP",
    9.8,
    0.14,
    "Loading an untrusted YAML document with full_load may execute arbitrary code.",
)
LIBEXPAT = Vulnerability(
    "CVE-2024-45491",
    "UBUNTU_CVE",
    "libexpat1",
    "X86_64",
    "2.4.7-1ubuntu0.3",
    "0:2.4.7-1ubuntu0.4",
    "OS",
    9.8,
    0.02,
    "An integer overflow in dtdCopy on 32-bit platforms.",
)


def image_finding(
    vulnerability: Vulnerability, account: str, region: str, repository: str, tags: tuple[str, ...]
) -> dict[str, Any]:
    """A CRITICAL finding about an image that is yet to be pushed, with no digest."""
    package: dict[str, Any] = {
        "name": vulnerability.package,
        "arch": vulnerability.arch,
        "version": vulnerability.version,
        "fixedInVersion": vulnerability.fixed_in,
        "packageManager": vulnerability.manager,
    }
    if vulnerability.manager == "OS":
        package |= version_parts(vulnerability.version)
    else:
        package["filePath"] = "app/requirements.txt"
    image = {
        "repositoryName": repository,
        "imageTags": list(tags),
        "registry": account,
        "architecture": "amd64",
        "platform": "UBUNTU_22_04",
    }
    return {
        "awsAccountId": account,
        "type": "PACKAGE_VULNERABILITY",
        "severity": "CRITICAL",
        "status": "ACTIVE",
        "title": f"{vulnerability.id} - {vulnerability.package}",
        "description": vulnerability.description,
        "fixAvailable": "YES",
        "exploitAvailable": "YES",
        "inspectorScore": vulnerability.score,
        "epss": {"score": vulnerability.epss},
        "packageVulnerabilityDetails": {
            "vulnerabilityId": vulnerability.id,
            "source": vulnerability.source,
            "sourceUrl": f"https://www.cve.org/CVERecord?id={vulnerability.id}",
            "referenceUrls": [],
            "relatedVulnerabilities": [],
            "cvss": [],
            "vulnerablePackages": [package],
        },
        "remediation": {"recommendation": {"text": "None Provided"}},
        "resources": [
            {
                "type": "AWS_ECR_CONTAINER_IMAGE",
                "region": region,
                "partition": "aws",
                "details": {"awsEcrContainerImage": image},
            }
        ],
    }
