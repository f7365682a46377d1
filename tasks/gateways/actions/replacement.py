"""Replacing one instance from a patched AMI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from runbooks.steps.containment import OPERATION_TAG
from runbooks.steps.replacement import CreateLaunchTemplateVersion, LaunchReplacement
from tasks.gateways.actions.base import CASE_TAG, AwsAction, Look, Place, tags
from tasks.gateways.autoscaling import TEMPLATE_IS_GONE, read_followers
from tasks.gateways.aws_errors import code_of
from tasks.gateways.bulk import described, pages, tags_of

Members = Mapping[str, Any]


class CreateLaunchTemplateVersionAction(AwsAction[CreateLaunchTemplateVersion]):
    """Makes a version that says in its description which operation made it."""

    def _look(
        self, place: Place, steps: Sequence[CreateLaunchTemplateVersion], operations: Mapping[str, str]
    ) -> dict[str, Look]:
        client, followers = place.reading("ec2"), read_followers(place.reading("autoscaling"))
        return {step.key: _versions(client, step, operations[step.key], followers) for step in steps}

    def _act(self, place: Place, step: CreateLaunchTemplateVersion, operation: str, look: Look) -> dict[str, Any]:
        answer = place.acting("ec2", step).create_launch_template_version(
            LaunchTemplateId=step.target.id,
            # Without a source the new version would hold the AMI and nothing else.
            SourceVersion=step.source_version,
            VersionDescription=operation,
            LaunchTemplateData={"ImageId": step.image},
            ClientToken=operation,
        )
        return {"version": str(answer["LaunchTemplateVersion"]["VersionNumber"])}


class LaunchReplacementAction(AwsAction[LaunchReplacement]):
    """Launches one instance under a client token, and finds it again by its tag."""

    def _look(self, place: Place, steps: Sequence[LaunchReplacement], operations: Mapping[str, str]) -> dict[str, Look]:
        wanted = [operations[step.key] for step in steps]
        reservations = described(
            place.reading("ec2"), "describe_instances", "Reservations", f"tag:{OPERATION_TAG}", wanted
        )
        found = {tags_of(raw)[OPERATION_TAG]: raw for each in reservations for raw in each["Instances"]}
        return {step.key: _successor(found.get(operations[step.key])) for step in steps}

    def _act(self, place: Place, step: LaunchReplacement, operation: str, look: Look) -> dict[str, Any]:
        request: dict[str, Any] = {"IamInstanceProfile": {"Arn": step.profile}} if step.profile else {}
        marked = tags({**step.tags, OPERATION_TAG: operation, CASE_TAG: " ".join(step.cases)[:256]})
        answer = place.acting("ec2", step).run_instances(
            ImageId=step.image,
            InstanceType=step.instance_type,
            SubnetId=step.subnet,
            SecurityGroupIds=list(step.groups),
            MinCount=1,
            MaxCount=1,
            ClientToken=operation,
            TagSpecifications=[{"ResourceType": "instance", "Tags": marked}],
            **request,
        )
        return {"instances": [answer["Instances"][0]["InstanceId"]]}


def _versions(
    client: Any, step: CreateLaunchTemplateVersion, operation: str, followers: Mapping[str, frozenset[str]]
) -> Look:
    """Versions from the source on: the one of this operation is later than that."""
    try:
        versions = list(
            pages(
                client,
                "describe_launch_template_versions",
                "LaunchTemplateVersions",
                LaunchTemplateId=step.target.id,
                MinVersion=step.source_version,
            )
        )
    except ClientError as error:
        if code_of(error) not in TEMPLATE_IS_GONE:
            raise
        versions = []
    found = {"versions": [version["VersionNumber"] for version in versions]}
    ours = next((version for version in versions if version.get("VersionDescription") == operation), None)
    if ours is not None:
        return Look(status="as-left", found=found, result={"version": str(ours["VersionNumber"])})
    others = followers.get(step.target.id, frozenset()) - set(step.groups)
    if others:
        detail = f"{', '.join(sorted(others))} would launch from a new version of {step.target.id} too"
        return Look(status="drifted", found=found, detail=detail)
    if any(str(version["VersionNumber"]) == step.source_version for version in versions):
        return Look(status="as-expected", found=found)
    detail = f"version {step.source_version} of {step.target.id} does not exist any more"
    return Look(status="drifted", found=found, detail=detail)


def _successor(raw: Members | None) -> Look:
    if raw is None:
        return Look(status="as-expected", found={"instance": None})
    instance, state = raw["InstanceId"], raw["State"]["Name"]
    found = {"instance": instance, "state": state}
    result = {"instances": [instance]}
    if state == "pending":
        return Look(status="in-progress", found=found, result=result, detail=f"{instance} is pending")
    if state == "running":
        return Look(status="as-left", found=found, result=result)
    return Look(status="failed", found=found, result=result, detail=f"{instance} was launched and is {state} now")
