"""A furnished Lambda function, and the steps that the playbook would take about it."""

from __future__ import annotations

import json
from typing import Any

from deployments.sandbox.furnish_function import furnish_function
from deployments.sandbox.furnish_function_options import FunctionOptions
from deployments.sandbox.furnish_image import ImageOptions, furnish_image
from runbooks.function import FunctionContent
from runbooks.function_package import FunctionPackage
from runbooks.steps import (
    PublishVersion,
    RebuildPackage,
    SetFunctionUrlAuth,
    SetReservedConcurrency,
    ShiftAlias,
    UpdateFunctionCode,
    UpdateFunctionConfiguration,
    UpdateFunctionImage,
)
from tasks.gateways.functions import content_of
from tests.tasks.gateways.aws_world import ACCOUNT, CASE, REGION, AwsWorld, a_target

NAME, ALARM = "order-export", "order-export-errors"
WORDS = "what customers call"
IMAGE_FUNCTION = "checkout-worker"
PROJECT = "order-export-build"
ZIP = "packages/order-export-remediated-0.zip"


def furnish(aws: AwsWorld, **options: Any) -> dict[str, Any]:
    """The world around a vulnerable function."""
    chosen = FunctionOptions.model_validate({"account": ACCOUNT, "region": REGION} | options)
    built = furnish_function(aws.sandbox.cloud, chosen)
    aws.sandbox.cloud.record.clear()
    return built


def furnish_own_code(aws: AwsWorld, **options: Any) -> dict[str, Any]:
    """The world around a function whose own code has the vulnerable package, with the project that builds it."""
    return furnish(aws, in_layer=False, project=PROJECT, **options)


def furnish_image_function(aws: AwsWorld, **options: Any) -> dict[str, Any]:
    """A function whose code is a vulnerable image, and the image's world; it serves no alias."""
    chosen = ImageOptions.model_validate({"account": ACCOUNT, "region": REGION} | options)
    built = furnish_image(aws.sandbox.cloud, chosen)
    with aws.sandbox.cloud.lock:
        role = "arn:aws:iam::210987654321:role/service-role/order-export-role"
    furnish(aws)
    aws.client("lambda").create_function(
        FunctionName=IMAGE_FUNCTION, PackageType="Image", Code={"ImageUri": built["image"]}, Role=role
    )
    aws.sandbox.advance(20)
    aws.sandbox.cloud.record.clear()
    return built


def another_image(aws: AwsWorld, built: dict[str, Any], tag: str = "1.4.3") -> str:
    """Another image in the same repository, as a reference by digest."""
    client, where = aws.client("ecr"), {"repositoryName": built["repository"]}
    (old,) = client.batch_get_image(**where, imageIds=[{"imageDigest": built["digest"]}])["images"]
    manifest = json.loads(old["imageManifest"]) | {"annotations": {"org.opencontainers.image.version": tag}}
    answer = client.put_image(**where, imageManifest=json.dumps(manifest), imageTag=tag)
    aws.sandbox.cloud.record.clear()
    return f"{built['repository_uri']}@{answer['image']['imageId']['imageDigest']}"


def latest(aws: AwsWorld, name: str = NAME) -> dict[str, Any]:
    return aws.client("lambda").get_function_configuration(FunctionName=name)


def alias(aws: AwsWorld, name: str = "live") -> tuple[str, dict[str, float], str]:
    """What it serves, how it divides the calls, and what its description says."""
    raw = aws.client("lambda").get_alias(FunctionName=NAME, Name=name)
    return raw["FunctionVersion"], raw.get("RoutingConfig", {}).get("AdditionalVersionWeights", {}), raw["Description"]


def state(aws: AwsWorld) -> dict[str, Any]:
    """All of every function that a step may change."""
    client = aws.client("lambda")
    names = [raw["FunctionName"] for raw in client.list_functions()["Functions"]]
    return {
        name: {
            "content": content_of(latest(aws, name)),
            "image": client.get_function(FunctionName=name)["Code"].get("ResolvedImageUri"),
            "aliases": {
                raw["Name"]: (raw["FunctionVersion"], raw.get("RoutingConfig"), raw["Description"])
                for raw in client.list_aliases(FunctionName=name)["Aliases"]
            },
            "urls": [
                raw["AuthType"] for raw in client.list_function_url_configs(FunctionName=name)["FunctionUrlConfigs"]
            ],
            "reserved": client.get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions"),
        }
        for name in names
    }


