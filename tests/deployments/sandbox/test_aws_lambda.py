"""Lambda functions: how they change, what versions and aliases serve, and what Inspector sees of them."""

from __future__ import annotations

from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from deployments.sandbox import inspector
from deployments.sandbox.function_packages import python_layer, zip_of
from deployments.sandbox.furnish_function_options import NotAFunctionFinding
from tests.deployments.sandbox.conftest import ACCOUNT, REGION

NAME = "order-export"
CODE = zip_of({"app.py": "def handler(event, context):\n    return 'another answer'\n"})


def configuration(aws: Any, **qualified: Any) -> dict[str, Any]:
    return aws("lambda").get_function_configuration(FunctionName=NAME, **qualified)


def layers(aws: Any, **qualified: Any) -> list[str]:
    return [one["Arn"] for one in configuration(aws, **qualified)["Layers"]]


def statuses(aws: Any) -> list[str]:
    wanted = {"resourceType": [{"comparison": "EQUALS", "value": "AWS_LAMBDA_FUNCTION"}]}
    return [one["status"] for one in aws("inspector2").list_findings(filterCriteria=wanted)["findings"]]


def coverage(aws: Any) -> dict[str, Any]:
    wanted = {"lambdaFunctionName": [{"comparison": "EQUALS", "value": NAME}]}
    (row,) = aws("inspector2").list_coverage(filterCriteria=wanted)["coveredResources"]
    return row


def exchange_layer(sandbox: Any, aws: Any, arn: str) -> None:
    aws("lambda").update_function_configuration(FunctionName=NAME, Layers=[arn])
    sandbox.advance(5)


def test_a_furnished_function_shows_who_invokes_it_and_what_its_alias_serves(aws, orders):
    world = orders(tags={"owner": "orders"})
    client = aws("lambda")
    shown = client.get_function(FunctionName=NAME)
    assert shown["Configuration"]["Runtime"] == "python3.11"
    assert shown["Configuration"]["LastUpdateStatus"] == "Successful"
    assert (shown["Tags"], layers(aws)) == ({"owner": "orders"}, [world["layer_version_arn"]])
    assert client.get_alias(FunctionName=NAME, Name="live")["FunctionVersion"] == "1"
    assert client.get_function_url_config(FunctionName=NAME)["AuthType"] == "NONE"
    assert '"Principal": "*"' in client.get_policy(FunctionName=NAME)["Policy"].replace('":"', '": "')
    (mapping,) = client.list_event_source_mappings(FunctionName=NAME)["EventSourceMappings"]
    assert [mapping["EventSourceArn"]] == world["event_sources"]
    assert [one["FunctionName"] for one in client.list_functions()["Functions"]] == [NAME]
    versions = client.list_versions_by_function(FunctionName=NAME)["Versions"]
    assert [one["Version"] for one in versions] == ["$LATEST", "1"]
    assert client.list_tags(Resource=world["function_arn"])["Tags"] == {"owner": "orders"}
    (alarm,) = aws("cloudwatch").describe_alarms(AlarmNames=[world["alarm"]])["MetricAlarms"]
    assert alarm["StateValue"] == "OK"


def test_inspector_names_the_layer_and_its_event_is_what_the_api_says(aws, orders):
    world = orders()
    (finding,) = aws("inspector2").list_findings(
        filterCriteria={"lambdaFunctionName": [{"comparison": "EQUALS", "value": NAME}]}
    )["findings"]
    (package,) = finding["packageVulnerabilityDetails"]["vulnerablePackages"]
    assert (package["name"], package["version"], package["packageManager"]) == ("pyyaml", "5.3.1", "PIP")
    assert package["sourceLambdaLayerArn"] == world["layer_version_arn"]
    (resource,) = finding["resources"]
    assert (resource["type"], resource["id"]) == ("AWS_LAMBDA_FUNCTION", f"{world['function_arn']}:$LATEST")
    details = resource["details"]["awsLambdaFunction"]
    assert (details["runtime"], details["packageType"], details["version"]) == ("PYTHON_3_11", "ZIP", "$LATEST")
    event = world["event"]
    assert (event["detail-type"], event["resources"]) == ("Inspector2 Finding", [resource["id"]])
    assert event["detail"]["findingArn"] == finding["findingArn"] == world["finding_arn"]
    assert event["detail"]["resources"][0]["details"]["awsLambdaFunction"]["layers"] == [world["layer_version_arn"]]


