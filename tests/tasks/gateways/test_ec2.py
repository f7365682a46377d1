from __future__ import annotations

from typing import Any

import pytest

from runbooks.instance import Endpoint, Instance, Rule
from runbooks.steps.base import Role
from tasks.gateways.ec2 import Ec2Gateway
from tasks.gateways.ec2_rules import to_permissions, to_rules
from tasks.gateways.ssm import SsmGateway, full_version
from tests.tasks.gateways.aws_world import ACCOUNT, INSTANCE, REGION, AwsWorld, an_event

UNKNOWN = "i-0ffffffffffffffff"
PLATFORMS = {INSTANCE: "UBUNTU_22_04"}


def facts(aws: AwsWorld, *ids: str, **options: Any):
    return Ec2Gateway(aws.sessions).read_facts(ACCOUNT, REGION, ids or (INSTANCE,), PLATFORMS, **options)


def test_an_instance_is_read_with_its_ordered_interfaces_volumes_and_addresses(aws: AwsWorld):
    built = aws.furnish(tags={"Name": "checkout-7", "team": "shop"})
    instance = Ec2Gateway(aws.sessions).read_instances(ACCOUNT, REGION, [INSTANCE])[INSTANCE]
    assert instance is not None
    assert {interface.id: list(interface.groups) for interface in instance.interfaces} == built["interfaces"]
    assert [interface.device_index for interface in instance.interfaces] == [0, 1]
    assert [volume.id for volume in instance.volumes] == built["volumes"]
    assert [(volume.device, volume.delete_on_termination) for volume in instance.volumes] == [
        ("/dev/sda1", True),
        ("/dev/sdf", False),
    ]
    assert (instance.vpc, instance.state, instance.image) == (built["vpc_id"], "running", built["image_id"])
    assert instance.profile == built["instance_profile_arn"]
    assert instance.tags == {"Name": "checkout-7", "team": "shop"}
    assert (instance.termination_protection, instance.shutdown_behavior) == (False, "stop")
    first = instance.interfaces[0]
    assert first.public_address is not None
    assert not first.elastic
    assert (instance.auto_scaling, instance.targets) == (None, ())


def test_an_unknown_and_a_terminated_instance_do_not_lose_the_others(aws: AwsWorld):
    aws.furnish()
    other = "i-0b00000000000000b"
    aws.furnish(an_event(other, 2))
    aws.client("ec2", Role.CONTAIN).terminate_instances(InstanceIds=[other])
    gateway = Ec2Gateway(aws.sessions)
    found = gateway.read_instances(ACCOUNT, REGION, [UNKNOWN, other, INSTANCE])
    assert {one: instance is not None for one, instance in found.items()} == {
        UNKNOWN: False,
        other: False,
        INSTANCE: True,
    }
    assert gateway.existing(ACCOUNT, REGION, [UNKNOWN, other, INSTANCE]) == {INSTANCE}
    assert facts(aws, UNKNOWN)[UNKNOWN].instance is None


def test_an_elastic_address_is_told_from_one_that_a_stop_loses(aws: AwsWorld):
    built = aws.furnish()
    ec2 = aws.client("ec2", Role.RESTORE)
    allocation = ec2.allocate_address(Domain="vpc")
    interface = next(iter(built["interfaces"]))
    ec2.associate_address(AllocationId=allocation["AllocationId"], NetworkInterfaceId=interface)
    instance = facts(aws)[INSTANCE].instance
    assert instance is not None
    assert [(one.public_address, one.elastic) for one in instance.interfaces] == [
        (allocation["PublicIp"], True),
        (None, False),
    ]


def test_protection_of_the_instance_is_read(aws: AwsWorld):
    aws.furnish(termination_protection=True)
    ec2 = aws.client("ec2", Role.CONTAIN)
    ec2.modify_instance_attribute(InstanceId=INSTANCE, InstanceInitiatedShutdownBehavior={"Value": "terminate"})
    instance = facts(aws)[INSTANCE].instance
    assert instance is not None
    assert (instance.termination_protection, instance.shutdown_behavior) == (True, "terminate")


