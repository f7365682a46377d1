"""Systems Manager's API about nodes: which are managed, what is installed, how patching went, what is associated."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from deployments.sandbox import commands, inventory
from deployments.sandbox.images import ensure_public_image
from deployments.sandbox.operations import Call, operation, page
from deployments.sandbox.wire import Answer, AwsError
from deployments.sandbox.world import Association, Node, Package, PatchRun

_AGENT_VERSION = "3.3.987.0"
_BASELINE = "pb-0c10e65780EXAMPLE"
_MOST_IDS = 50


@operation("ssm", "DescribeInstanceInformation")
def describe_instance_information(call: Call) -> dict[str, Any]:
    """The managed nodes, and whether their agents answer."""
    wanted = _filter_values(call.params, "InstanceIds")
    nodes = [
        node
        for node in call.world.nodes.values()
        if node.registered_at and node.state != "terminated" and (wanted is None or node.instance_id in wanted)
    ]
    entries = [_node_information(call, node) for node in nodes]
    status = _filter_values(call.params, "PingStatus")
    entries = [entry for entry in entries if status is None or entry["PingStatus"] in status]
    return page(call, entries, result="InstanceInformationList", most=10)


@operation("ssm", "ListInventoryEntries")
def list_inventory_entries(call: Call) -> dict[str, Any]:
    """The packages inventory saw on a node, and when."""
    node = _managed_node(call, call.params["InstanceId"])
    type_name = call.params["TypeName"]
    if type_name != "AWS:Application":
        raise AwsError("InvalidTypeNameException", f"The inventory type {type_name} is not collected.")
    packages = node.inventory.values() if node.inventory_at else ()
    entries = [
        {
            "Name": package.name,
            "Architecture": package.arch,
            "Epoch": package.version.partition(":")[0] if ":" in package.version else "",
            "Version": package.version.partition(":")[2] or package.version,
            "PackageId": f"{package.name}.{package.arch}",
        }
        for package in packages
        if package.manager == "OS"
    ]
    answer = page(call, entries, result="Entries")
    answer |= {"TypeName": type_name, "InstanceId": node.instance_id, "SchemaVersion": "1.1"}
    if node.inventory_at:
        answer["CaptureTime"] = _iso(node.inventory_at)
    return answer


@operation("ssm", "ListAssociations")
def list_associations(call: Call) -> dict[str, Any]:
    """The State Manager associations, Inspector's among them."""
    names = {f["value"] for f in call.params.get("AssociationFilterList") or [] if f["key"] == "AssociationName"}
    found = [one for one in call.world.associations.values() if not names or one.name in names]
    return page(call, [_association(one) for one in found], result="Associations")


@operation("ssm", "DescribeAssociationExecutions")
def describe_association_executions(call: Call) -> dict[str, Any]:
    """The runs of an association, newest first."""
    association = _find_association(call, call.params["AssociationId"])
    entries = [
        {
            "AssociationId": association.id,
            "AssociationVersion": "1",
            "ExecutionId": run.id,
            "Status": run.status,
            "DetailedStatus": run.status,
            "CreatedTime": run.started_at,
            "LastExecutionDate": run.ended_at or run.started_at,
            "ResourceCountByStatus": f"{{{run.status}={run.node_count}}}",
        }
        for run in reversed(association.runs)
    ]
    return page(call, entries, result="AssociationExecutions")


@operation("ssm", "StartAssociationsOnce")
def start_associations_once(call: Call) -> dict[str, Any]:
    """Run associations now, for all of their targets."""
    wanted = call.params["AssociationIds"]
    if len(wanted) > 10:
        raise AwsError("InvalidAssociation", "At most 10 associations can be started at once.")
    for association in [_find_association(call, one) for one in wanted]:
        inventory.run_association(call.world, association)
    return {}


@operation("ssm", "GetParameter")
def get_parameter(call: Call) -> dict[str, Any]:
    """A parameter: the world's own public AMI parameters before moto's."""
    value = call.world.image_parameters.get(call.params["Name"])
    if value is None:
        parameter = call.moto()["Parameter"]
        ensure_public_image(call.world, parameter["Name"], parameter["Value"])
        return {"Parameter": parameter}
    return {"Parameter": _public_parameter(call, call.params["Name"], value)}


@operation("ssm", "GetParameters")
def get_parameters(call: Call) -> dict[str, Any]:
    """Several parameters, the unknown ones by name."""
    ours = {name: call.world.image_parameters.get(name) for name in call.params["Names"]}
    theirs = call.moto()
    for one in theirs.get("Parameters", []):
        ensure_public_image(call.world, one["Name"], one["Value"])
    known = [_public_parameter(call, name, value) for name, value in ours.items() if value]
    return {
        "Parameters": known + [one for one in theirs.get("Parameters", []) if not ours.get(one["Name"])],
        "InvalidParameters": [name for name in theirs.get("InvalidParameters", []) if not ours.get(name)],
    }


@operation("ssm", "DescribeInstancePatchStates")
def describe_instance_patch_states(call: Call) -> dict[str, Any]:
    """The last patch operation on each node, with the snapshot id it was given."""
    wanted = call.params["InstanceIds"]
    if len(wanted) > _MOST_IDS:
        raise AwsError("ValidationException", "instanceIds: member must have length less than or equal to 50")
    nodes = [call.world.nodes[one] for one in wanted if one in call.world.nodes]
    states = [_patch_state(node, node.last_patch) for node in nodes if node.last_patch]
    return page(call, states, result="InstancePatchStates", most=100)


