"""Inspector's network scans in the sandbox: judged by real groups, routes and network ACLs, every so often."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from deployments.sandbox.furnish_network import NetworkOptions, furnish_network
from deployments.sandbox.server import Sandbox

TWELVE_HOURS = 43_200
ACCOUNT, REGION = "210987654321", "eu-central-1"
INSTANCE = "i-0c1d2e3f4a5b6c7d8"
Clients = Callable[..., Any]


def furnished(sandbox: Sandbox, **options: Any) -> dict[str, Any]:
    return furnish_network(sandbox.cloud, NetworkOptions(**options))


def findings(aws: Clients) -> dict[tuple[str, int, int], str]:
    """Protocol and ports of every finding -> its status."""
    listed = aws("inspector2").list_findings()["findings"]
    details = [(each["networkReachabilityDetails"], each["status"]) for each in listed]
    return {
        (one["protocol"], one["openPortRange"]["begin"], one["openPortRange"]["end"]): status for one, status in details
    }


def scanned_at(aws: Clients) -> Any:
    rows = aws("inspector2").list_coverage(filterCriteria={"scanType": [{"comparison": "EQUALS", "value": "NETWORK"}]})[
        "coveredResources"
    ]
    (row,) = [row for row in rows if row["resourceId"] == INSTANCE]
    assert row["scanStatus"] == {"statusCode": "ACTIVE", "reason": "SUCCESSFUL"}
    return row["lastScannedAt"]


def revoke(aws: Clients, group: str, **rule: Any) -> None:
    chosen: dict[str, Any] = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIp": "0.0.0.0/0"}
    aws("ec2").revoke_security_group_ingress(GroupId=group, **(chosen | rule))


def authorise(aws: Clients, group: str, **rule: Any) -> None:
    chosen: dict[str, Any] = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIp": "0.0.0.0/0"}
    aws("ec2").authorize_security_group_ingress(GroupId=group, **(chosen | rule))


def test_the_event_is_as_inspector_sends_it_and_its_path_is_that_of_the_world(sandbox: Sandbox, aws: Clients) -> None:
    built = furnished(sandbox)
    detail = built["event"]["detail"]
    assert (built["event"]["detail-type"], detail["type"], detail["severity"]) == (
        "Inspector2 Finding",
        "NETWORK_REACHABILITY",
        "MEDIUM",
    )
    path = detail["networkReachabilityDetails"]["networkPath"]["steps"]
    (interface,) = built["interfaces"]
    assert [step["componentType"].rpartition("::")[2] for step in path] == [
        "InternetGateway",
        "NetworkAcl",
        "SecurityGroup",
        "NetworkInterface",
        "Instance",
    ]
    assert [step["componentId"] for step in path][2:] == [built["group_id"], interface, INSTANCE]
    assert aws("ec2").describe_internet_gateways()["InternetGateways"][0]["InternetGatewayId"] == path[0]["componentId"]
    assert "fixAvailable" not in detail


def test_a_closed_port_closes_its_finding_with_the_next_scan_and_not_before(sandbox: Sandbox, aws: Clients) -> None:
    built = furnished(sandbox)
    revoke(aws, built["group_id"])
    sandbox.advance(TWELVE_HOURS - 60)
    assert findings(aws) == {("TCP", 22, 22): "ACTIVE"}
    before = scanned_at(aws)
    sandbox.advance(60)
    assert findings(aws) == {("TCP", 22, 22): "CLOSED"}
    assert scanned_at(aws) > before


def test_opened_again_it_is_reported_again_and_the_office_alone_is_nothing_to_report(
    sandbox: Sandbox, aws: Clients
) -> None:
    built = furnished(sandbox, office=True)
    revoke(aws, built["group_id"])
    sandbox.advance(TWELVE_HOURS)
    authorise(aws, built["group_id"])
    sandbox.advance(TWELVE_HOURS)
    assert findings(aws) == {("TCP", 22, 22): "ACTIVE"}


def test_a_range_that_was_split_is_another_finding(sandbox: Sandbox, aws: Clients) -> None:
    built = furnished(sandbox, ports=(20, 30), office=False)
    revoke(aws, built["group_id"], FromPort=20, ToPort=30)
    authorise(aws, built["group_id"], FromPort=20, ToPort=21)
    sandbox.advance(TWELVE_HOURS)
    assert findings(aws) == {("TCP", 20, 30): "CLOSED", ("TCP", 20, 21): "ACTIVE"}


@pytest.mark.parametrize("what", ["route", "acl", "swap"])
def test_whatever_else_closes_the_way_closes_the_finding(sandbox: Sandbox, aws: Clients, what: str) -> None:
    built = furnished(sandbox)
    ec2, vpc = aws("ec2"), [{"Name": "vpc-id", "Values": [built["vpc_id"]]}]
    if what == "route":
        table = ec2.describe_route_tables(Filters=vpc)["RouteTables"][0]["RouteTableId"]
        ec2.delete_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0")
    elif what == "acl":
        acl = ec2.describe_network_acls(Filters=vpc)["NetworkAcls"][0]["NetworkAclId"]
        ec2.create_network_acl_entry(
            NetworkAclId=acl,
            RuleNumber=50,
            Protocol="6",
            RuleAction="deny",
            Egress=False,
            CidrBlock="0.0.0.0/0",
            PortRange={"From": 22, "To": 22},
        )
    else:
        (interface,) = built["interfaces"]
        other = built["interfaces"][interface][1]
        ec2.modify_network_interface_attribute(NetworkInterfaceId=interface, Groups=[other])
    sandbox.advance(TWELVE_HOURS)
    assert findings(aws) == {("TCP", 22, 22): "CLOSED"}


def test_an_instance_that_is_gone_closes_its_finding_and_nothing_is_fixed(sandbox: Sandbox, aws: Clients) -> None:
    furnished(sandbox)
    aws("ec2").terminate_instances(InstanceIds=[INSTANCE])
    sandbox.advance(1)
    assert findings(aws) == {("TCP", 22, 22): "CLOSED"}


def test_a_finding_that_is_given_keeps_its_arn_its_instance_and_its_ports(sandbox: Sandbox) -> None:
    first = furnished(sandbox, ports=(3389, 3389))["event"]
    arn = f"arn:aws:inspector2:{REGION}:{ACCOUNT}:finding/{7:032x}"
    given = json.loads(json.dumps(first, default=str))
    given["detail"]["findingArn"] = arn
    sandbox.reset()
    built = furnish_network(sandbox.cloud, None, given)
    assert (built["finding_arn"], built["instance_id"]) == (arn, INSTANCE)
    ports = built["event"]["detail"]["networkReachabilityDetails"]["openPortRange"]
    assert ports == {"begin": 3389, "end": 3389}


def test_it_is_furnished_by_its_route_and_scanned_as_often_as_is_said(sandbox: Sandbox, aws: Clients) -> None:
    answer = httpx.post(f"{sandbox.url}/sandbox/furnish/network", json={"options": {"scan_seconds": 20}})
    assert answer.status_code == 200
    built = answer.json()
    assert built["event"]["detail"]["findingArn"] == built["finding_arn"]
    revoke(aws, built["group_id"])
    sandbox.advance(20)
    assert findings(aws) == {("TCP", 22, 22): "CLOSED"}
    refused = httpx.post(f"{sandbox.url}/sandbox/furnish/network", json={"options": {"port": 22}})
    assert (refused.status_code, "port" in refused.json()["error"]) == (400, True)
