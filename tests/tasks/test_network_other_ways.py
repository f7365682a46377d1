"""Ways in that this system does not see, or does not close: they are for a person, and never called closed or fixed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runbooks.evidence import NetworkEvidence
from runbooks.steps.base import Role
from runbooks.verdict import VerdictKind
from tests.tasks.conftest import OpenHouse
from tests.tasks.gateways.aws_world import REGION
from tests.tasks.harness import House
from tests.tasks.network_story import (
    INSTANCE,
    TWELVE_HOURS,
    NetworkStory,
    also_behind_a_balancer,
    furnished,
    remediated,
)
from tests.tasks.playing import prefect_alone


@pytest.fixture(scope="module", autouse=True)
def prefect() -> Iterator[None]:
    with prefect_alone():
        yield


def test_one_port_closed_is_not_fixed_while_a_person_has_yet_to_decide_about_another(
    open_house: OpenHouse, tmp_path: Path
) -> None:
    house = furnished(open_house)
    behind = also_behind_a_balancer(house, 80)
    playing = NetworkStory(house, tmp_path)
    plan = remediated(playing)
    assert "tcp/80 leads through more than an internet gateway: a person decides" in plan.reasons
    playing.advance(TWELVE_HOURS)
    verified = playing.looked()
    assert verified.kind is VerdictKind.UNVERIFIABLE
    assert verified.words.endswith(f"another path leads to tcp/80 of {INSTANCE}: a person decides about it")
    (evidence,) = playing.verdict(plan).evidence
    assert isinstance(evidence, NetworkEvidence)
    assert (evidence.findings, evidence.beside) == ({house.built[0]["finding_arn"]: "CLOSED"}, ("tcp/80",))
    assert behind.status == "ACTIVE"


@pytest.mark.parametrize("decision", ["closed", "suppressed", "declared"])
def test_it_is_fixed_as_soon_as_the_person_has_decided(open_house: OpenHouse, tmp_path: Path, decision: str) -> None:
    house = furnished(open_house)
    behind = also_behind_a_balancer(house, 80)
    playing = NetworkStory(house, tmp_path)
    remediated(playing)
    playing.advance(TWELVE_HOURS)
    assert playing.looked().kind is VerdictKind.UNVERIFIABLE
    if decision == "declared":
        tag = {"Key": "remediation:expected-exposure", "Value": "80"}
        house.client("ec2").create_tags(Resources=[INSTANCE], Tags=[tag])
    else:
        behind.status = decision.upper()
    playing.looks_again()
    playing.advance(TWELVE_HOURS)
    assert playing.looked().kind is VerdictKind.FIXED


def narrows_the_acl(house: House) -> str:
    """A part of the internet alone passes."""
    ec2, subnet = house.client("ec2", Role.CONTAIN), house.built[0]["subnet_id"]
    (acl,) = ec2.describe_network_acls(Filters=[{"Name": "association.subnet-id", "Values": [subnet]}])["NetworkAcls"]
    entry = {"NetworkAclId": acl["NetworkAclId"], "Egress": False}
    ports = {"From": 22, "To": 22}
    ec2.create_network_acl_entry(
        **entry, RuleNumber=90, Protocol="6", RuleAction="allow", CidrBlock="192.0.2.0/24", PortRange=ports
    )
    ec2.delete_network_acl_entry(**entry, RuleNumber=100)
    return f"the network ACL of {subnet} keeps the internet at large out"


def splits_the_route(house: House) -> str:
    """Two halves of the internet instead of the whole."""
    ec2, subnet = house.client("ec2", Role.CONTAIN), house.built[0]["subnet_id"]
    table, gateway = default_route(house)
    ec2.delete_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0")
    for half in ("0.0.0.0/1", "128.0.0.0/1"):
        ec2.create_route(RouteTableId=table, DestinationCidrBlock=half, GatewayId=gateway)
    return f"the default route of {subnet} leads to no internet gateway"


def routes_through_a_firewall(house: House) -> str:
    """The default route leads to the endpoint of a firewall, behind which the internet gateway is."""
    ec2, built = house.client("ec2", Role.CONTAIN), house.built[0]
    table, _ = default_route(house)
    endpoint = ec2.create_vpc_endpoint(
        VpcEndpointType="GatewayLoadBalancer",
        VpcId=built["vpc_id"],
        ServiceName=f"com.amazonaws.vpce.{REGION}.vpce-svc-0f1e2d3c4b5a69788",
        SubnetIds=[built["subnet_id"]],
    )["VpcEndpoint"]["VpcEndpointId"]
    ec2.delete_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0")
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", VpcEndpointId=endpoint)
    return f"the default route of {built['subnet_id']} leads to {endpoint}"


def default_route(house: House) -> tuple[str, str]:
    """The route table of the VPC, and its internet gateway."""
    vpc = [{"Name": "vpc-id", "Values": [house.built[0]["vpc_id"]]}]
    (table,) = house.client("ec2").describe_route_tables(Filters=vpc)["RouteTables"]
    (route,) = [each for each in table["Routes"] if each.get("DestinationCidrBlock") == "0.0.0.0/0"]
    return table["RouteTableId"], route["GatewayId"]


@pytest.mark.parametrize("change", [narrows_the_acl, splits_the_route, routes_through_a_firewall])
def test_a_way_that_inspector_sees_and_we_do_not_is_not_called_closed(
    open_house: OpenHouse, tmp_path: Path, change: Callable[[House], str]
) -> None:
    house = furnished(open_house)
    seen = change(house)
    playing = NetworkStory(house, tmp_path)
    (assessment,) = playing.triaged.assessments
    assert (assessment.triage.decision, assessment.triage.code) == ("person", "unseen-path")
    assert assessment.triage.reasons[-1].endswith(f"but {seen}; a person finds out who gets in")
    assert house.mutating_calls() == []


def test_what_somebody_has_just_closed_is_closed_already(open_house: OpenHouse, tmp_path: Path) -> None:
    house = furnished(open_house, office=False)
    house.client("ec2", Role.CONTAIN).revoke_security_group_ingress(
        GroupId=house.built[0]["group_id"], IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="0.0.0.0/0"
    )
    (assessment,) = NetworkStory(house, tmp_path).triaged.assessments
    assert (assessment.triage.decision, assessment.triage.code) == ("nothing-to-do", "already-closed")