def test_a_member_of_a_group_is_read_with_what_a_replacement_would_start_from(aws: AwsWorld):
    built = aws.furnish(an_event(in_group=True))
    instance = facts(aws)[INSTANCE].instance
    assert instance is not None
    assert instance.auto_scaling is not None
    assert instance.auto_scaling.model_dump() == {
        "group": "checkout",
        "lifecycle_state": "InService",
        "minimum": 1,
        "maximum": 4,
        "desired": 2,
        "in_service": 2,
        "protected_from_scale_in": False,
        "launch_template": built["launch_template_id"],
        "launch_template_version": "1",
        "template_followers": (),
        "image": built["image_id"],
        "target_groups": (built["target_group_arn"],),
    }
    assert [(one.target_group, one.port, one.internet_facing) for one in instance.targets] == [
        (built["target_group_arn"], 443, False)
    ]


def test_a_target_behind_an_internet_facing_load_balancer_says_so(aws: AwsWorld):
    built = aws.furnish(target_group=True)
    elb = aws.client("elbv2", Role.CONTAIN)
    subnet = aws.client("ec2", Role.CONTAIN).create_subnet(
        VpcId=built["vpc_id"], CidrBlock="10.20.200.0/24", AvailabilityZone="eu-west-1b"
    )["Subnet"]["SubnetId"]
    (balancer,) = elb.create_load_balancer(Name="shop", Scheme="internet-facing", Subnets=[built["subnet_id"], subnet])[
        "LoadBalancers"
    ]
    elb.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"],
        Protocol="HTTP",
        Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": built["target_group_arn"]}],
    )
    instance = facts(aws)[INSTANCE].instance
    assert instance is not None
    (target,) = instance.targets
    assert (target.load_balancer, target.internet_facing) == (balancer["LoadBalancerArn"], True)


def test_an_environment_is_counted_by_its_tag_and_only_what_runs_in_it(aws: AwsWorld):
    others = [f"i-0{number}000000000000000" for number in range(1, 6)]
    environments = ["prod", "prod", "production", "prod", None]
    aws.furnish(tags={"environment": "prod", "stage": "live"})
    for number, (one, environment) in enumerate(zip(others, environments, strict=True), 2):
        aws.furnish(an_event(one, number), tags={"environment": environment} if environment else {})
    aws.client("ec2", Role.CONTAIN).stop_instances(InstanceIds=[others[1]])

    def sizes(*ids: str, **options: Any) -> list[int | None]:
        found = facts(aws, *ids, **options)
        return [found[one].environment_size for one in ids]

    assert sizes(INSTANCE, others[2], others[4]) == [3, 1, None]
    assert sizes(INSTANCE, others[0], environment_tag="stage") == [1, None]


def test_a_target_group_says_how_many_instances_it_sends_to(aws: AwsWorld):
    built = aws.furnish(an_event(in_group=True))
    (registration,) = _found(facts(aws)[INSTANCE].instance).targets
    health = aws.client("elbv2").describe_target_health(TargetGroupArn=built["target_group_arn"])
    registered = {each["Target"]["Id"] for each in health["TargetHealthDescriptions"]}
    assert registration.instances == len(registered) == 2


def test_a_draining_target_is_no_registration(aws: AwsWorld):
    built = aws.furnish(target_group=True)
    aws.client("elbv2", Role.CONTAIN).deregister_targets(
        TargetGroupArn=built["target_group_arn"], Targets=[{"Id": INSTANCE, "Port": 443}]
    )
    instance = facts(aws)[INSTANCE].instance
    assert instance is not None
    assert instance.targets == ()


def test_a_subnet_without_a_table_of_its_own_has_the_main_one_of_its_vpc(aws: AwsWorld):
    built = aws.furnish()
    (subnet,) = facts(aws)[INSTANCE].subnets
    assert subnet.internet_gateway is not None
    ec2 = aws.client("ec2", Role.CONTAIN)
    table = ec2.create_route_table(VpcId=built["vpc_id"])["RouteTable"]["RouteTableId"]
    ec2.associate_route_table(RouteTableId=table, SubnetId=built["subnet_id"])
    (subnet,) = facts(aws)[INSTANCE].subnets
    assert (subnet.internet_gateway, subnet.nat_gateway) == (None, None)


