"""Builds of a function's own code, and the zip on its way: from S3 into the function, and out of it again."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from typing import Any
from urllib.request import urlopen

import pytest
from botocore.exceptions import ClientError

from deployments.sandbox.function_packages import packages_in
from deployments.sandbox.furnish_function import furnish_function
from deployments.sandbox.furnish_function_options import FunctionOptions
from tests.deployments.sandbox.conftest import ACCOUNT, REGION

NAME, PROJECT = "order-export", "order-export-build"


@pytest.fixture
def orders(sandbox: Any) -> Any:
    def build(**options: Any) -> dict[str, Any]:
        own_code = {"account": ACCOUNT, "region": REGION, "in_layer": False, "project": PROJECT}
        return furnish_function(sandbox.cloud, FunctionOptions.model_validate(own_code | options))

    return build


def built(sandbox: Any, aws: Any, packages: str = "pyyaml=5.4", **override: Any) -> dict[str, Any]:
    """A build of the project, at its end."""
    told = [{"name": "PACKAGES", "value": packages}]
    given = {"artifactsOverride": override} if override else {}
    started = aws("codebuild").start_build(projectName=PROJECT, environmentVariablesOverride=told, **given)
    sandbox.advance(10)
    (build,) = aws("codebuild").batch_get_builds(ids=[started["build"]["id"]])["builds"]
    return build


def versions_of(content: bytes) -> dict[str, str]:
    return {package.name: package.version for package in packages_in(content)}


def test_a_build_leaves_its_zip_where_the_project_says_and_shows_its_hash(sandbox, aws, orders):
    world = orders()
    build = built(sandbox, aws)
    assert build["buildStatus"] == "SUCCEEDED"
    content = aws("s3").get_object(Bucket=world["artifacts"], Key=f"packages/{PROJECT}")["Body"].read()
    assert versions_of(content) == {"pyyaml": "5.4"}
    assert build["artifacts"] == {
        "location": f"arn:aws:s3:::{world['artifacts']}/packages/{PROJECT}",
        "sha256sum": hashlib.sha256(content).hexdigest(),
    }


def test_what_one_build_was_told_takes_the_place_of_all_that_the_project_says(sandbox, aws, orders):
    world = orders()
    place = {"type": "S3", "location": world["artifacts"], "path": "/a/b/", "name": "c.zip"}
    build = built(sandbox, aws, **place)
    assert build["artifacts"] == {"location": f"arn:aws:s3:::{world['artifacts']}/a/b/c.zip"}
    by_id = built(sandbox, aws, **place, namespaceType="BUILD_ID", packaging="ZIP")
    assert by_id["artifacts"]["location"].endswith(f"/a/b/{by_id['id'].partition(':')[2]}/c.zip")


@pytest.mark.parametrize(
    ("packages", "version"), [("", "5.3.1"), ("requests=2.32.0", "5.3.1"), ("pyyaml", "5.4"), ("pyyaml=6.0.1", "6.0.1")]
)
def test_a_build_brings_up_to_date_what_it_is_told_to(sandbox, aws, orders, packages, version):
    world = orders()
    built(sandbox, aws, packages)
    content = aws("s3").get_object(Bucket=world["artifacts"], Key=f"packages/{PROJECT}")["Body"].read()
    assert versions_of(content) == {"pyyaml": version}


def test_a_build_whose_bucket_is_not_there_fails_at_its_end(sandbox, aws, orders):
    orders()
    build = built(sandbox, aws, type="S3", location="nobodys-bucket", name="c.zip", packaging="ZIP")
    assert build["buildStatus"] == "FAILED"
    (phase,) = [each for each in build["phases"] if each.get("phaseStatus") == "FAILED"]
    assert (phase["phaseType"], phase["contexts"][0]["statusCode"]) == ("UPLOAD_ARTIFACTS", "CLIENT_ERROR")


def test_a_function_gets_the_version_that_is_named_and_its_finding_closes_after_the_scan(sandbox, aws, orders):
    world = orders()
    built(sandbox, aws)
    client, where = aws("s3"), {"Bucket": world["artifacts"], "Key": f"packages/{PROJECT}"}
    version = client.head_object(**where)["VersionId"]
    client.put_object(**where, Body=b"something else")
    answer = aws("lambda").update_function_code(
        FunctionName=NAME, S3Bucket=where["Bucket"], S3Key=where["Key"], S3ObjectVersion=version
    )
    content = client.get_object(**where, VersionId=version)["Body"].read()
    assert answer["CodeSha256"] == b64encode(hashlib.sha256(content).digest()).decode()
    sandbox.advance(10)
    (finding,) = aws("inspector2").list_findings()["findings"]
    assert finding["status"] == "CLOSED"


def test_what_is_not_in_s3_no_function_gets(sandbox, aws, orders):
    world = orders()
    client = aws("lambda")
    before = client.get_function_configuration(FunctionName=NAME)["CodeSha256"]
    aws("s3", region="us-east-1").create_bucket(Bucket="elsewhere")
    aws("s3", region="us-east-1").put_object(Bucket="elsewhere", Key="code.zip", Body=b"")
    for place, words in (
        ({"S3Bucket": "nobodys-bucket", "S3Key": "code.zip"}, "NoSuchBucket"),
        ({"S3Bucket": world["artifacts"], "S3Key": "code.zip"}, "NoSuchKey"),
        ({"S3Bucket": "elsewhere", "S3Key": "code.zip"}, "PermanentRedirect"),
    ):
        with pytest.raises(ClientError, match=rf"InvalidParameterValueException.*{words}"):
            client.update_function_code(FunctionName=NAME, **place)
    assert client.get_function_configuration(FunctionName=NAME)["CodeSha256"] == before


def test_the_code_of_every_version_is_handed_out_by_an_address_that_needs_nothing_else(sandbox, aws, orders):
    world = orders()
    built(sandbox, aws)
    client = aws("lambda")
    client.update_function_code(FunctionName=NAME, S3Bucket=world["artifacts"], S3Key=f"packages/{PROJECT}")
    sandbox.advance(5)
    for qualifier, version in (("$LATEST", "5.4"), ("1", "5.3.1")):
        shown = client.get_function(FunctionName=NAME, Qualifier=qualifier)
        with urlopen(shown["Code"]["Location"]) as answer:
            content = answer.read()
        assert versions_of(content) == {"pyyaml": version}
        code = b64encode(hashlib.sha256(content).digest()).decode()
        assert (code, len(content)) == (shown["Configuration"]["CodeSha256"], shown["Configuration"]["CodeSize"])
