"""Patching in place through Systems Manager, and hurrying the inventory that Inspector judges by."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

from botocore.exceptions import ClientError

from runbooks.steps.patching import CollectInventory, PatchPackages, WriteOverrideList
from tasks.gateways.actions.base import AwsAction, Look, Place
from tasks.gateways.aws_errors import code_of
from tasks.gateways.bulk import by_fifty
from tasks.gateways.ssm import read_nodes

Members = Mapping[str, Any]

_RUNNING = ("Pending", "InProgress", "Delayed", "Cancelling")


class WriteOverrideListAction(AwsAction[WriteOverrideList]):
    """Writes the list of packages, and never over another object."""

    def _look(self, place: Place, steps: Sequence[WriteOverrideList], operations: Mapping[str, str]) -> dict[str, Look]:
        client = place.reading("s3")
        return {step.key: self._look_at(client, step) for step in steps}

    def _look_at(self, client: Any, step: WriteOverrideList) -> Look:
        try:
            body = client.get_object(Bucket=step.bucket, Key=step.object_key)["Body"].read()
        except ClientError as error:
            if code_of(error) == "NoSuchKey":
                return Look(status="as-expected", found={"object": None})
            raise
        address = f"s3://{step.bucket}/{step.object_key}"
        if body == step.content.encode():
            return Look(status="as-left", found={"object": address}, result={"object": address})
        return Look(status="drifted", found={"object": address}, detail=f"{address} holds something else already")

    def _act(self, place: Place, step: WriteOverrideList, operation: str, look: Look) -> dict[str, Any]:
        place.acting("s3", step).put_object(
            Bucket=step.bucket,
            Key=step.object_key,
            Body=step.content.encode(),
            ContentType="application/yaml",
            IfNoneMatch="*",
        )
        return {"object": f"s3://{step.bucket}/{step.object_key}"}


class PatchPackagesAction(AwsAction[PatchPackages]):
    """One command for up to fifty nodes, found again by its comment; what became of it is read node by node.

    The command's own status is never believed: it is Success although nodes failed, as long as they are fewer than
    MaxErrors (Systems Manager user guide, "Understanding command statuses").
    """

    def _look(self, place: Place, steps: Sequence[PatchPackages], operations: Mapping[str, str]) -> dict[str, Look]:
        client = place.reading("ssm")
        commands: dict[str, Members] = {}
        for document in {step.document for step in steps}:
            commands |= _sent(client, document, {operations[step.key] for step in steps if step.document == document})
        unsent = [one for step in steps if operations[step.key] not in commands for one in step.instances]
        nodes = read_nodes(client, unsent)
        looks: dict[str, Look] = {}
        for step in steps:
            command = commands.get(operations[step.key])
            looks[step.key] = _reachable(step, nodes) if command is None else _progress(client, step, command)
        return looks

    def _act(self, place: Place, step: PatchPackages, operation: str, look: Look) -> dict[str, Any]:
        # Only nodes that are online: an id that is not managed would make the whole call fail.
        reached = look.result["online"]
        answer = place.acting("ssm", step).send_command(
            InstanceIds=reached,
            DocumentName=step.document,
            Parameters={
                "Operation": ["Install"],
                "RebootOption": [step.reboot],
                "InstallOverrideList": [step.override_list],
                "SnapshotId": [step.snapshot_id],
            },
            Comment=operation,
            TimeoutSeconds=step.delivery_timeout_seconds,
            MaxConcurrency=str(len(step.instances)),
            # One node that fails must not keep the command from the others.
            MaxErrors="100%",
        )
        return {"command": answer["Command"]["CommandId"], "online": reached}


class CollectInventoryAction(AwsAction[CollectInventory]):
    """Runs the inventory association once.

    A run carries no mark of who asked for it, and one that was under way before the patch may have missed it: so it is
    always as expected, and asking twice does no more than make every node list its packages once more.
    """

    def _look(self, place: Place, steps: Sequence[CollectInventory], operations: Mapping[str, str]) -> dict[str, Look]:
        client = place.reading("ssm")
        return {step.key: self._look_at(client, step) for step in steps}

    def _look_at(self, client: Any, step: CollectInventory) -> Look:
        try:
            answer = client.describe_association_executions(AssociationId=step.association, MaxResults=1)
        except ClientError as error:
            if code_of(error) != "AssociationDoesNotExist":
                raise
            return Look(status="drifted", detail=f"association {step.association} does not exist any more")
        latest = next(iter(answer.get("AssociationExecutions") or ()), {})
        return Look(status="as-expected", found={"execution": latest.get("ExecutionId")})

    def _act(self, place: Place, step: CollectInventory, operation: str, look: Look) -> dict[str, Any]:
        place.acting("ssm", step).start_associations_once(AssociationIds=[step.association])
        return {"association": step.association}


def _sent(client: Any, document: str, operations: Collection[str]) -> dict[str, Members]:
    """The commands of these operations among those of the document (Systems Manager keeps them for thirty days)."""
    found: dict[str, Members] = {}
    filters = [{"key": "DocumentName", "value": document}]
    for command in by_fifty(client, "list_commands", "Commands", Filters=filters):
        if command.get("Comment") in operations:
            found[command["Comment"]] = command
        if len(found) == len(operations):
            break
    return found


def _reachable(step: PatchPackages, nodes: Mapping[str, Members]) -> Look:
    status = {one: nodes[one]["PingStatus"] if one in nodes else "not a managed node" for one in step.instances}
    online = [one for one, ping in status.items() if ping == "Online"]
    offline = [f"{one} ({ping})" for one, ping in status.items() if ping != "Online"]
    detail = f"Systems Manager does not reach {', '.join(offline)}" if offline else ""
    cases = {step.case_of[one]: "failed" for one in step.instances if one not in online}
    return Look(
        status="as-expected" if online else "drifted",
        found={"nodes": status},
        detail=detail,
        result={"online": online},
        cases=cases,
    )


def _progress(client: Any, step: PatchPackages, command: Members) -> Look:
    """What became of the command, by each node's own invocation.

    The list of invocations is empty at first (it is consistent only after a while): nodes that are not listed yet are
    in progress, unless the command was never sent to them.
    """
    identifier = command["CommandId"]
    invocations = {
        raw["InstanceId"]: raw
        for raw in by_fifty(client, "list_command_invocations", "CommandInvocations", CommandId=identifier)
    }
    succeeded = [one for one, raw in invocations.items() if raw["Status"] == "Success"]
    states = _patch_states(client, step, succeeded)
    sent_to = command.get("InstanceIds") or step.instances
    nodes: dict[str, dict[str, Any]] = {}
    for one in step.instances:
        if one in sent_to:
            nodes[one] = _node(invocations.get(one), states.get(one))
        else:
            nodes[one] = {"outcome": "failed", "status": "not sent: Systems Manager did not reach the node"}
    cases = {step.case_of[one]: node["outcome"] for one, node in nodes.items()}
    failed = [f"{one}: {node['status']}" for one, node in nodes.items() if node["outcome"] == "failed"]
    return Look(
        status=_overall(set(cases.values())),
        found={"nodes": nodes},
        detail="; ".join(failed),
        result={"command": identifier, "nodes": nodes},
        cases=cases,
    )


def _overall(outcomes: set[str]) -> Literal["in-progress", "as-left", "failed"]:
    """The step goes on while any node does; it has failed when no node has succeeded. `cases` tells them apart."""
    if "in-progress" in outcomes:
        return "in-progress"
    return "as-left" if "done" in outcomes else "failed"


def _node(invocation: Members | None, state: Members | None) -> dict[str, Any]:
    if invocation is None:
        return {"outcome": "in-progress", "status": "not listed yet"}
    status = invocation.get("StatusDetails") or invocation["Status"]
    if invocation["Status"] in _RUNNING:
        return {"outcome": "in-progress", "status": status}
    if invocation["Status"] != "Success":
        return {"outcome": "failed", "status": status}
    if state is None:
        return {"outcome": "done", "status": status}
    counts = {
        "installed": state.get("InstalledCount", 0) + state.get("InstalledOtherCount", 0),
        "failed": state.get("FailedCount", 0),
        "pending_reboot": state.get("InstalledPendingRebootCount", 0),
    }
    outcome = "failed" if counts["failed"] else "done"
    return {
        "outcome": outcome,
        "status": f"{counts['failed']} packages failed" if counts["failed"] else status,
        **counts,
    }


def _patch_states(client: Any, step: PatchPackages, ids: Sequence[str]) -> dict[str, Members]:
    """The patch states that this very run left: those of its snapshot id."""
    if not ids:
        return {}
    return {
        raw["InstanceId"]: raw
        for raw in by_fifty(client, "describe_instance_patch_states", "InstancePatchStates", InstanceIds=sorted(ids))
        if raw.get("SnapshotId") == step.snapshot_id
    }