def test_a_gateway_endpoint_counts_only_where_the_route_table_leads_to_it(aws: AwsWorld):
    built = aws.furnish()

    def services() -> list[tuple[str, str]]:
        return sorted((one.service, one.kind) for one in facts(aws)[INSTANCE].endpoints)

    control = [("ec2messages", "Interface"), ("ssm", "Interface"), ("ssmmessages", "Interface")]
    assert [one for one in services() if not one[0].startswith("vpce-svc")] == sorted([*control, ("s3", "Gateway")])
    ec2 = aws.client("ec2", Role.CONTAIN)
    table = ec2.create_route_table(VpcId=built["vpc_id"])["RouteTable"]["RouteTableId"]
    ec2.associate_route_table(RouteTableId=table, SubnetId=built["subnet_id"])
    assert [one for one in services() if not one[0].startswith("vpce-svc")] == control


def test_endpoints_come_with_their_groups_and_the_prefix_list_of_s3(aws: AwsWorld):
    aws.furnish()
    known = facts(aws)[INSTANCE]
    endpoints: dict[str, Endpoint] = {one.service: one for one in known.endpoints}
    assert endpoints["s3"].prefix_list is not None
    assert endpoints["s3"].prefix_list.startswith("pl-")
    (group,) = endpoints["ssm"].groups
    found = known.group(group)
    assert found is not None
    assert found.name == "vpc-endpoints"


def test_groups_subnets_and_acls_are_flat_and_sorted(aws: AwsWorld):
    built = aws.furnish(exposed=True, port=8080)
    known = facts(aws)[INSTANCE]
    app = next(group for group in known.groups if group.name == "app")
    assert app.vpc == built["vpc_id"]
    assert app.ingress == (Rule(protocol="tcp", from_port=8080, to_port=8080, peer="0.0.0.0/0"),)
    assert app.egress == (Rule(protocol="-1", peer="0.0.0.0/0"),)
    assert [group.id for group in known.groups] == sorted(group.id for group in known.groups)
    (subnet,) = known.subnets
    assert [(entry.egress, entry.number, entry.allow) for entry in subnet.acl] == [
        (False, 100, True),
        (False, 32767, False),
        (True, 100, True),
        (True, 32767, False),
    ]


def test_the_same_world_read_twice_gives_equal_facts(aws: AwsWorld):
    aws.furnish(an_event(in_group=True))
    assert facts(aws) == facts(aws)


def test_a_managed_node_comes_with_its_inventory(aws: AwsWorld):
    aws.furnish()
    known = facts(aws)[INSTANCE]
    assert known.node is not None
    assert known.node.model_dump() == {
        "ping_status": "Online",
        "platform_name": "Ubuntu",
        "platform_version": "22.04",
    }
    assert known.inventory is not None
    assert [(one.name, one.version, one.architecture) for one in known.inventory.packages] == [
        ("libssl3", "3.0.2-0ubuntu1.90", "arm64")
    ]
    assert known.inventory.captured_at is not None
    assert known.inventory.captured_at.utcoffset() is not None


def test_an_inventory_of_many_pages_is_read_whole(aws: AwsWorld):
    from deployments.sandbox.world import Package

    aws.furnish()
    node = aws.sandbox.cloud.world(ACCOUNT, REGION).nodes[INSTANCE]
    for number in range(120):
        package = Package(f"lib{number:03}", "arm64", "1.0-1")
        node.inventory[package.key] = package
    inventory = SsmGateway(aws.sessions).inventories(ACCOUNT, REGION, [INSTANCE])[INSTANCE]
    assert inventory is not None
    assert len(inventory.packages) == 121
    assert inventory.version_of("lib119") == "1.0-1"
    assert len(aws.parameters("ListInventoryEntries")) == 3


