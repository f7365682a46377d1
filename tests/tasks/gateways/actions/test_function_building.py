"""The zip of a function's own code is built once, found by where it was put, and never taken for another one."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from typing import Any

import pytest

from deployments.sandbox.faults import FaultKind
from runbooks.errors import AnswerLost, Refused
from runbooks.function_package import PackageProject
from tasks.gateways.actions import Look
from tasks.gateways.codebuild import CodeBuildGateway
from tests.tasks.gateways.aws_world import ACCOUNT, REGION, AwsWorld, operation, statuses
from tests.tasks.gateways.function_world import (
    NAME,
    PROJECT,
    ZIP,
    a_package_build,
    carry_out,
    furnish_own_code,
    latest,
)


def looked(aws: AwsWorld, step: Any) -> Look:
    (look,) = aws.look(step)
    return look


def test_the_zip_goes_where_this_plan_says_and_is_told_by_its_version_and_its_hash(aws: AwsWorld):
    built = furnish_own_code(aws)
    step = a_package_build(aws, built)
    assert carry_out(aws, step) == "as-left"
    stored = aws.client("s3").get_object(Bucket=built["artifacts"], Key=ZIP)
    code = b64encode(hashlib.sha256(stored["Body"].read()).digest()).decode()
    (build,) = aws.sandbox.cloud.world(ACCOUNT, REGION).builds
    assert looked(aws, step).result == {
        "build": build,
        "bucket": built["artifacts"],
        "key": ZIP,
        "version": stored["VersionId"],
        "code_sha256": code,
    }
    (started,) = aws.parameters("StartBuild")
    assert started["artifactsOverride"] == {
        "type": "S3",
        "location": built["artifacts"],
        "namespaceType": "NONE",
        "name": "order-export-remediated-0.zip",
        "path": "packages",
        "packaging": "ZIP",
        "overrideArtifactName": False,
    }
    assert code != latest(aws)["CodeSha256"]


def test_a_bucket_that_keeps_no_versions_tells_none(aws: AwsWorld):
    step = a_package_build(aws, furnish_own_code(aws, versioned=False))
    assert carry_out(aws, step) == "as-left"
    assert looked(aws, step).result["version"] is None


def test_what_lies_there_already_is_not_taken_for_the_builds(aws: AwsWorld):
    built = furnish_own_code(aws)
    step = a_package_build(aws, built)
    aws.client("s3").put_object(Bucket=built["artifacts"], Key=ZIP, Body=b"somebody else's")
    look = looked(aws, step)
    assert (look.status, look.detail) == ("drifted", f"there is something at {step.address} already")
    with pytest.raises(Refused):
        aws.act(step)
    assert aws.parameters("StartBuild") == []


def test_a_build_whose_answer_was_lost_is_found_again_and_not_started_again(aws: AwsWorld):
    step = a_package_build(aws, furnish_own_code(aws))
    aws.look(step)
    aws.fault("codebuild:StartBuild", FaultKind.TIMEOUT_AFTER_EFFECT)
    with pytest.raises(AnswerLost):
        aws.act(step)
    aws.forget_everything()
    assert statuses(aws.look(step)) == ["in-progress"]
    assert carry_out(aws, step) == "as-left"
    (build,) = aws.sandbox.cloud.world(ACCOUNT, REGION).builds.values()
    assert build.environment["REMEDIATION_OPERATION"] == operation(step)


def test_a_build_that_makes_what_the_function_has_mends_nothing(aws: AwsWorld):
    step = a_package_build(aws, furnish_own_code(aws, build="keeps_packages"))
    assert carry_out(aws, step) == "failed"
    assert looked(aws, step).detail.endswith(f"has made the very code that {NAME} has: nothing was mended")


def test_a_build_that_fails_is_told_with_its_reason(aws: AwsWorld):
    step = a_package_build(aws, furnish_own_code(aws, build="fails"))
    assert carry_out(aws, step) == "failed"
    assert "ended as FAILED" in looked(aws, step).detail


def test_a_zip_that_was_taken_away_is_no_zip(aws: AwsWorld):
    built = furnish_own_code(aws)
    step = a_package_build(aws, built)
    carry_out(aws, step)
    aws.client("s3").delete_object(Bucket=built["artifacts"], Key=ZIP)
    look = looked(aws, step)
    assert (look.status, look.detail.endswith(f"nothing is at {step.address}")) == ("failed", True)


def test_where_nobody_may_look_nothing_is_built(aws: AwsWorld):
    step = a_package_build(aws, furnish_own_code(aws))
    gone = step.model_copy(update={"project": "nobodys"})
    assert looked(aws, gone).detail == "build project nobodys does not exist any more"


@pytest.mark.parametrize(
    ("options", "bucket", "path"),
    [({}, "lambda-builds-210987654321-eu-west-1", "packages"), ({"bucket": None}, None, "")],
)
def test_where_a_project_leaves_its_artifacts_is_read_of_it(
    aws: AwsWorld, options: dict[str, Any], bucket: str | None, path: str
):
    furnish_own_code(aws, **options)
    found = CodeBuildGateway(aws.sessions).package_projects(ACCOUNT, REGION, [PROJECT, "nobodys"])
    assert found == {PROJECT: PackageProject(name=PROJECT, bucket=bucket, path=path)}