def urls(client: Any, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.list_function_url_configs(FunctionName=name)["FunctionUrlConfigs"]
    return found


def set_alarm(aws: AwsWorld, state: str, name: str = ALARM) -> None:
    aws.client("cloudwatch").set_alarm_state(AlarmName=name, StateValue=state, StateReason="errors")


def after(aws: AwsWorld, built: dict[str, Any]) -> FunctionContent:
    """What $LATEST is once it has the patched layer."""
    content = content_of(latest(aws))
    return content.model_copy(update={"layers": (built["patched_layer_version_arn"],)})


def an_update(aws: AwsWorld, built: dict[str, Any], **values: Any) -> UpdateFunctionConfiguration:
    raw = latest(aws)
    given: dict[str, Any] = {
        "expects": content_of(raw),
        "leaves": after(aws, built),
        "last_modified": raw["LastModified"],
    }
    leaves = after(aws, built)
    aws.sandbox.cloud.record.clear()
    return UpdateFunctionConfiguration.model_validate(_of_function() | {"leaves": leaves} | given | values)


def a_publication(aws: AwsWorld, built: dict[str, Any]) -> PublishVersion:
    made = PublishVersion(**_of_function(), content=after(aws, built))
    aws.sandbox.cloud.record.clear()
    return made


def a_shift(**values: Any) -> ShiftAlias:
    given: dict[str, Any] = {
        "target": a_target(f"{NAME}:live", "function-alias"),
        "alias": "live",
        "expects": "1",
        "leaves": "@operation",
        "description": WORDS,
        "percent": 10,
        "bake_minutes": 10,
        "alarms": (ALARM,),
    }
    return ShiftAlias.model_validate(_of_function() | given | values)


def an_auth(**values: Any) -> SetFunctionUrlAuth:
    given: dict[str, Any] = {
        "target": a_target(NAME, "function-url"),
        "qualifier": None,
        "expects": "NONE",
        "leaves": "AWS_IAM",
    }
    return SetFunctionUrlAuth.model_validate(_of_function() | given | values)


def a_stop(**values: Any) -> SetReservedConcurrency:
    return SetReservedConcurrency.model_validate(_of_function() | {"expects": None, "leaves": 0} | values)


def an_image_update(aws: AwsWorld, built: dict[str, Any], image: str) -> UpdateFunctionImage:
    raw = latest(aws, IMAGE_FUNCTION)
    aws.sandbox.cloud.record.clear()
    return UpdateFunctionImage(
        target=a_target(IMAGE_FUNCTION, "function"),
        cases=(CASE,),
        function=IMAGE_FUNCTION,
        expects=f"{built['repository_uri']}@{built['digest']}",
        leaves=image,
        last_modified=raw["LastModified"],
    )


def a_package_build(aws: AwsWorld, built: dict[str, Any], **values: Any) -> RebuildPackage:
    bucket = built["artifacts"]
    made = RebuildPackage.model_validate(
        {
            "target": a_target(f"{bucket}/{ZIP}", "object"),
            "cases": (CASE,),
            "project": PROJECT,
            "function": NAME,
            "bucket": bucket,
            "object_key": ZIP,
            "replaces": latest(aws)["CodeSha256"],
            "variables": {"PACKAGES": "pyyaml=5.4"},
        }
        | values
    )
    aws.sandbox.cloud.record.clear()
    return made


def a_package(aws: AwsWorld, built: dict[str, Any]) -> FunctionPackage:
    """What the build has made."""
    step = a_package_build(aws, built)
    assert carry_out(aws, step) == "as-left"
    (look,) = aws.look(step)
    aws.sandbox.cloud.record.clear()
    return FunctionPackage.model_validate(look.result)


def a_code_update(aws: AwsWorld, package: FunctionPackage) -> UpdateFunctionCode:
    raw = latest(aws)
    aws.sandbox.cloud.record.clear()
    return UpdateFunctionCode(
        **_of_function(),
        package=package,
        expects=content_of(raw),
        leaves=content_of(raw).model_copy(update={"code_sha256": package.code_sha256}),
        last_modified=raw["LastModified"],
    )


def updated_and_published(aws: AwsWorld, built: dict[str, Any]) -> None:
    """The plan's first two steps, done."""
    update, publication = an_update(aws, built), a_publication(aws, built)
    carry_out(aws, update)
    carry_out(aws, publication)
    aws.sandbox.cloud.record.clear()
    aws.guarded.clear()


def carry_out(aws: AwsWorld, step: Any) -> str:
    """Look and act until there is nothing more to do; gives what the last look says."""
    for _ in range(40):
        (look,) = aws.look(step)
        if look.status in ("as-left", "failed", "drifted"):
            return look.status
        if look.status in ("as-expected", "half-done"):
            aws.act(step)
        aws.sandbox.advance(20)
    raise AssertionError(f"{step.key} does not end")


def _of_function() -> dict[str, Any]:
    return {"target": a_target(NAME, "function"), "cases": (CASE,), "function": NAME}
