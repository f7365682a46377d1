"""What can be said about a Lambda function that is to be furnished, and what a finding says of it itself."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from deployments.sandbox.builds import Outcome
from deployments.sandbox.payload import StatedFinding
from deployments.sandbox.platforms import Platform


class FunctionOptions(BaseModel):
    """What the function is like, beyond what a finding says.

    Attributes:
        in_layer: the vulnerable Python package is in the layer; otherwise it is in the code's own requirements.
        public: its URL needs no authentication; None for no URL at all.
        queue: an SQS queue that invokes it; None for none.
        patched_layer: a newer version of the layer holds the fixed package.
        project: the CodeBuild project that builds the function's own code; None for no project at all.
        build: what becomes of a build of it.
        bucket: where the project leaves its artifacts, below `packages`; left out, one is named after account and
            region; None for a project that leaves none.
        versioned: the bucket keeps versions.
        known_exploited: the vulnerability is in CISA's catalogue.
        exploit_observed: it was seen exploited by Inspector's sources.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    account: str = Field(default="210987654321", pattern=r"^\d{12}$")
    region: str = "eu-central-1"
    name: str = "order-export"
    runtime: str = "python3.11"
    layer: str = "order-export-dependencies"
    package: str = "pyyaml"
    version: str = "5.3.1"
    fixed_in: str = "5.4"
    patched_version: str = "5.4.1"
    vulnerability_id: str = "CVE-2020-14343"
    severity: str = "CRITICAL"
    score: float = 9.8
    in_layer: bool = True
    public: bool | None = True
    queue: str | None = "orders"
    patched_layer: bool = True
    project: str | None = None
    build: Outcome = "succeeds"
    bucket: str | None = ""
    versioned: bool = True
    known_exploited: bool = False
    exploit_observed: bool = False
    alarm: str = "order-export-errors"
    tags: dict[str, str] = Field(default_factory=dict)


class NotAFunctionFinding(ValueError):
    """The payload holds no package finding about a Lambda function."""


def stated_finding(options: FunctionOptions, payload: dict[str, Any] | None) -> StatedFinding:
    """The finding of a payload, or without one a finding as the options have it.

    Raises:
        NotAFunctionFinding: the payload is not about a function's package.
    """
    finding = (payload or {}).get("detail") or payload or _made_up(options)
    (resource,) = finding.get("resources") or [{}]
    if resource.get("type") != "AWS_LAMBDA_FUNCTION" or not finding.get("packageVulnerabilityDetails"):
        raise NotAFunctionFinding("the payload holds no package finding about a Lambda function")
    return StatedFinding(
        finding=finding, account=str(finding["awsAccountId"]), region=resource["region"], platform=Platform("UNKNOWN")
    )


def as_stated(options: FunctionOptions, stated: StatedFinding) -> FunctionOptions:
    """The options, with what a real finding says of its function and its first package."""
    details = stated.finding["resources"][0]["details"]["awsLambdaFunction"]
    package, vulnerable = stated.packages[0], stated.vulnerable_packages[0]
    layers = details.get("layers") or []
    changes: dict[str, Any] = {
        "name": details["functionName"],
        "runtime": _runtime(details.get("runtime") or "PYTHON_3_11"),
        "package": package.name,
        "version": package.version,
        "fixed_in": vulnerable.fixed_in or package.version,
        "patched_version": vulnerable.fixed_in or package.version,
        "in_layer": bool(layers),
    }
    if layers:
        changes["layer"] = layers[0].split(":")[-2]
    return options.model_copy(update=changes)


def _runtime(name: str) -> str:
    """A runtime as Lambda writes it: python3.11 for PYTHON_3_11, nodejs20.x for NODEJS_20_X."""
    language, *version = name.lower().split("_")
    return f"{language}{'.'.join(version)}"


def _made_up(options: FunctionOptions) -> dict[str, Any]:
    """A finding as Inspector would have it about the function of the options."""
    package = {
        "name": options.package,
        "version": options.version,
        "fixedInVersion": options.fixed_in,
        "packageManager": "PIP",
        "epoch": 0,
        "filePath": f"python/{options.package}-{options.version}.dist-info/METADATA"
        if options.in_layer
        else "requirements.txt",
    }
    return {
        "awsAccountId": options.account,
        "type": "PACKAGE_VULNERABILITY",
        "title": f"{options.vulnerability_id} - {options.package}",
        "description": f"A vulnerability in {options.package} before {options.fixed_in}.",
        "severity": options.severity,
        "fixAvailable": "YES",
        "exploitAvailable": "YES" if options.known_exploited else "NO",
        "inspectorScore": options.score,
        "epss": {"score": 0.04},
        "resources": [{"type": "AWS_LAMBDA_FUNCTION", "region": options.region}],
        "packageVulnerabilityDetails": {
            "source": "NVD",
            "sourceUrl": f"https://nvd.nist.gov/vuln/detail/{options.vulnerability_id}",
            "vulnerabilityId": options.vulnerability_id,
            "vendorSeverity": options.severity,
            "referenceUrls": [],
            "relatedVulnerabilities": [],
            "vulnerablePackages": [package],
        },
    }
