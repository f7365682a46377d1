"""Versions and aliases of Lambda functions: when they can be invoked, what they serve, and whose policy is whose."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from deployments.sandbox.function_packages import zip_of
from tests.deployments.sandbox.conftest import ACCOUNT, REGION

NAME = "order-export"
CODE = zip_of({"app.py": "def handler(event, context):\n    return 'another answer'\n"})


def configuration(aws: Any, **qualified: Any) -> dict[str, Any]:
    return aws("lambda").get_function_configuration(FunctionName=NAME, **qualified)


def test_publishing_the_same_again_gives_the_existing_version(sandbox, aws, orders):
    orders()
    client = aws("lambda")
    assert client.publish_version(FunctionName=NAME)["Version"] == "1"
    client.update_function_code(FunctionName=NAME, ZipFile=CODE)
    sandbox.advance(4)
    second = client.publish_version(FunctionName=NAME)
    assert second["Version"] == "2"
    assert client.publish_version(FunctionName=NAME)["Version"] == "2"
    assert configuration(aws, Qualifier="1")["CodeSha256"] != second["CodeSha256"]
    with pytest.raises(ClientError, match="InvalidParameterValueException"):
        client.publish_version(FunctionName=NAME, CodeSha256="another")


def test_a_version_an_alias_and_the_function_have_each_a_policy_of_its_own(sandbox, aws, orders):
    orders()
    client, invoke = aws("lambda"), {"Action": "lambda:InvokeFunction", "Principal": "events.amazonaws.com"}
    client.add_permission(FunctionName=NAME, StatementId="function", **invoke)
    client.add_permission(FunctionName=NAME, StatementId="version", Qualifier="1", **invoke)

    def statements(**of: str) -> list[str]:
        return [one["Sid"] for one in json.loads(client.get_policy(FunctionName=NAME, **of)["Policy"])["Statement"]]

    assert ("function" in statements(), "version" in statements()) == (True, False)
    assert statements(Qualifier="1") == ["version"]
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        client.get_policy(FunctionName=NAME, Qualifier="live")


def test_what_is_kept_ready_is_told_by_version_and_alias(sandbox, aws, orders):
    orders()
    client = aws("lambda")
    assert client.list_provisioned_concurrency_configs(FunctionName=NAME)["ProvisionedConcurrencyConfigs"] == []
    client.put_provisioned_concurrency_config(FunctionName=NAME, Qualifier="1", ProvisionedConcurrentExecutions=2)
    (kept,) = client.list_provisioned_concurrency_configs(FunctionName=NAME)["ProvisionedConcurrencyConfigs"]
    assert kept["FunctionArn"].endswith(f":function:{NAME}:1")
    assert (kept["AllocatedProvisionedConcurrentExecutions"], kept["Status"]) == (2, "READY")


def test_a_version_is_pending_for_a_while_and_no_alias_takes_it_before_it_is_active(sandbox, aws, orders):
    orders()
    client = aws("lambda")
    client.update_function_code(FunctionName=NAME, ZipFile=CODE)
    sandbox.advance(4)
    assert client.publish_version(FunctionName=NAME)["State"] == "Pending"
    assert configuration(aws, Qualifier="2")["State"] == "Pending"
    listed = client.list_versions_by_function(FunctionName=NAME)["Versions"]
    assert not any(name.startswith(("State", "LastUpdateStatus")) for one in listed for name in one)
    canary = {"RoutingConfig": {"AdditionalVersionWeights": {"2": 0.1}}}
    for change in ({"FunctionVersion": "2"}, canary):
        with pytest.raises(ClientError, match=r"ResourceConflictException.*Pending"):
            client.update_alias(FunctionName=NAME, Name="live", **change)
    sandbox.advance(3)
    assert configuration(aws, Qualifier="2")["State"] == "Active"
    sandbox.cloud.world(ACCOUNT, REGION).functions[NAME].failed["2"] = "its initialization has failed"
    after = configuration(aws, Qualifier="2")
    assert (after["State"], after["StateReason"]) == ("Failed", "its initialization has failed")
    with pytest.raises(ClientError, match=r"ResourceConflictException.*Failed"):
        client.update_alias(FunctionName=NAME, Name="live", FunctionVersion="2")
    assert client.get_alias(FunctionName=NAME, Name="live")["FunctionVersion"] == "1"


def test_an_alias_that_is_kept_ready_serves_its_former_version_until_the_other_is(sandbox, aws, orders):
    orders()
    client = aws("lambda")
    client.put_provisioned_concurrency_config(FunctionName=NAME, Qualifier="live", ProvisionedConcurrentExecutions=2)
    client.update_function_code(FunctionName=NAME, ZipFile=CODE, Publish=True)
    sandbox.advance(10)
    client.update_alias(FunctionName=NAME, Name="live", FunctionVersion="2")
    moving = client.get_alias(FunctionName=NAME, Name="live")
    assert (moving["FunctionVersion"], moving["RoutingConfig"]) == ("2", {"AdditionalVersionWeights": {"1": 1.0}})
    sandbox.advance(10)
    moved = client.get_alias(FunctionName=NAME, Name="live")
    assert (moved["FunctionVersion"], "RoutingConfig" in moved) == ("2", False)
    assert moved["RevisionId"] != moving["RevisionId"]


def test_an_alias_shares_its_traffic_between_two_published_versions_only(sandbox, aws, orders):
    orders()
    client = aws("lambda")
    client.update_function_code(FunctionName=NAME, ZipFile=CODE, Publish=True)
    sandbox.advance(10)
    canary = {"AdditionalVersionWeights": {"2": 0.1}}
    assert client.update_alias(FunctionName=NAME, Name="live", RoutingConfig=canary)["RoutingConfig"] == canary
    refused = (
        {"FunctionVersion": "$LATEST"},
        {"RoutingConfig": {"AdditionalVersionWeights": {"$LATEST": 0.1}}},
        {"RoutingConfig": {"AdditionalVersionWeights": {"9": 0.1}}},
        {"FunctionVersion": "2"},
    )
    for change in refused:
        with pytest.raises(ClientError, match=r"InvalidParameterValueException|ResourceNotFoundException"):
            client.update_alias(FunctionName=NAME, Name="live", **change)
    kept = client.get_alias(FunctionName=NAME, Name="live")
    assert (kept["FunctionVersion"], kept["RoutingConfig"]) == ("1", canary)
    client.update_alias(FunctionName=NAME, Name="live", FunctionVersion="2", RoutingConfig={})
    (alias,) = client.list_aliases(FunctionName=NAME)["Aliases"]
    assert (alias["FunctionVersion"], "RoutingConfig" in alias) == ("2", False)


def test_a_version_that_is_ready_stays_so_while_time_goes_on(sandbox, aws, orders, monkeypatch):
    orders()
    monkeypatch.setattr(sandbox.cloud.clock, "_pace", 1.0)
    shown = [configuration(aws, Qualifier="1")["State"] for _ in range(5)]
    assert shown == ["Active"] * 5
