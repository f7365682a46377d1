"""What triage reads of a function: itself, who invokes it by what, its aliases, and newer versions of its layers."""

from __future__ import annotations

import json
from typing import Any

from deployments.iam_policies import READ_BY_GATEWAYS
from runbooks.case import CaseKey
from runbooks.catalog import Catalog
from runbooks.definition import Runbook
from runbooks.event import read_payload
from runbooks.function import EventSource, FunctionAlias, FunctionFacts, FunctionUrl, Invoker, ServedVersion
from runbooks.function_package import PackageProject
from runbooks.function_users import of_a_version, of_another_version
from tasks.function_facts import read_function_facts
from tasks.gateways.functions import FunctionGateway, content_of
from tests.tasks.gateways.aws_world import ACCOUNT, REGION, AwsWorld
from tests.tasks.gateways.conftest import aws, running_aws
from tests.tasks.gateways.function_world import (
    ALARM,
    IMAGE_FUNCTION,
    NAME,
    PROJECT,
    WORDS,
    furnish,
    furnish_image_function,
    furnish_own_code,
    latest,
)

__all__ = ["aws", "running_aws"]


def facts_of(world: AwsWorld, built: dict[str, Any]) -> FunctionFacts:
    runbook = Catalog.read().named("lambda-package-cve")
    (finding,) = read_payload(json.dumps(built["event"], default=str)).findings
    key = CaseKey.of(finding, runbook.name)
    today = world.sandbox.cloud.clock.now().date()
    facts = read_function_facts(world.sessions, {key.id: key}, {key.id: (finding,)}, runbook, today)[key.id]
    return facts.function_facts


def test_everything_triage_takes_is_read(aws: AwsWorld) -> None:
    built = furnish(aws, tags={"environment": "production"})
    facts = facts_of(aws, built)
    function, raw = facts.function, latest(aws)
    assert function is not None
    assert (function.name, function.arn, function.package_type) == (NAME, built["function_arn"], "Zip")
    assert function.content == content_of(raw)
    assert function.content.layers == (built["layer_version_arn"],)
    assert (function.last_modified, function.busy) == (raw["LastModified"], False)
    assert function.aliases == (
        FunctionAlias(
            name="live", description=WORDS, serves=(ServedVersion(version="1", content=function.content),), weights={}
        ),
    )
    assert function.urls == (FunctionUrl(qualifier=None, auth_type="NONE"),)
    assert function.event_sources == (EventSource(arn=built["event_sources"][0], enabled=True),)
    assert function.invokers == ()
    assert function.reserved_concurrency is None
    assert function.tags == {"environment": "production"}
    assert facts.newer_layers == {built["layer_version_arn"]: built["patched_layer_version_arn"]}
    assert (facts.alarms, facts.project, facts.package_project, facts.unread_layers) == ((ALARM,), None, None, ())
    assert (function.code_size, function.bound_by) == (raw["CodeSize"], None)


def test_what_an_alias_serves_differs_by_the_names_of_members_and_never_by_their_values(aws: AwsWorld) -> None:
    built = furnish(aws)
    secret = {"Variables": {"TOKEN": "s3cr3t"}}
    aws.client("lambda").update_function_configuration(FunctionName=NAME, Timeout=60, Environment=secret)
    aws.sandbox.advance(5)
    facts = facts_of(aws, built)
    assert facts.function is not None
    assert facts.function.aliases[0].serves[0].differs == ("Environment", "Timeout")
    assert "s3cr3t" not in facts.model_dump_json()


def test_whoever_may_invoke_it_is_told_and_by_which_alias(aws: AwsWorld) -> None:
    built = furnish(aws, public=None, queue=None)
    client = aws.client("lambda")
    client.add_permission(
        FunctionName=NAME,
        StatementId="api",
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
        SourceArn=f"arn:aws:execute-api:{REGION}:{ACCOUNT}:a1b2c3/*",
    )
    client.add_permission(FunctionName=NAME, StatementId="anyone", Action="lambda:InvokeFunction", Principal="*")
    function = facts_of(aws, built).function
    assert function is not None
    assert (function.urls, function.event_sources) == ((), ())
    unqualified = [each for each in function.invokers if each.qualifier is None]
    assert unqualified == [
        Invoker(principal="apigateway.amazonaws.com", conditional=True),
        Invoker(principal="*", conditional=False),
    ]
    assert [each.is_anyone for each in unqualified] == [False, True]


