"""Run Command's API: SendCommand, and what can be asked about a command afterwards."""

from __future__ import annotations

import re
import uuid
from datetime import datetime, timedelta
from typing import Any

from deployments.sandbox import commands
from deployments.sandbox.operations import Call, operation, page
from deployments.sandbox.wire import AwsError
from deployments.sandbox.world import Command, Invocation, Node

_NODE_ID = re.compile(r"^(i-([0-9a-f]{8}|[0-9a-f]{17})|mi-[0-9a-f]{17})$")
_MOST_IDS = 50
_PATCH_PARAMETERS = frozenset(
    {
        "Operation",
        "SnapshotId",
        "InstallOverrideList",
        "BaselineOverride",
        "RebootOption",
        "AssociationId",
        "StepTimeoutSeconds",
    }
)


@operation("ssm", "SendCommand")
def send_command(call: Call) -> dict[str, Any]:
    """Check the call as a whole, then set the command on its way."""
    instance_ids = list(dict.fromkeys(call.params.get("InstanceIds") or []))
    if len(call.params.get("InstanceIds") or []) > _MOST_IDS:
        raise AwsError("ValidationException", "instanceIds: member must have length less than or equal to 50")
    document = call.params["DocumentName"].rpartition("/")[2]
    if document not in commands.DOCUMENTS:
        raise AwsError("InvalidDocument", f"Document with name {document} does not exist.")
    parameters = call.params.get("Parameters") or {}
    _check_parameters(document, parameters)
    if call.params.get("Targets") and not instance_ids:
        instance_ids = _targets(call)
    elif not instance_ids:
        raise AwsError("ValidationException", "InstanceIds or Targets must be given")
    _check_managed(call, instance_ids)
    command = Command(
        id=str(uuid.uuid4()),
        document=document,
        parameters=parameters,
        comment=call.params.get("Comment") or "",
        timeout_seconds=int(call.params.get("TimeoutSeconds") or 3600),
        requested_at=call.now,
        invocations={
            one: Invocation(one, call.now, commands.step_of(document, call.world.nodes[one])) for one in instance_ids
        },
        targets=call.params.get("Targets") or [],
        max_concurrency=call.params.get("MaxConcurrency") or "50",
        max_errors=call.params.get("MaxErrors") or "0",
    )
    fail_on = frozenset(instance_ids[1::2] or instance_ids) if call.partial else frozenset()
    commands.dispatch(call.world, command, fail_on)
    return {"Command": _command(command)}


@operation("ssm", "ListCommands")
def list_commands(call: Call) -> dict[str, Any]:
    """The commands, newest first, by id, by node, by status or by time."""
    found = [one for one in call.world.commands.values() if _is_asked_for(call.params, one)]
    found.sort(key=lambda one: one.requested_at, reverse=True)
    return page(call, [_command(one) for one in found], result="Commands")


@operation("ssm", "ListCommandInvocations")
def list_command_invocations(call: Call) -> dict[str, Any]:
    """What became of commands node by node; an empty list at first, as on AWS."""
    instance_id = call.params.get("InstanceId")
    wanted = call.params.get("CommandId")
    if wanted and wanted not in call.world.commands:
        raise AwsError("InvalidCommandId", "The specified command ID isn't valid.")
    entries = [
        _invocation_entry(command, invocation, bool(call.params.get("Details")))
        for command in call.world.commands.values()
        if commands.is_visible(call.world, command) and (not wanted or command.id == wanted)
        for invocation in command.invocations.values()
        if not instance_id or invocation.instance_id == instance_id
    ]
    return page(call, entries, result="CommandInvocations")


@operation("ssm", "GetCommandInvocation")
def get_command_invocation(call: Call) -> dict[str, Any]:
    """One step of a command on one node."""
    command = call.world.commands.get(call.params["CommandId"])
    invocation = command.invocations.get(call.params["InstanceId"]) if command else None
    if command is None or invocation is None or not commands.is_visible(call.world, command):
        raise AwsError("InvocationDoesNotExist", "The command ID and managed node ID you specified didn't match.")
    steps = commands.DOCUMENTS[command.document]
    step = call.params.get("PluginName") or (steps[0] if len(steps) == 1 else None)
    if step not in steps:
        raise AwsError("InvalidPluginName", "The plugin name isn't valid.")
    ran_here = step == invocation.step
    return {
        "CommandId": command.id,
        "InstanceId": invocation.instance_id,
        "Comment": command.comment,
        "DocumentName": command.document,
        "DocumentVersion": "",
        "PluginName": step,
        "ResponseCode": invocation.response_code if ran_here else 0,
        "ExecutionStartDateTime": _iso(invocation.started_at),
        "ExecutionElapsedTime": _elapsed(invocation),
        "ExecutionEndDateTime": _iso(invocation.ended_at),
        "Status": invocation.status,
        "StatusDetails": invocation.details,
        "StandardOutputContent": invocation.stdout[:24000] if ran_here else "",
        "StandardErrorContent": invocation.stderr[:8000] if ran_here else "",
    }