@operation("ssm", "DescribeInstancePatches")
def describe_instance_patches(call: Call) -> dict[str, Any]:
    """The patches the last operation left on a node, by state."""
    node = _managed_node(call, call.params["InstanceId"])
    states = next((set(one["Values"]) for one in call.params.get("Filters") or [] if one["Key"] == "State"), None)
    patches = _patches(node, node.last_patch) if node.last_patch else []
    chosen = [patch for patch in patches if states is None or _state_key(patch["State"]) in map(_state_key, states)]
    return page(call, chosen, result="Patches", most=50)


@operation("ssm", "DescribeDocument")
def describe_document(call: Call) -> dict[str, Any] | Answer:
    """AWS's own documents, which moto does not have."""
    name = call.params["Name"].rpartition("/")[2]
    if name not in commands.DOCUMENTS:
        return call.forward()
    document = {
        "Name": name,
        "Owner": "Amazon",
        "Status": "Active",
        "DocumentVersion": "1",
        "DocumentType": "Command",
        "PlatformTypes": ["Windows", "Linux", "MacOS"],
        "SchemaVersion": "2.2",
        "DocumentFormat": "JSON",
    }
    return {"Document": document}


def _node_information(call: Call, node: Node) -> dict[str, Any]:
    instance = call.world.instance(node.instance_id)
    return {
        "InstanceId": node.instance_id,
        "PingStatus": inventory.ping_status(call.world, node),
        "LastPingDateTime": node.lost_at or call.now,
        "AgentVersion": _AGENT_VERSION,
        "IsLatestVersion": True,
        "PlatformType": "Windows" if node.platform.is_windows else "Linux",
        "PlatformName": node.platform.name,
        "PlatformVersion": node.platform.release,
        "ResourceType": "EC2Instance",
        "IPAddress": instance.private_ip_address if instance and instance.nics else None,
        "ComputerName": instance.private_dns_name if instance and instance.nics else None,
        "RegistrationDate": node.registered_at,
    }


def _filter_values(params: dict[str, Any], key: str) -> set[str] | None:
    given = {one["Key"]: set(one["Values"]) for one in params.get("Filters") or []}
    given |= {one["key"]: set(one["valueSet"]) for one in params.get("InstanceInformationFilterList") or []}
    unknown = sorted(set(given) - {"InstanceIds", "PingStatus"})
    if unknown:
        raise AwsError("InvalidFilterKey", f"The sandbox does not filter managed nodes by {unknown}.")
    return given.get(key)


def _managed_node(call: Call, instance_id: str) -> Node:
    node = call.world.nodes.get(instance_id)
    if node is None or node.registered_at is None:
        raise AwsError("InvalidInstanceId", f"Instance {instance_id} is not a managed node.")
    return node


def _association(association: Association) -> dict[str, Any]:
    last = association.runs[-1] if association.runs else None
    entry: dict[str, Any] = {
        "Name": association.document,
        "AssociationId": association.id,
        "AssociationName": association.name,
        "AssociationVersion": "1",
        "Targets": [{"Key": "InstanceIds", "Values": ["*"]}],
        "ScheduleExpression": "rate(30 minutes)",
    }
    if last:
        entry |= {
            "LastExecutionDate": last.started_at,
            "Overview": {"Status": last.status, "DetailedStatus": last.status},
        }
    return entry


def _find_association(call: Call, association_id: str) -> Association:
    association = call.world.associations.get(association_id)
    if association is None:
        raise AwsError("AssociationDoesNotExist", f"Association {association_id} does not exist.")
    return association


def _public_parameter(call: Call, name: str, value: str) -> dict[str, Any]:
    return {
        "Name": name,
        "Type": "String",
        "Value": value,
        "Version": 1,
        "LastModifiedDate": call.now,
        "ARN": f"arn:aws:ssm:{call.region}::parameter{name}",
        "DataType": "aws:ec2:image",
    }


def _patch_state(node: Node, run: PatchRun) -> dict[str, Any]:
    pending = len(node.pending_reboot)
    state: dict[str, Any] = {
        "InstanceId": node.instance_id,
        "PatchGroup": "",
        "BaselineId": _BASELINE,
        "SnapshotId": run.snapshot_id,
        "InstallOverrideList": run.override_list,
        "InstalledCount": 0 if run.override_list else len(run.installed) - pending,
        "InstalledOtherCount": len(run.installed) - pending if run.override_list else 0,
        "InstalledPendingRebootCount": pending,
        "InstalledRejectedCount": 0,
        "MissingCount": len(run.missing),
        "FailedCount": len(run.failed),
        "NotApplicableCount": 0,
        "OperationStartTime": run.started_at,
        "OperationEndTime": run.ended_at,
        "Operation": run.operation,
        "RebootOption": run.reboot_option,
    }
    if run.without_reboot_at:
        state["LastNoRebootInstallOperationTime"] = run.without_reboot_at
    return state


def _patches(node: Node, run: PatchRun) -> list[dict[str, Any]]:
    done = "InstalledOther" if run.override_list else "Installed"
    installed = [
        _patch(package, "InstalledPendingReboot" if package.key in node.pending_reboot else done, run)
        for package in run.installed
    ]
    return (
        installed
        + [_patch(package, "Failed", run) for package in run.failed]
        + [_patch(package, "Missing", run) for package in run.missing]
    )


def _patch(package: Package, state: str, run: PatchRun) -> dict[str, Any]:
    patch: dict[str, Any] = {
        "Title": f"{package.name}.{package.arch}:{package.version}",
        "KBId": f"{package.name}.{package.arch}",
        "State": state,
        "InstalledTime": run.ended_at,
    }
    if state != "InstalledOther":
        patch |= {"Classification": "Security", "Severity": "Important"}
    return patch


def _state_key(state: str) -> str:
    return state.replace("_", "").upper()


def _iso(moment: datetime | None) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment else ""