def test_the_replacement_image_is_the_platforms_and_of_the_same_architecture(aws: AwsWorld):
    built = aws.furnish()
    assert facts(aws)[INSTANCE].replacement_image == built["patched_image_id"]
    instance = aws.sandbox.cloud.world(ACCOUNT, REGION).instance(INSTANCE)
    assert instance is not None
    instance.architecture = "arm64"
    chosen = built["image_parameters"][0]
    assert facts(aws, image_parameter=chosen)[INSTANCE].replacement_image is None


def test_a_parameter_of_the_runbook_is_taken_before_the_public_one(aws: AwsWorld):
    built = aws.furnish()
    aws.client("ssm", Role.PATCH).put_parameter(Name="/images/golden", Value=built["image_id"], Type="String")
    assert facts(aws, image_parameter="/images/golden")[INSTANCE].replacement_image == built["image_id"]
    assert facts(aws, image_parameter="/images/none")[INSTANCE].replacement_image is None


def test_what_ec2_tells_one_by_one_is_read_where_it_is_wanted(aws: AwsWorld):
    aws.furnish(termination_protection=True, shutdown_behavior="terminate")
    instance = facts(aws)[INSTANCE].instance
    assert instance is not None
    assert (instance.termination_protection, instance.shutdown_behavior) == (True, "terminate")
    assert len(aws.parameters("DescribeInstanceAttribute")) == 2
    assert facts(aws, protection=False)[INSTANCE].instance is not None
    assert len(aws.parameters("DescribeInstanceAttribute")) == 2


def test_nodes_are_asked_about_by_fifty(aws: AwsWorld):
    ids = [f"i-{number:017x}" for number in range(1, 13)]
    for number, one in enumerate(ids, 1):
        aws.furnish(an_event(one, number), interfaces=1)
    assert sorted(SsmGateway(aws.sessions).nodes(ACCOUNT, REGION, ids)) == ids
    assert aws.calls() == ["ssm:DescribeInstanceInformation"]


def test_reading_two_hundred_and_one_instances_asks_twice_not_a_hundred_times(aws: AwsWorld):
    Ec2Gateway(aws.sessions).existing(ACCOUNT, REGION, [f"i-{number:017x}" for number in range(201)])
    assert aws.calls() == ["ec2:DescribeInstances"] * 2


def test_inspectors_inventory_association_is_found_under_its_name(aws: AwsWorld):
    aws.furnish()
    found = SsmGateway(aws.sessions).inventory_association(ACCOUNT, REGION)
    assert [found] == list(aws.sandbox.cloud.world(ACCOUNT, REGION).associations)


@pytest.mark.parametrize(
    ("entry", "version"),
    [
        ({"Version": "3.0.2-0ubuntu1.90"}, "3.0.2-0ubuntu1.90"),
        ({"Version": "1:8.9p1-3ubuntu0.6", "Epoch": "1"}, "1:8.9p1-3ubuntu0.6"),
        ({"Version": "5.14.0", "Release": "427.el9", "Epoch": "(none)"}, "5.14.0-427.el9"),
        ({"Version": "3.0.7", "Release": "27.el9", "Epoch": "1"}, "1:3.0.7-27.el9"),
        ({"Version": "2.36-r0"}, "2.36-r0"),
    ],
)
def test_a_version_is_joined_as_its_package_manager_writes_it(entry: dict[str, str], version: str):
    assert full_version(entry) == version


def test_rules_survive_the_way_to_ec2_and_back():
    rules = (
        Rule(protocol="-1", peer="0.0.0.0/0"),
        Rule(protocol="tcp", from_port=80, to_port=80, peer="2001:db8::/32"),
        Rule(protocol="tcp", from_port=443, to_port=443, peer="pl-0123456789abcdef0"),
        Rule(protocol="tcp", from_port=443, to_port=443, peer="sg-0123456789abcdef0"),
    )
    assert to_rules(reversed(to_permissions(rules))) == rules


def _found(instance: Instance | None) -> Instance:
    assert instance is not None
    return instance