def test_whoever_may_invoke_a_version_by_its_number_is_told_and_the_versions_that_are_as_latest(aws: AwsWorld) -> None:
    built = furnish(aws, public=None, queue=None)
    client = aws.client("lambda")
    client.update_function_configuration(FunctionName=NAME, Layers=[built["patched_layer_version_arn"]])
    aws.sandbox.advance(5)
    client.publish_version(FunctionName=NAME)
    for number, principal in (("1", "events.amazonaws.com"), ("2", "s3.amazonaws.com")):
        client.add_permission(
            FunctionName=NAME,
            StatementId="by-number",
            Action="lambda:InvokeFunction",
            Principal=principal,
            Qualifier=number,
        )
    function = facts_of(aws, built).function
    assert function is not None
    assert function.invokers == (
        Invoker(principal="events.amazonaws.com", qualifier="1"),
        Invoker(principal="s3.amazonaws.com", qualifier="2"),
    )
    assert function.alike == ("2",)
    old = "events.amazonaws.com may invoke version 1 by its number"
    assert of_a_version(function) == (old, "s3.amazonaws.com may invoke version 2 by its number")
    assert of_another_version(function) == (old,)


def test_a_newer_layer_for_another_runtime_is_none(aws: AwsWorld) -> None:
    built = furnish(aws, patched_layer=False)
    aws.client("lambda").publish_layer_version(
        LayerName="order-export-dependencies",
        Content={"ZipFile": b"PK\x05\x06" + b"\0" * 18},
        CompatibleRuntimes=["nodejs22.x"],
    )
    assert facts_of(aws, built).newer_layers == {}


def test_the_project_that_builds_its_own_code_is_read_with_where_it_leaves_it(aws: AwsWorld) -> None:
    built = furnish_own_code(aws)
    facts = facts_of(aws, built)
    assert facts.package_project == PackageProject(name=PROJECT, bucket=built["artifacts"], path="packages")
    assert (facts.project, facts.base) == (None, None)
    assert set(aws.calls()) <= set(READ_BY_GATEWAYS)


def test_code_that_is_signed_or_encrypted_with_a_key_of_its_owners_is_told_apart(aws: AwsWorld) -> None:
    built = furnish(aws)
    with aws.sandbox.cloud.lock:
        signed = aws.sandbox.cloud.world(ACCOUNT, REGION).functions[NAME].latest
        signed.signing_profile_version_arn = f"arn:aws:signer:{REGION}:{ACCOUNT}:/signing-profiles/shop/1"
    function = facts_of(aws, built).function
    assert function is not None
    assert function.bound_by == "signature"


def test_a_function_that_is_gone_and_one_that_is_not_there_are_both_none(aws: AwsWorld) -> None:
    built = furnish(aws)
    aws.client("lambda").delete_function(FunctionName=NAME)
    assert facts_of(aws, built).function is None
    assert FunctionGateway(aws.sessions).functions(ACCOUNT, REGION, ["nothing"]) == {"nothing": None}
    assert FunctionGateway(aws.sessions).tags(ACCOUNT, REGION, built["function_arn"]) == {}


def test_of_a_function_that_runs_an_image_the_image_is_read_by_its_digest(aws: AwsWorld) -> None:
    built = furnish_image_function(aws)
    function = FunctionGateway(aws.sessions).functions(ACCOUNT, REGION, [IMAGE_FUNCTION])[IMAGE_FUNCTION]
    assert function is not None
    assert function.image == f"{built['repository_uri']}@{built['digest']}"
    assert (function.package_type, function.content.runtime, function.content.layers) == ("Image", None, ())
    assert function.content.code_sha256 == built["digest"].removeprefix("sha256:")


def test_of_an_image_that_says_what_it_was_built_from_the_newest_base_is_read(aws: AwsWorld) -> None:
    built = furnish_image_function(aws)
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{IMAGE_FUNCTION}:$LATEST"
    runbook = Catalog.read().named("lambda-package-cve")
    chosen = Runbook.model_validate(runbook.model_dump() | {"rebuild": {"project": "checkout-image"}})
    key = CaseKey(account=ACCOUNT, region=REGION, resource_type="AWS_LAMBDA_FUNCTION", resource_id=arn, runbook="r")
    today = aws.sandbox.cloud.clock.now().date()
    facts = read_function_facts(aws.sessions, {key.id: key}, {key.id: ()}, chosen, today)[key.id].function_facts
    assert facts.project == "checkout-image"
    assert facts.base is not None
    assert (facts.base.name, facts.base.digest, facts.base.newest) == (
        built["base_image"],
        built["base_digest"],
        built["newer_base_digest"],
    )
    assert set(aws.calls()) <= set(READ_BY_GATEWAYS)


def test_only_what_the_read_role_may_is_called(aws: AwsWorld) -> None:
    built = furnish(aws)
    facts_of(aws, built)
    assert set(aws.calls()) <= set(READ_BY_GATEWAYS)
    assert aws.calls(mutating=True) == []
