"""Which functions run an image: by an alias, by whoever is seen to call a version, or not at all."""

from __future__ import annotations

from typing import Any

import pytest

from runbooks.container_image import ImageFunction
from runbooks.steps.base import Role
from tests.tasks.gateways.aws_world import ACCOUNT, REGION, AwsWorld
from tests.tasks.gateways.running_images import a_function, an_image, arn_of, push, users


def test_functions_are_told_by_the_aliases_that_serve_them(aws: AwsWorld):
    built = an_image(aws)
    client = a_function(aws, built["image"])
    client.update_function_configuration(FunctionName="exporter", MemorySize=512)
    aws.sandbox.advance(60)
    client.publish_version(FunctionName="exporter")
    aws.sandbox.advance(60)
    client.create_alias(FunctionName="exporter", Name="live", FunctionVersion="1")
    weights = {"AdditionalVersionWeights": {"1": 0.9}}
    client.create_alias(FunctionName="exporter", Name="next", FunctionVersion="2", RoutingConfig=weights)
    (use,) = users(aws, built["image_arn"])
    assert [(one.alias, one.version) for one in use.functions] == [
        (None, "$LATEST"),
        ("live", "1"),
        ("next", "1"),
        ("next", "2"),
    ]
    assert use.functions[1] == ImageFunction(
        account=ACCOUNT,
        region=REGION,
        name="exporter",
        arn=f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:exporter:1",
        alias="live",
        version="1",
    )
    assert use.running


def test_a_version_that_nobody_is_seen_to_call_is_dormant_and_runs_nothing(aws: AwsWorld):
    built = an_image(aws)
    patched = push(aws, built, "1.4.3")
    a_function(aws, built["image"])
    a_function(aws, f"{built['repository_uri']}@{patched}", "importer")
    client = aws.client("lambda", Role.PATCH)
    client.update_function_code(FunctionName="exporter", ImageUri=f"{built['repository_uri']}@{patched}")
    aws.sandbox.advance(60)
    old, new = users(aws, built["image_arn"], arn_of(built, patched))
    assert (old.functions, old.running) == ((), False)
    assert [(one.name, one.version, one.dormant) for one in old.dormant] == [("exporter", "1", True)]
    assert [(one.name, one.version) for one in new.functions] == [("exporter", "$LATEST"), ("importer", "$LATEST")]
    assert [(one.name, one.version) for one in new.dormant] == [("importer", "1")]


def by_an_event_source(aws: AwsWorld, client: Any) -> None:
    queue = aws.client("sqs", Role.PATCH).create_queue(QueueName="orders")["QueueUrl"].rpartition("/")[2]
    client.create_event_source_mapping(
        FunctionName=f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:exporter:1",
        EventSourceArn=f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}",
    )


def by_a_permission_of_its_own(aws: AwsWorld, client: Any) -> None:
    client.add_permission(
        FunctionName="exporter",
        Qualifier="1",
        StatementId="events",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
    )


def by_provisioned_concurrency(aws: AwsWorld, client: Any) -> None:
    client.put_provisioned_concurrency_config(FunctionName="exporter", Qualifier="1", ProvisionedConcurrentExecutions=2)


@pytest.mark.parametrize("called", [by_an_event_source, by_a_permission_of_its_own, by_provisioned_concurrency])
def test_a_version_that_somebody_is_seen_to_call_by_its_number_runs_the_image(aws: AwsWorld, called: Any):
    built = an_image(aws)
    client = a_function(aws, built["image"])
    called(aws, client)
    (use,) = users(aws, built["image_arn"])
    assert [(one.version, one.dormant) for one in use.functions] == [("$LATEST", False), ("1", False)]
    assert use.dormant == ()


def test_a_permission_of_the_function_is_none_of_its_versions(aws: AwsWorld):
    built = an_image(aws)
    client = a_function(aws, built["image"])
    client.add_permission(
        FunctionName="exporter", StatementId="s3", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com"
    )
    (use,) = users(aws, built["image_arn"])
    assert [one.version for one in use.dormant] == ["1"]


def test_functions_of_other_images_are_not_asked_about(aws: AwsWorld):
    built = an_image(aws)
    patched = push(aws, built, "1.4.3")
    a_function(aws, f"{built['repository_uri']}@{patched}")
    aws.sandbox.cloud.record.clear()
    users(aws, built["image_arn"])
    assert [call for call in aws.calls() if call.startswith("lambda:")] == [
        "lambda:ListFunctions",
        "lambda:GetFunction",
    ]
