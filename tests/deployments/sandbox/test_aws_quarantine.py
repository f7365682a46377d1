"""What a quarantine cuts off, and what it leaves: the way to Systems Manager and the package source."""

from __future__ import annotations

from typing import Any

S3 = "com.amazonaws.eu-central-1.s3"


def quarantine(aws: Any, world: dict[str, Any], egress: list[dict[str, Any]]) -> None:
    """Swap every interface of the instance to a group with no way in and only this way out."""
    ec2 = aws("ec2")
    made = ec2.create_security_group(GroupName="quarantine", Description="quarantine", VpcId=world["vpc_id"])
    group = ec2.describe_security_groups(GroupIds=[made["GroupId"]])["SecurityGroups"][0]
    ec2.revoke_security_group_egress(GroupId=group["GroupId"], IpPermissions=group["IpPermissionsEgress"])
    if egress:
        ec2.authorize_security_group_egress(GroupId=group["GroupId"], IpPermissions=egress)
    for interface in world["interfaces"]:
        ec2.modify_network_interface_attribute(NetworkInterfaceId=interface, Groups=[group["GroupId"]])


def https(**to: Any) -> dict[str, Any]:
    return {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443} | to


def endpoint_groups(aws: Any, *endings: str) -> list[dict[str, str]]:
    endpoints = aws("ec2").describe_vpc_endpoints()["VpcEndpoints"]
    chosen = [
        one for one in endpoints if one["ServiceName"].endswith(endings) and one["VpcEndpointType"] == "Interface"
    ]
    return [{"GroupId": group["GroupId"]} for one in chosen for group in one["Groups"]][:1]


def prefix_list(aws: Any) -> str:
    return next(
        one["PrefixListId"] for one in aws("ec2").describe_prefix_lists()["PrefixLists"] if one["PrefixListName"] == S3
    )


def ping(aws: Any) -> str:
    return aws("ssm").describe_instance_information()["InstanceInformationList"][0]["PingStatus"]


def patched(aws: Any, sandbox: Any, world: dict[str, Any]) -> dict[str, Any]:
    command = aws("ssm").send_command(
        InstanceIds=[world["instance_id"]],
        DocumentName="AWS-RunPatchBaseline",
        Parameters={"Operation": ["Install"]},
        TimeoutSeconds=30,
    )["Command"]["CommandId"]
    sandbox.advance(60)
    return aws("ssm").get_command_invocation(
        CommandId=command, InstanceId=world["instance_id"], PluginName="PatchLinux"
    )


def test_a_quarantine_without_rules_cuts_systems_manager_after_a_while(sandbox, aws, finding):
    world = sandbox.furnish(finding())
    assert ping(aws) == "Online"
    quarantine(aws, world, [])
    assert ping(aws) == "Online"
    sandbox.advance(31)
    assert ping(aws) == "ConnectionLost"
    answer = patched(aws, sandbox, world)
    assert (answer["Status"], answer["StatusDetails"]) == ("TimedOut", "Delivery Timed Out")


def test_endpoints_alone_keep_the_agent_but_not_the_packages(sandbox, aws, finding):
    world = sandbox.furnish(finding())
    allowed = https(UserIdGroupPairs=endpoint_groups(aws, ".ssm", ".ssmmessages", ".ec2messages"))
    quarantine(aws, world, [allowed])
    sandbox.advance(31)
    assert ping(aws) == "Online"
    answer = patched(aws, sandbox, world)
    assert (answer["Status"], answer["ResponseCode"]) == ("Failed", 1)
    assert "S3" in answer["StandardErrorContent"]


def test_endpoints_s3_and_the_mirror_are_enough_to_patch_under_quarantine(sandbox, aws, finding):
    world = sandbox.furnish(finding())
    mirror = https(UserIdGroupPairs=endpoint_groups(aws, *world["mirror_services"]))
    control = https(UserIdGroupPairs=endpoint_groups(aws, ".ssm", ".ssmmessages", ".ec2messages"))
    quarantine(aws, world, [control, mirror, https(PrefixListIds=[{"PrefixListId": prefix_list(aws)}])])
    sandbox.advance(31)
    assert patched(aws, sandbox, world)["Status"] == "Success"
    shown = sandbox.cloud.world(world["account"], world["region"]).nodes[world["instance_id"]].packages
    assert [one.version for one in shown.values()] == ["0:3.0.2-0ubuntu1.15"]


def test_ubuntu_needs_more_than_s3_where_amazon_linux_does_not(sandbox, aws, finding):
    amazon = finding(
        "i-0aaaaaaaaaaaaaaa2", platform="AMAZON_LINUX_2023", version="3.0.8", fixed_in="1:3.0.9-1.amzn2023"
    )
    for event, expected in ((finding(), "Failed"), (amazon, "Success")):
        sandbox.reset()
        world = sandbox.furnish(event, package_mirror=False)
        control = https(UserIdGroupPairs=endpoint_groups(aws, ".ssm", ".ssmmessages", ".ec2messages"))
        quarantine(aws, world, [control, https(PrefixListIds=[{"PrefixListId": prefix_list(aws)}])])
        assert patched(aws, sandbox, world)["Status"] == expected


def test_the_agent_is_back_when_the_groups_are_put_back(sandbox, aws, finding):
    world = sandbox.furnish(finding())
    quarantine(aws, world, [])
    sandbox.advance(31)
    for interface, groups in world["interfaces"].items():
        aws("ec2").modify_network_interface_attribute(NetworkInterfaceId=interface, Groups=groups)
    assert ping(aws) == "Online"
