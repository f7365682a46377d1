"""Images in the sandbox for the gate: a vulnerable one that was scanned, and its newer base image, just pushed."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from deployments.sandbox.faults import Fault, FaultKind
from deployments.sandbox.furnish_image import ImageOptions, furnish_image
from deployments.sandbox.server import Sandbox
from runbooks.steps.base import Role
from tasks.gateways.aws_session import AwsSessions
from tasks.gating import Patience
from tests.tasks.gateways.aws_world import ROLE_ARN

ACCOUNT, REGION, REPOSITORY = "210987654321", "eu-central-1", "shop/checkout"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
SCAN_SECONDS = 3.0
"""From the push until the sandbox's Inspector has scanned an image."""


@dataclass
class Registry:
    """A registry with images, and who waits for their scans."""

    sandbox: Sandbox
    built: dict[str, Any]
    paused: list[float] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    inspector_sleeps: bool = False
    """Time passes for the gate, and not for Inspector."""

    def __post_init__(self) -> None:
        self.sessions = AwsSessions(ROLE_ARN, session_name="runbooks-gate")
        self._clock = datetime(2026, 3, 2, 8, tzinfo=UTC)

    @property
    def uri(self) -> str:
        return self.built["repository_uri"]

    @property
    def bad(self) -> str:
        """By digest; Inspector has scanned it and knows a CRITICAL vulnerability with a fix."""
        return self.built["image"]

    @property
    def good(self) -> str:
        """By tag; it is still to be scanned."""
        return self.built["base_image"]

    def patience(self, minutes: float = 0) -> Patience:
        return Patience(timedelta(minutes=minutes), self._pause, self.told.append, lambda: self._clock)

    def scan(self) -> None:
        """Inspector scans what waits for it."""
        self.sandbox.advance(SCAN_SECONDS)

    def ecr(self) -> Any:
        return self.sessions.client("ecr", self.account, REGION, Role.READ)

    @property
    def account(self) -> str:
        return self.built["account"]

    def push_good(self) -> str:
        """The image without vulnerabilities, in the repository of the bad one; still to be scanned. Its digest."""
        found = self.ecr().batch_get_image(
            registryId=self.account,
            repositoryName=self.built["base_repository"],
            imageIds=[{"imageTag": self.good.rpartition(":")[2]}],
        )
        return self._put(found["images"][0]["imageManifest"], OCI_MANIFEST)

    def push_index(self, tag: str, *listed: dict[str, Any], media_type: str = OCI_INDEX) -> str:
        """An index that lists these; its digest."""
        manifest = {"schemaVersion": 2, "mediaType": media_type, "manifests": listed}
        return self._put(json.dumps(manifest), media_type, imageTag=tag)

    def _put(self, manifest: str, media_type: str, **more: str) -> str:
        pushed = self.ecr().put_image(
            registryId=self.account,
            repositoryName=REPOSITORY,
            imageManifest=manifest,
            imageManifestMediaType=media_type,
            **more,
        )
        return pushed["image"]["imageId"]["imageDigest"]

    def fault(self, operation: str, kind: FaultKind, times: int = 1) -> None:
        with self.sandbox.cloud.lock:
            self.sandbox.cloud.faults.inject(Fault(operation, kind, times))

    def calls(self) -> list[str]:
        return [f"{call['service']}:{call['operation']}" for call in self.sandbox.cloud.record.calls()]

    def forget_calls(self) -> None:
        self.sandbox.cloud.record.clear()

    def _pause(self, seconds: float) -> None:
        self.paused.append(seconds)
        self._clock += timedelta(seconds=seconds)
        if not self.inspector_sleeps:
            self.sandbox.advance(seconds)


def a_registry(sandbox: Sandbox, **options: Any) -> Registry:
    """An emptied sandbox with such an image in it."""
    sandbox.reset()
    chosen = {"account": ACCOUNT, "region": REGION, "repository": REPOSITORY}
    registry = Registry(sandbox, furnish_image(sandbox.cloud, ImageOptions.model_validate(chosen | options)))
    registry.forget_calls()
    return registry


def platform(digest: str, name: str = "linux/amd64", **members: Any) -> dict[str, Any]:
    """An image, as an index lists it."""
    parts = dict(zip(("os", "architecture", "variant"), name.split("/"), strict=False))
    return {"mediaType": OCI_MANIFEST, "digest": digest, "size": 1, "platform": parts} | members


def attestation(of: str) -> dict[str, Any]:
    """What BuildKit lists beside an image: its provenance."""
    annotations = {"vnd.docker.reference.digest": of, "vnd.docker.reference.type": "attestation-manifest"}
    return platform(f"sha256:{'a7' * 32}", "unknown/unknown", annotations=annotations)


def an_sbom(*packages: tuple[str, str]) -> dict[str, Any]:
    """A CycloneDX SBOM of Ubuntu's packages, by name and version."""
    components = [
        {
            "bom-ref": f"comp-{number}",
            "type": "library",
            "name": name,
            "version": version,
            "purl": f"pkg:deb/ubuntu/{name}@{version}?arch=amd64&distro=ubuntu-22.04",
        }
        for number, (name, version) in enumerate(packages, start=1)
    ]
    return {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "components": components}


BAD_SBOM = an_sbom(("openssl", "3.0.2-0ubuntu1.10"), ("bash", "5.1-6ubuntu1"))
GOOD_SBOM = an_sbom(("openssl", "3.0.2-0ubuntu1.17"), ("bash", "5.1-6ubuntu1"))
