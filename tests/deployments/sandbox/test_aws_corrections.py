"""Where moto differs from what AWS documents, the sandbox does not."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return error.value.response.get("Error", {}).get("Code", "")


def interfaces(aws: Any, world: dict[str, Any]) -> list[dict[str, Any]]:
    asked = [{"Name": "attachment.instance-id", "Values": [world["instance_id"]]}]
    found = aws("ec2").describe_network_interfaces(Filters=asked)["NetworkInterfaces"]
    return sorted(found, key=lambda one: one["Attachment"]["DeviceIndex"])


def groups(interface: dict[str, Any]) -> list[str]:
    return [group["GroupId"] for group in interface["Groups"]]


def new_group(aws: Any, vpc_id: str, name: str = "quarantine") -> str:
    return aws("ec2").create_security_group(GroupName=name, Description=name, VpcId=vpc_id)["GroupId"]


def test_an_interface_carries_exactly_the_groups_it_is_given_in_their_order(sandbox, aws, finding):
    world = sandbox.furnish(finding())
    first, second = interfaces(aws, world)
    quarantine = new_group(aws, world["vpc_id"])
    names = ("other", "third", "fourth", "fifth")
    others = [new_group(aws, world["vpc_id"], name) for name in names][::-1]
    ec2 = aws("ec2")
    ec2.modify_network_interface_attribute(NetworkInterfaceId=first["NetworkInterfaceId"], Groups=[quarantine])
    ec2.modify_network_interface_attribute(NetworkInterfaceId=second["NetworkInterfaceId"], Groups=others)
    assert [groups(one) for one in interfaces(aws, world)] == [[quarantine], others]
    instance = ec2.describe_instances(InstanceIds=[world["instance_id"]])["Reservations"][0]["Instances"][0]
    assert [group["GroupId"] for group in instance["SecurityGroups"]] == [quarantine]
    ec2.modify_network_interface_attribute(NetworkInterfaceId=first["NetworkInterfaceId"], Groups=groups(first))
    assert groups(interfaces(aws, world)[0]) == groups(first)


def test_groups_that_cannot_be_set_are_refused_and_nothing_changes(sandbox, aws, finding):
    world = sandbox.furnish(finding())
    elsewhere = aws("ec2").create_vpc(CidrBlock="10.99.0.0/16")["Vpc"]["VpcId"]
    foreign = new_group(aws, elsewhere)
    before = [groups(one) for one in interfaces(aws, world)]
    eni = interfaces(aws, world)[0]["NetworkInterfaceId"]
    for wanted, expected in (
        (["sg-0123456789abcdef0"], "InvalidGroup.NotFound"),
        ([foreign], "InvalidGroup.NotFound"),
        ([""], "InvalidParameterCombination"),
        ([], "InvalidParameterCombination"),
    ):
        with pytest.raises(ClientError) as error:
            aws("ec2").modify_network_interface_attribute(NetworkInterfaceId=eni, Groups=wanted)
        assert code(error) == expected
    assert [groups(one) for one in interfaces(aws, world)] == before


def test_groups_of_an_instance_with_several_interfaces_are_set_by_interface_only(sandbox, aws, finding):
    world = sandbox.furnish(finding())
    quarantine = new_group(aws, world["vpc_id"])
    with pytest.raises(ClientError) as error:
        aws("ec2").modify_instance_attribute(InstanceId=world["instance_id"], Groups=[quarantine])
    assert code(error) == "InvalidInstanceID"
    single = sandbox.furnish(finding("i-0aaaaaaaaaaaaaaa2", address="10.20.1.11"), interfaces=1)
    aws("ec2").modify_instance_attribute(InstanceId=single["instance_id"], Groups=[quarantine])
    assert [groups(one) for one in interfaces(aws, single)] == [[quarantine]]


def test_a_group_in_use_cannot_be_deleted(sandbox, aws, finding):
    world = sandbox.furnish(finding())
    quarantine = new_group(aws, world["vpc_id"])
    eni = interfaces(aws, world)[0]
    aws("ec2").modify_network_interface_attribute(NetworkInterfaceId=eni["NetworkInterfaceId"], Groups=[quarantine])
    with pytest.raises(ClientError) as error:
        aws("ec2").delete_security_group(GroupId=quarantine)
    assert code(error) == "DependencyViolation"
    aws("ec2").modify_network_interface_attribute(NetworkInterfaceId=eni["NetworkInterfaceId"], Groups=groups(eni))
    aws("ec2").delete_security_group(GroupId=quarantine)
    with pytest.raises(ClientError) as error:
        aws("ec2").describe_security_groups(GroupIds=[quarantine])
    assert code(error) == "InvalidGroup.NotFound"


def test_group_rules_take_prefix_lists_and_ipv6(sandbox, aws, finding):
    world = sandbox.furnish(finding())
    group = new_group(aws, world["vpc_id"])
    listed = aws("ec2").describe_prefix_lists()["PrefixLists"]
    s3 = next(one["PrefixListId"] for one in listed if one["PrefixListName"] == "com.amazonaws.eu-central-1.s3")
    everything = aws("ec2").describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissionsEgress"]
    aws("ec2").revoke_security_group_egress(GroupId=group, IpPermissions=everything)
    rule = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443}
    wanted = [rule | {"PrefixListIds": [{"PrefixListId": s3}]}, rule | {"Ipv6Ranges": [{"CidrIpv6": "2001:db8::/64"}]}]
    aws("ec2").authorize_security_group_egress(GroupId=group, IpPermissions=wanted)
    allowed = aws("ec2").describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissionsEgress"]
    assert [one["PrefixListId"] for rule in allowed for one in rule["PrefixListIds"]] == [s3]
    assert [one["CidrIpv6"] for rule in allowed for one in rule["Ipv6Ranges"]] == ["2001:db8::/64"]


def test_a_malformed_id_is_not_an_id_that_was_not_found(sandbox, aws, finding):
    for wrong, expected in (
        ("i-nothex", "InvalidInstanceID.Malformed"),
        ("i-0123456789abcdef0", "InvalidInstanceID.NotFound"),
    ):
        with pytest.raises(ClientError) as error:
            aws("ec2").describe_instances(InstanceIds=[wrong])
        assert code(error) == expected


def test_the_same_client_token_gives_the_same_instance(sandbox, aws, finding):
    world = sandbox.furnish(finding())
    request = {
        "ImageId": world["image_id"],
        "InstanceType": "t3.small",
        "SubnetId": world["subnet_id"],
        "MinCount": 1,
        "MaxCount": 1,
        "ClientToken": "case-1",
        "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "case", "Value": "1"}]}],
    }
    first = aws("ec2").run_instances(**request)["Instances"][0]
    again = aws("ec2").run_instances(**request)["Instances"][0]
    assert first["InstanceId"] == again["InstanceId"]
    assert again["Tags"] == [{"Key": "case", "Value": "1"}]
    with pytest.raises(ClientError) as error:
        aws("ec2").run_instances(**(request | {"InstanceType": "t3.large"}))
    assert code(error) == "IdempotentParameterMismatch"
    with pytest.raises(ClientError) as error:
        aws("ec2").run_instances(**(request | {"ImageId": "ami-0123456789abcdef0", "ClientToken": "other"}))
    assert code(error) == "InvalidAMIID.NotFound"


def test_a_template_version_inherits_what_it_does_not_change(sandbox, aws, finding):
    ec2 = aws("ec2")
    template = ec2.create_launch_template(
        LaunchTemplateName="web", LaunchTemplateData={"ImageId": "ami-1", "InstanceType": "t3.small", "KeyName": "ops"}
    )["LaunchTemplate"]["LaunchTemplateId"]
    request = {"LaunchTemplateId": template, "SourceVersion": "1", "ClientToken": "case-1"}
    made = ec2.create_launch_template_version(**request, LaunchTemplateData={"ImageId": "ami-2"})
    again = ec2.create_launch_template_version(**request, LaunchTemplateData={"ImageId": "ami-2"})
    data = {"ImageId": "ami-2", "InstanceType": "t3.small", "KeyName": "ops"}
    for answer in (made, again):
        version = answer["LaunchTemplateVersion"]
        assert (version["VersionNumber"], version["LaunchTemplateData"]) == (2, data)
    described = ec2.describe_launch_template_versions(LaunchTemplateId=template)["LaunchTemplateVersions"]
    assert {one["VersionNumber"]: one["LaunchTemplateData"] for one in described}[2] == data
    bare = ec2.create_launch_template_version(LaunchTemplateId=template, LaunchTemplateData={"ImageId": "ami-3"})
    assert bare["LaunchTemplateVersion"]["LaunchTemplateData"] == {"ImageId": "ami-3"}
    with pytest.raises(ClientError) as error:
        ec2.create_launch_template_version(**request, LaunchTemplateData={"ImageId": "ami-4"})
    assert code(error) == "IdempotentParameterMismatch"


def test_snapshots_leave_out_what_is_excluded_and_are_pending_first(sandbox, aws, finding):
    world = sandbox.furnish(finding(), volumes=3)
    root, data, scratch = world["volumes"]
    aws("ec2").create_tags(Resources=[data], Tags=[{"Key": "tier", "Value": "db"}])
    made = aws("ec2").create_snapshots(
        InstanceSpecification={"InstanceId": world["instance_id"], "ExcludeDataVolumeIds": [scratch]},
        CopyTagsFromSource="volume",
        TagSpecifications=[{"ResourceType": "snapshot", "Tags": [{"Key": "case", "Value": "1"}]}],
    )["Snapshots"]
    assert [(one["VolumeId"], one["State"]) for one in made] == [(root, "pending"), (data, "pending")]
    assert {tag["Key"]: tag["Value"] for tag in made[1]["Tags"]} == {"case": "1", "tier": "db"}
    of_case = [{"Name": "tag:case", "Values": ["1"]}]
    for state in ("pending", "completed"):
        found = aws("ec2").describe_snapshots(OwnerIds=["self"], Filters=of_case)["Snapshots"]
        assert {one["SnapshotId"]: one["State"] for one in found} == {one["SnapshotId"]: state for one in made}
        sandbox.advance(3)
    without_root = aws("ec2").create_snapshots(
        InstanceSpecification={"InstanceId": world["instance_id"], "ExcludeBootVolume": True}
    )["Snapshots"]
    assert [one["VolumeId"] for one in without_root] == [data, scratch]


def test_stopping_gives_a_public_address_back_and_starting_brings_another(sandbox, aws, finding):
    world = sandbox.furnish(finding())
    ec2 = aws("ec2")

    def address() -> str | None:
        answer = ec2.describe_instances(InstanceIds=[world["instance_id"]])
        return answer["Reservations"][0]["Instances"][0].get("PublicIpAddress")

    assert address() == "203.0.113.20"
    ec2.stop_instances(InstanceIds=[world["instance_id"]])
    assert address() is None
    ec2.start_instances(InstanceIds=[world["instance_id"]])
    assert address() not in (None, "203.0.113.20")


def test_an_elastic_address_stays_through_a_stop(sandbox, aws, finding):
    world = sandbox.furnish(finding(), elastic_address=True)
    aws("ec2").stop_instances(InstanceIds=[world["instance_id"]])
    (address,) = aws("ec2").describe_addresses()["Addresses"]
    assert (address["InstanceId"], address["PublicIp"]) == (world["instance_id"], "203.0.113.20")
    answer = aws("ec2").describe_instances(InstanceIds=[world["instance_id"]])
    assert answer["Reservations"][0]["Instances"][0]["PublicIpAddress"] == "203.0.113.20"


def test_a_dry_run_changes_nothing(sandbox, aws, finding):
    world = sandbox.furnish(finding())
    before = [groups(one) for one in interfaces(aws, world)]
    quarantine = new_group(aws, world["vpc_id"])
    with pytest.raises(ClientError) as error:
        aws("ec2").modify_network_interface_attribute(
            NetworkInterfaceId=next(iter(world["interfaces"])), Groups=[quarantine], DryRun=True
        )
    assert code(error) == "DryRunOperation"
    assert [groups(one) for one in interfaces(aws, world)] == before


def test_a_terminated_instance_leaves_its_other_interfaces_behind_free(sandbox, aws, finding):
    world = sandbox.furnish(finding())
    first, second = world["interfaces"]
    aws("ec2").terminate_instances(InstanceIds=[world["instance_id"]])
    (left,) = [
        one
        for one in aws("ec2").describe_network_interfaces()["NetworkInterfaces"]
        if one["NetworkInterfaceId"] in (first, second)
    ]
    assert (left["NetworkInterfaceId"], left["Status"], left.get("Attachment")) == (second, "available", None)


def test_what_guards_an_instance_can_be_read_and_set(sandbox, aws, finding):
    world = sandbox.furnish(finding(), termination_protection=True)
    ec2, instance = aws("ec2"), world["instance_id"]
    with pytest.raises(ClientError) as error:
        ec2.terminate_instances(InstanceIds=[instance])
    assert code(error) == "OperationNotPermitted"
    ec2.modify_instance_attribute(InstanceId=instance, DisableApiTermination={"Value": False})
    ec2.modify_instance_attribute(InstanceId=instance, InstanceInitiatedShutdownBehavior={"Value": "terminate"})
    ec2.modify_instance_attribute(
        InstanceId=instance, BlockDeviceMappings=[{"DeviceName": "/dev/sda1", "Ebs": {"DeleteOnTermination": False}}]
    )

    def attribute(name: str) -> Any:
        return ec2.describe_instance_attribute(InstanceId=instance, Attribute=name)

    assert attribute("disableApiTermination")["DisableApiTermination"]["Value"] is False
    assert attribute("instanceInitiatedShutdownBehavior")["InstanceInitiatedShutdownBehavior"]["Value"] == "terminate"
    devices = attribute("blockDeviceMapping")["BlockDeviceMappings"]
    assert {one["DeviceName"]: one["Ebs"]["DeleteOnTermination"] for one in devices}["/dev/sda1"] is False


def test_what_the_sandbox_does_not_have_is_called_so(sandbox, aws, finding):
    for service, method, parameters in (
        ("ec2", "create_network_insights_path", {"Source": "i-0123456789abcdef0", "Protocol": "tcp"}),
        (
            "inspector2",
            "create_sbom_export",
            {"reportFormat": "CYCLONEDX_1_4", "s3Destination": {"bucketName": "b", "kmsKeyArn": "k"}},
        ),
        ("guardduty", "list_findings", {"DetectorId": "d"}),
        ("imagebuilder", "list_images", {}),
        ("ssm", "list_compliance_items", {}),
        (
            "autoscaling",
            "complete_lifecycle_action",
            {"LifecycleHookName": "h", "AutoScalingGroupName": "g", "LifecycleActionResult": "CONTINUE"},
        ),
    ):
        with pytest.raises(ClientError) as error:
            getattr(aws(service), method)(**parameters)
        assert code(error) == "NotImplemented"


def test_the_newest_image_of_a_platform_is_in_its_public_parameter_and_patched(sandbox, aws, finding):
    world = sandbox.furnish(finding())
    path = "/aws/service/canonical/ubuntu/server/22.04/stable/current/amd64/hvm/ebs-gp2/ami-id"
    image = aws("ssm").get_parameter(Name=path)["Parameter"]["Value"]
    assert image == world["patched_image_id"] != world["image_id"]
    assert [one["ImageId"] for one in aws("ec2").describe_images(ImageIds=[image])["Images"]] == [image]
    amazon = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
    answer = aws("ssm").get_parameters(Names=[path, amazon, "/aws/service/unheard"])
    assert {one["Name"] for one in answer["Parameters"]} == {path, amazon}
    assert answer["InvalidParameters"] == ["/aws/service/unheard"]


def test_accounts_and_regions_do_not_see_each_other(sandbox, aws, finding):
    sandbox.furnish(finding())
    assert aws("inspector2").list_findings()["findings"] != []
    assert aws("inspector2", account="111122223333").list_findings()["findings"] == []
    assert aws("inspector2", region="us-east-1").list_findings()["findings"] == []
    assert aws("ec2", account="111122223333").describe_instances()["Reservations"] == []
    assert aws("sts", account="111122223333").get_caller_identity()["Account"] == "111122223333"