@operation("ssm", "CancelCommand")
def cancel_command(call: Call) -> dict[str, Any]:
    """Ask for a command to be cancelled; what already runs is not stopped."""
    command = call.world.commands.get(call.params["CommandId"])
    if command is None:
        raise AwsError("InvalidCommandId", "The specified command ID isn't valid.")
    commands.cancel(call.world, command, call.params.get("InstanceIds") or [])
    return {}


def _check_parameters(document: str, parameters: dict[str, list[str]]) -> None:
    if document != "AWS-RunPatchBaseline":
        return
    unknown = sorted(set(parameters) - _PATCH_PARAMETERS)
    if unknown:
        raise AwsError("InvalidParameters", f"Parameters {unknown} are not defined in the document.")
    if (parameters.get("Operation") or [""])[0] not in ("Scan", "Install"):
        raise AwsError("InvalidParameters", "Parameter Operation must be Scan or Install.")
    if (parameters.get("RebootOption") or ["RebootIfNeeded"])[0] not in ("RebootIfNeeded", "NoReboot"):
        raise AwsError("InvalidParameters", "Parameter RebootOption must be RebootIfNeeded or NoReboot.")


def _check_managed(call: Call, instance_ids: list[str]) -> None:
    for one in instance_ids:
        node = call.world.nodes.get(one)
        if not _NODE_ID.match(one) or node is None or node.registered_at is None or node.state == "terminated":
            raise AwsError("InvalidInstanceId", f"Instances {[one]} not in a valid state for account {call.account}")


def _targets(call: Call) -> list[str]:
    chosen = [node for node in call.world.nodes.values() if node.registered_at and node.state == "running"]
    for target in call.params["Targets"]:
        key, values = target["Key"], set(target.get("Values") or [])
        if key.lower() == "instanceids":
            chosen = [node for node in chosen if node.instance_id in values]
        elif key.startswith("tag:"):
            chosen = [node for node in chosen if _tags(call, node).get(key.removeprefix("tag:")) in values]
        else:
            raise AwsError("InvalidTarget", f"The target key {key} is not valid.")
    return [node.instance_id for node in chosen]


def _tags(call: Call, node: Node) -> dict[str, str]:
    instance = call.world.instance(node.instance_id)
    return {tag["key"]: tag["value"] for tag in instance.get_tags()} if instance else {}


def _is_asked_for(params: dict[str, Any], command: Command) -> bool:
    if params.get("CommandId") not in (None, command.id):
        return False
    if params.get("InstanceId") and params["InstanceId"] not in command.invocations:
        return False
    return all(_matches(command, one["key"], one["value"]) for one in params.get("Filters") or [])


def _matches(command: Command, key: str, value: str) -> bool:
    match key:
        case "InvokedAfter":
            return command.requested_at >= datetime.fromisoformat(value)
        case "InvokedBefore":
            return command.requested_at < datetime.fromisoformat(value)
        case "Status":
            return commands.overall(command)[0] == value
        case "DocumentName":
            return command.document == value
        case _:
            raise AwsError("InvalidFilterKey", f"The filter key {key} is not valid.")


def _command(command: Command) -> dict[str, Any]:
    status, details = commands.overall(command)
    over = [one for one in command.invocations.values() if one.is_over]
    return {
        "CommandId": command.id,
        "DocumentName": command.document,
        "DocumentVersion": "$DEFAULT",
        "Comment": command.comment,
        "Parameters": command.parameters,
        "InstanceIds": [] if command.targets else list(command.invocations),
        "Targets": command.targets,
        "RequestedDateTime": command.requested_at,
        "ExpiresAfter": command.requested_at + timedelta(seconds=command.timeout_seconds + 3600),
        "Status": status,
        "StatusDetails": details,
        "MaxConcurrency": command.max_concurrency,
        "MaxErrors": command.max_errors,
        "TargetCount": len(command.invocations),
        "CompletedCount": len(over),
        "ErrorCount": sum(one.status in ("Failed", "TimedOut") for one in over),
        "DeliveryTimedOutCount": sum(one.details == "Delivery Timed Out" for one in over),
        "TimeoutSeconds": command.timeout_seconds,
    }


def _invocation_entry(command: Command, invocation: Invocation, details: bool) -> dict[str, Any]:
    entry = {
        "CommandId": command.id,
        "InstanceId": invocation.instance_id,
        "Comment": command.comment,
        "DocumentName": command.document,
        "RequestedDateTime": invocation.requested_at,
        "Status": invocation.status,
        "StatusDetails": invocation.details,
    }
    if details:
        plugin = {
            "Name": invocation.step,
            "Status": invocation.status,
            "StatusDetails": invocation.details,
            "ResponseCode": invocation.response_code,
            "Output": (invocation.stdout or invocation.stderr)[:2500],
        }
        times = {"ResponseStartDateTime": invocation.started_at, "ResponseFinishDateTime": invocation.ended_at}
        entry["CommandPlugins"] = [plugin | {name: at for name, at in times.items() if at}]
    return entry


def _iso(moment: datetime | None) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment else ""


def _elapsed(invocation: Invocation) -> str:
    if not invocation.started_at or not invocation.ended_at:
        return ""
    return f"PT{(invocation.ended_at - invocation.started_at).total_seconds():.3f}S"