def test_the_finding_closes_when_latest_is_fixed_although_the_alias_serves_the_old_layer(sandbox, aws, orders):
    world = orders()
    before = coverage(aws)["lastScannedAt"]
    exchange_layer(sandbox, aws, world["patched_layer_version_arn"])
    assert statuses(aws) == ["ACTIVE"]
    sandbox.advance(5)
    assert statuses(aws) == ["CLOSED"]
    row = coverage(aws)
    assert (row["scanType"], row["scanStatus"]["reason"]) == ("PACKAGE", "SUCCESSFUL")
    assert row["lastScannedAt"] > before
    assert layers(aws, Qualifier="live") == [world["layer_version_arn"]]
    assert layers(aws) == [world["patched_layer_version_arn"]]


def test_the_finding_reopens_when_the_old_layer_comes_back(sandbox, aws, orders):
    world = orders()
    exchange_layer(sandbox, aws, world["patched_layer_version_arn"])
    exchange_layer(sandbox, aws, world["layer_version_arn"])
    sandbox.advance(10)
    assert statuses(aws) == ["ACTIVE"]


def test_what_a_published_layer_holds_is_read_from_its_zip(sandbox, aws, orders):
    world = orders(patched_layer=False)
    client = aws("lambda")
    made = client.publish_layer_version(
        LayerName="order-export-dependencies", Content={"ZipFile": python_layer({"pyyaml": "6.0.1"})}
    )
    versions = client.list_layer_versions(LayerName="order-export-dependencies")["LayerVersions"]
    assert [one["Version"] for one in versions] == [2, 1]
    by_arn = client.get_layer_version_by_arn(Arn=made["LayerVersionArn"])
    assert by_arn["Content"]["CodeSha256"] == made["Content"]["CodeSha256"]
    assert world["patched_layer_version_arn"] is None
    exchange_layer(sandbox, aws, made["LayerVersionArn"])
    sandbox.advance(5)
    assert statuses(aws) == ["CLOSED"]


def test_vulnerable_code_opens_a_finding_and_deleting_the_function_closes_it(sandbox, aws, orders):
    world = orders()
    exchange_layer(sandbox, aws, world["patched_layer_version_arn"])
    sandbox.advance(5)
    bad = zip_of({"app.py": "", "requirements.txt": "pyyaml==5.1\nboto3==1.34.0\n"})
    aws("lambda").update_function_code(FunctionName=NAME, ZipFile=bad)
    sandbox.advance(10)
    assert statuses(aws) == ["ACTIVE"]
    aws("lambda").delete_function(FunctionName=NAME)
    assert statuses(aws) == ["CLOSED"]
    assert coverage(aws)["scanStatus"]["reason"] == "RESOURCE_TERMINATED"
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        aws("lambda").publish_version(FunctionName=NAME)


def test_a_function_is_not_changed_while_it_is_being_changed(sandbox, aws, orders):
    orders()
    client = aws("lambda")
    answer = client.update_function_code(FunctionName=NAME, ZipFile=CODE)
    assert answer["LastUpdateStatus"] == "InProgress"
    for change in (
        lambda: client.update_function_code(FunctionName=NAME, ZipFile=CODE),
        lambda: client.update_function_configuration(FunctionName=NAME, Runtime="python3.12"),
        lambda: client.publish_version(FunctionName=NAME),
    ):
        with pytest.raises(ClientError, match=r"ResourceConflictException.*An update is in progress for resource"):
            change()
    sandbox.advance(4)
    after = configuration(aws)
    assert (after["LastUpdateStatus"], after["CodeSha256"], after["Runtime"]) == (
        "Successful",
        answer["CodeSha256"],
        "python3.11",
    )


