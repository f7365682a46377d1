"""Lambda functions as Inspector scans them: $LATEST and nothing else, after each change and on a new vulnerability.

A finding closes when $LATEST is fixed, whatever a published version or an alias still serves (Inspector user guide,
"Scanning AWS Lambda functions").
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from deployments.sandbox.world import Finding, World

if TYPE_CHECKING:
    from deployments.sandbox.functions import Function

_EXCLUSION_TAG = "inspectorexclusion"
_RUNTIME = re.compile(r"^(?P<name>[a-z]+?)(?P<version>[\d.]+)?(?P<rest>\.x|\.al2)?$")


class ScannedFunctions:
    """The kind AWS_LAMBDA_FUNCTION."""

    resource_type = "AWS_LAMBDA_FUNCTION"
    closing = frozenset({"RESOURCE_TERMINATED", "EXCLUDED_BY_TAG"})

    def all(self, world: World) -> Iterable[Function]:
        """Every function."""
        return world.functions.values()

    def find(self, world: World, resource_id: str) -> Function:
        """One function, by the ARN of its $LATEST."""
        return world.functions[resource_id.split(":")[-2]]

    def coverage(self, world: World, function: Function) -> tuple[str, str]:
        """The scan status: its code and its reason."""
        if function.is_gone:
            return "INACTIVE", "RESOURCE_TERMINATED"
        if any(key.lower() == _EXCLUSION_TAG for key in function.latest.tags):
            return "INACTIVE", "EXCLUDED_BY_TAG"
        if function.first_scanned_at is None:
            return "ACTIVE", "PENDING_INITIAL_SCAN"
        return "ACTIVE", "SUCCESSFUL"

    def rows(self, world: World, function: Function) -> Iterable[dict[str, Any]]:
        """What ListCoverage says of it."""
        if function.is_gone and function.first_scanned_at is None:
            return
        metadata = {
            "functionName": function.name,
            "functionTags": dict(function.latest.tags),
            "layers": [layer["Arn"] for layer in function.latest.layers],
            "runtime": runtime_name(function.latest.run_time),
        }
        yield {"scanType": "PACKAGE", "resourceMetadata": {"lambdaFunction": metadata}}

    def describe(self, world: World, finding: Finding) -> dict[str, Any]:
        """The tags and details of a finding's resource."""
        latest = self.find(world, finding.resource_id).latest
        details = {
            "functionName": latest.function_name,
            "runtime": runtime_name(latest.run_time),
            "codeSha256": latest.code_sha_256,
            "version": "$LATEST",
            "executionRoleArn": latest.role,
            "layers": [layer["Arn"] for layer in latest.layers],
            "packageType": latest.package_type.upper(),
            "architectures": [one.upper() for one in latest.architectures],
            "lastModifiedAt": datetime.fromisoformat(latest.last_modified),
        }
        return {"tags": dict(latest.tags), "details": {"awsLambdaFunction": details}}


def runtime_name(runtime: str | None) -> str:
    """A runtime as Inspector writes it: PYTHON_3_11 for python3.11, NODEJS_20_X for nodejs20.x."""
    match = _RUNTIME.match(runtime or "")
    if match is None or not match["version"]:
        return "UNSUPPORTED"
    parts = (match["name"], *match["version"].strip(".").split("."), (match["rest"] or "").strip("."))
    return "_".join(part.upper() for part in parts if part)
