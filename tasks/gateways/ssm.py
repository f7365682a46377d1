"""Systems Manager: managed nodes, their inventory, and the parameters that name AMIs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from runbooks import timestamps
from runbooks.instance import InstalledPackage, Inventory, ManagedNode
from runbooks.steps.base import Role
from tasks.gateways.aws_errors import code_of, reads
from tasks.gateways.aws_session import AwsSessions
from tasks.gateways.bulk import FIFTY, TEN, by_fifty, each, pages, portions

Members = Mapping[str, Any]

INVENTORY_ASSOCIATION = "InspectorInventoryCollection-do-not-delete"
"""Inspector's own inventory association (Inspector user guide, "Scanning Amazon EC2 instances")."""
_INVENTORY_DOCUMENT = "AWS-GatherSoftwareInventory"
_NO_EPOCH = ("", "(none)", "0")


class SsmGateway:
    """Reads Systems Manager in bulk."""

    def __init__(self, sessions: AwsSessions) -> None:
        self._sessions = sessions

    @reads()
    def nodes(self, account: str, region: str, ids: Sequence[str]) -> dict[str, ManagedNode]:
        """What Systems Manager knows of each instance; one it does not manage is absent."""
        client = self._sessions.client("ssm", account, region, Role.READ)
        return {one: _node(raw) for one, raw in read_nodes(client, ids).items()}

    @reads()
    def inventories(self, account: str, region: str, ids: Sequence[str]) -> dict[str, Inventory | None]:
        """The installed packages of each managed node, None where inventory was never collected."""
        client = self._sessions.client("ssm", account, region, Role.READ)
        return each(lambda one: _read_inventory(client, one), ids)

    @reads()
    def parameters(self, account: str, region: str, names: Collection[str]) -> dict[str, str]:
        """The values of these parameters; one that does not exist is absent."""
        client = self._sessions.client("ssm", account, region, Role.READ)
        return {
            raw["Name"]: raw["Value"]
            for portion in portions(sorted(names), TEN)
            for raw in client.get_parameters(Names=list(portion))["Parameters"]
        }

    @reads()
    def inventory_association(self, account: str, region: str) -> str | None:
        """The id of the association that collects inventory for Inspector, None when there is none.

        Inspector makes no association of its own where one for all nodes existed already (Inspector user guide,
        "Scanning Amazon EC2 instances"): then that one, under whatever name, is taken.
        """
        client = self._sessions.client("ssm", account, region, Role.READ)
        filters = [{"key": "Name", "value": _INVENTORY_DOCUMENT}]
        found = list(pages(client, "list_associations", "Associations", AssociationFilterList=filters))
        ours = [raw for raw in found if raw.get("AssociationName") == INVENTORY_ASSOCIATION]
        for_all = [raw for raw in found if {"Key": "InstanceIds", "Values": ["*"]} in (raw.get("Targets") or ())]
        return next((str(raw["AssociationId"]) for raw in (*ours, *for_all)), None)


def read_nodes(client: Any, ids: Sequence[str]) -> dict[str, Members]:
    """What DescribeInstanceInformation says of each managed node."""
    return {
        raw["InstanceId"]: raw
        for portion in portions(ids, FIFTY)
        for raw in by_fifty(
            client,
            "describe_instance_information",
            "InstanceInformationList",
            Filters=[{"Key": "InstanceIds", "Values": list(portion)}],
        )
    }


def full_version(entry: Members) -> str:
    """An inventory entry's version as the package manager writes it.

    The agent sends an rpm's epoch and release apart, with `(none)` for no epoch, and a deb's version whole.
    """
    version, release, epoch = (str(entry.get(name) or "") for name in ("Version", "Release", "Epoch"))
    if release and not version.endswith(f"-{release}"):
        version = f"{version}-{release}"
    if epoch not in _NO_EPOCH and not version.startswith(f"{epoch}:"):
        version = f"{epoch}:{version}"
    return version


def _node(raw: Members) -> ManagedNode:
    return ManagedNode(
        ping_status=raw["PingStatus"],
        platform_name=raw.get("PlatformName"),
        platform_version=raw.get("PlatformVersion"),
    )


def _read_inventory(client: Any, instance: str) -> Inventory | None:
    request: dict[str, Any] = {"InstanceId": instance, "TypeName": "AWS:Application", "MaxResults": FIFTY}
    packages: list[InstalledPackage] = []
    captured: str | None = None
    while True:
        try:
            answer = client.list_inventory_entries(**request)
        except ClientError as error:
            if code_of(error) == "InvalidInstanceId":
                return None
            raise
        captured = captured or answer.get("CaptureTime")
        packages += [_package(entry) for entry in answer.get("Entries") or ()]
        if not answer.get("NextToken"):
            break
        request["NextToken"] = answer["NextToken"]
    if captured is None and not packages:
        return None
    return Inventory(
        packages=tuple(sorted(packages, key=lambda one: (one.name, one.version, one.architecture or ""))),
        captured_at=timestamps.read(captured) if captured else None,
    )


def _package(entry: Members) -> InstalledPackage:
    return InstalledPackage(
        name=entry["Name"], version=full_version(entry), architecture=entry.get("Architecture") or None
    )