def test_a_change_that_names_a_former_revision_is_refused(sandbox, aws, orders):
    orders()
    client = aws("lambda")
    seen = configuration(aws)["RevisionId"]
    client.update_function_configuration(FunctionName=NAME, Runtime="python3.12", RevisionId=seen)
    sandbox.advance(4)
    assert configuration(aws)["RevisionId"] != seen
    for change in (client.update_function_code, client.publish_version):
        with pytest.raises(ClientError, match="PreconditionFailedException"):
            change(
                FunctionName=NAME, RevisionId=seen, **({"ZipFile": CODE} if change != client.publish_version else {})
            )
    alias = client.get_alias(FunctionName=NAME, Name="live")
    client.update_alias(FunctionName=NAME, Name="live", Description="x", RevisionId=alias["RevisionId"])
    with pytest.raises(ClientError, match="PreconditionFailedException"):
        client.update_alias(FunctionName=NAME, Name="live", Description="y", RevisionId=alias["RevisionId"])


def test_reserved_concurrency_of_zero_is_shown_and_can_be_taken_back(aws, orders):
    orders()
    client = aws("lambda")
    assert "ReservedConcurrentExecutions" not in client.get_function_concurrency(FunctionName=NAME)
    client.put_function_concurrency(FunctionName=NAME, ReservedConcurrentExecutions=0)
    assert client.get_function_concurrency(FunctionName=NAME)["ReservedConcurrentExecutions"] == 0
    assert client.get_function(FunctionName=NAME)["Concurrency"] == {"ReservedConcurrentExecutions": 0}
    client.delete_function_concurrency(FunctionName=NAME)
    assert "Concurrency" not in client.get_function(FunctionName=NAME)


def test_a_public_url_is_closed_and_opened_again(aws, orders):
    orders()
    client = aws("lambda")
    client.update_function_url_config(FunctionName=NAME, AuthType="AWS_IAM")
    (url,) = client.list_function_url_configs(FunctionName=NAME)["FunctionUrlConfigs"]
    assert url["AuthType"] == "AWS_IAM"
    client.update_function_url_config(FunctionName=NAME, AuthType="NONE")
    assert client.get_function_url_config(FunctionName=NAME)["AuthType"] == "NONE"


def test_a_function_without_url_or_policy_has_none_to_show(aws, orders):
    orders(public=None, queue=None)
    client = aws("lambda")
    for ask in (client.get_function_url_config, client.get_policy):
        with pytest.raises(ClientError, match="ResourceNotFoundException"):
            ask(FunctionName=NAME)
    assert client.list_function_url_configs(FunctionName=NAME)["FunctionUrlConfigs"] == []
    assert client.list_event_source_mappings(FunctionName=NAME)["EventSourceMappings"] == []


def test_what_is_not_there_is_not_found(aws, orders):
    orders()
    client = aws("lambda")
    for ask in (
        lambda: client.update_alias(FunctionName=NAME, Name="test", FunctionVersion="1"),
        lambda: client.get_function(FunctionName="basket"),
        lambda: client.update_function_code(FunctionName="basket", ZipFile=CODE),
        lambda: client.get_layer_version_by_arn(Arn=f"arn:aws:lambda:{REGION}:{ACCOUNT}:layer:none:1"),
    ):
        with pytest.raises(ClientError, match="ResourceNotFoundException"):
            ask()


def test_a_new_function_is_pending_before_it_can_be_changed(sandbox, aws, orders):
    role = orders()["role_arn"]
    client = aws("lambda")
    made = client.create_function(
        FunctionName="basket", Runtime="python3.12", Role=role, Handler="app.handler", Code={"ZipFile": CODE}
    )
    assert made["State"] == "Pending"
    with pytest.raises(ClientError, match=r"ResourceConflictException.*Pending"):
        client.update_function_configuration(FunctionName="basket", Timeout=10)
    sandbox.advance(4)
    assert client.get_function_configuration(FunctionName="basket")["State"] == "Active"
    assert {one["FunctionName"] for one in client.list_functions()["Functions"]} == {NAME, "basket"}


