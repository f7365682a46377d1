"""Launch template versions as AWS documents them: a source version is merged, a client token is honoured.

EC2 API Reference, CreateLaunchTemplateVersion: a new version takes the launch parameters of its source version, except
for those it is given itself.
"""

from __future__ import annotations

from typing import Any

from deployments.sandbox.operations import Call, operation
from deployments.sandbox.wire import AwsError


@operation("ec2", "CreateLaunchTemplateVersion")
def create_launch_template_version(call: Call) -> dict[str, Any]:
    """A new version over its source version; the same one again for the same client token."""
    template = _template(call)
    request = {name: value for name, value in call.params.items() if name != "ClientToken"}
    token = call.params.get("ClientToken")
    if token and (template.id + token) in call.world.template_tokens:
        number, first_request = call.world.template_tokens[template.id + token]
        if request != first_request:
            raise AwsError(
                "IdempotentParameterMismatch",
                "The client token has already been used with different parameters.",
            )
        return {"LaunchTemplateVersion": _describe(call, template, template.get_version(number))}
    source = call.params.get("SourceVersion")
    inherited = dict(template.get_version(source).data) if source else {}
    created = call.moto()["LaunchTemplateVersion"]
    version = template.get_version(created["VersionNumber"])
    version.data = inherited | version.data
    if token:
        call.world.template_tokens[template.id + token] = (version.number, request)
    return {"LaunchTemplateVersion": created | {"LaunchTemplateData": version.data}}


def _template(call: Call) -> Any:
    if call.params.get("LaunchTemplateId"):
        return call.world.ec2.get_launch_template(call.params["LaunchTemplateId"])
    return call.world.ec2.get_launch_template_by_name(call.params.get("LaunchTemplateName") or "")


def _describe(call: Call, template: Any, version: Any) -> dict[str, Any]:
    return {
        "LaunchTemplateId": template.id,
        "LaunchTemplateName": template.name,
        "VersionNumber": version.number,
        "VersionDescription": version.description,
        "DefaultVersion": template.is_default(version),
        "CreateTime": version.create_time,
        "CreatedBy": f"arn:aws:iam::{call.account}:root",
        "LaunchTemplateData": version.data,
    }