def test_a_new_vulnerability_is_found_in_latest_without_any_change(sandbox, aws, orders):
    orders()
    world = sandbox.cloud.world(ACCOUNT, REGION)
    known = world.advisories[0]
    certifi = replace(known.packages[0], name="certifi", fixed_in="2026.2.1")
    world.advisories.append(replace(known, vulnerability_id="CVE-2026-0001", packages=(certifi,)))
    inspector.rescan(world, world.advisories[-1])
    assert statuses(aws) == ["ACTIVE", "ACTIVE"]


def test_a_real_event_is_furnished_with_its_function_package_and_arn(sandbox, aws, orders):
    event = lambda_event()
    world = orders(event)
    assert (world["function"], world["region"], world["account"]) == ("VulnerableFunction", "eu-central-1", ACCOUNT)
    assert world["finding_arn"] == event["detail"]["findingArn"]
    (finding,) = aws("inspector2").list_findings()["findings"]
    assert (finding["status"], finding["title"]) == ("ACTIVE", "CVE-2023-30861 - flask")
    good = zip_of({"app.py": "", "requirements.txt": "flask==2.3.2\n"})
    aws("lambda").update_function_code(FunctionName="VulnerableFunction", ZipFile=good)
    sandbox.advance(10)
    assert statuses(aws) == ["CLOSED"]
    with pytest.raises(NotAFunctionFinding):
        orders({"detail": event["detail"] | {"resources": [{"type": "AWS_EC2_INSTANCE"}]}})


def lambda_event() -> dict[str, Any]:
    """An event in the form Inspector sends it."""
    return {
        "source": "aws.inspector2",
        "detail-type": "Inspector2 Finding",
        "detail": {
            "awsAccountId": ACCOUNT,
            "findingArn": f"arn:aws:inspector2:{REGION}:{ACCOUNT}:finding/{'0a' * 16}",
            "severity": "HIGH",
            "status": "ACTIVE",
            "title": "CVE-2023-30861 - flask",
            "type": "PACKAGE_VULNERABILITY",
            "inspectorScore": 7.5,
            "packageVulnerabilityDetails": {
                "source": "NVD",
                "vulnerabilityId": "CVE-2023-30861",
                "vulnerablePackages": [
                    {
                        "epoch": 0,
                        "filePath": "requirements.txt",
                        "fixedInVersion": "2.3.2",
                        "name": "flask",
                        "packageManager": "PIP",
                        "version": "2.0.0",
                    }
                ],
            },
            "resources": [
                {
                    "id": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:VulnerableFunction:$LATEST",
                    "type": "AWS_LAMBDA_FUNCTION",
                    "region": REGION,
                    "details": {
                        "awsLambdaFunction": {
                            "functionName": "VulnerableFunction",
                            "packageType": "ZIP",
                            "runtime": "PYTHON_3_11",
                            "version": "$LATEST",
                        }
                    },
                }
            ],
        },
    }


def test_the_versions_of_a_layer_are_listed_by_its_name_and_by_its_arn(aws, orders):
    world = orders()
    layer = world["layer_version_arn"].rpartition(":")[0]
    by_name = aws("lambda").list_layer_versions(LayerName="order-export-dependencies")["LayerVersions"]
    assert [one["Version"] for one in by_name] == [2, 1]
    assert aws("lambda").list_layer_versions(LayerName=layer)["LayerVersions"] == by_name


def test_every_answer_is_dated_by_the_sandboxs_own_time(sandbox, aws, orders):
    orders()
    sandbox.advance(86_400)
    headers = aws("lambda").get_alias(FunctionName=NAME, Name="live")["ResponseMetadata"]["HTTPHeaders"]
    told, now = parsedate_to_datetime(headers["date"]), sandbox.cloud.clock.now()
    assert abs((now - told).total_seconds()) < 5
