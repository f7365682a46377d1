"""A furnished image, and the steps that the playbook would take about it."""

from __future__ import annotations

from typing import Any

from deployments.sandbox import registry
from deployments.sandbox.furnish_image import ImageOptions, furnish_image
from deployments.sandbox.furnish_service import ServiceOptions, furnish_service
from runbooks.steps import (
    DeleteImage,
    PutLifecyclePolicy,
    RebuildImage,
    SetImageArchived,
    SetImageTag,
    SetRepositoryPolicy,
    SetStageTransition,
    SetTagMutability,
    Step,
    TestImage,
)
from tests.tasks.gateways.aws_world import ACCOUNT, CASE, REGION, AwsWorld, a_target

REPOSITORY = "shop/checkout"
NEW_TAG = "1.4.2-remediated-0123456789ab"
REASON = "shop-checkout has a critical vulnerability (remediation response-0042)"
DENIES = (
    '{\n  "Version": "2012-10-17",\n  "Statement": [\n    {"Sid": "Deny", "Effect": "Deny", "Principal": "*",'
    ' "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]}\n  ]\n}'
)
EXPIRES_ALL_BUT_ONE = (
    '{"rules":[{"rulePriority":1,"description":"keep the newest","selection":'
    '{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":1},"action":{"type":"expire"}}]}'
)


def furnish(aws: AwsWorld, **options: Any) -> dict[str, Any]:
    """The world around a vulnerable image that nobody runs."""
    chosen = ImageOptions.model_validate({"account": ACCOUNT, "region": REGION, "repository": REPOSITORY} | options)
    built = furnish_image(aws.sandbox.cloud, chosen)
    aws.sandbox.cloud.record.clear()
    return built


def run_it(aws: AwsWorld, image: str, tasks: int = 2) -> dict[str, Any]:
    """Have an ECS service that runs the image."""
    options = ServiceOptions(account=ACCOUNT, region=REGION, image=image, tasks=tasks, strategy="ROLLING")
    built = furnish_service(aws.sandbox.cloud, options)
    aws.sandbox.cloud.record.clear()
    return built


def a_dormant_version(aws: AwsWorld, image: str, name: str = "exporter") -> None:
    """A published version of a function that is made from the image, which nobody calls; $LATEST has another one."""
    client = aws.client("lambda")
    trust = '{"Version": "2012-10-17", "Statement": []}'
    role = aws.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    client.create_function(FunctionName=name, Role=role, PackageType="Image", Code={"ImageUri": image})
    aws.sandbox.advance(60)
    client.publish_version(FunctionName=name)
    client.update_function_code(FunctionName=name, ImageUri="public.example/other:1")
    aws.sandbox.advance(60)
    aws.sandbox.cloud.record.clear()


def images(aws: AwsWorld, repository: str = REPOSITORY) -> dict[str, tuple[str, list[str]]]:
    """Digest -> status and tags, of everything in the repository."""
    with aws.sandbox.cloud.lock:
        aws.sandbox.cloud.clock.catch_up()
        world = aws.sandbox.cloud.world(ACCOUNT, REGION)
        return {one.digest: (one.status, sorted(one.tags)) for one in registry.images_of(world, repository)}


def another_image(aws: AwsWorld, tag: str, packages: str = "all") -> str:
    """Another image in the repository, as a build of somebody else makes it; its digest."""
    client = aws.client("codebuild")
    variables = [{"name": "IMAGE_TAG", "value": tag}, {"name": "PACKAGES", "value": packages}]
    client.start_build(projectName="checkout-image", environmentVariablesOverride=variables)
    aws.sandbox.advance(60)
    found = next(digest for digest, (_, tags) in images(aws).items() if tag in tags)
    aws.sandbox.cloud.record.clear()
    return found


def a_closing(**values: Any) -> SetStageTransition:
    given: dict[str, Any] = {
        "target": a_target("checkout/Production", "pipeline-stage"),
        "cases": (CASE,),
        "pipeline": "checkout",
        "stage": "Production",
        "enabled": False,
        "reason": REASON,
    }
    return SetStageTransition.model_validate(given | values)


def a_denial(expects: str | None = None, leaves: str | None = DENIES, **values: Any) -> SetRepositoryPolicy:
    return SetRepositoryPolicy.model_validate(of_repository(expects=expects, leaves=leaves) | values)


def a_rebuild(**values: Any) -> RebuildImage:
    given: dict[str, Any] = {
        "target": a_target(f"{REPOSITORY}:{NEW_TAG}", "image"),
        "cases": (CASE,),
        "project": "checkout-image",
        "repository": REPOSITORY,
        "tag": NEW_TAG,
        "variables": {"IMAGE_TAG": NEW_TAG, "PACKAGES": "all"},
    }
    if "repository_uri" in RebuildImage.model_fields:
        given["repository_uri"] = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{REPOSITORY}"
    return RebuildImage.model_validate(given | values)


def a_test(image: str, **values: Any) -> TestImage:
    given: dict[str, Any] = {
        "target": a_target(f"checkout-test/{image}", "image"),
        "cases": (CASE,),
        "project": "checkout-test",
        "image": image,
        "variables": {"IMAGE_URI": image},
    }
    return TestImage.model_validate(given | values)


def a_tag_removal(digest: str, tag: str = "production", **values: Any) -> SetImageTag:
    return SetImageTag.model_validate(of_image(tag, digest=digest, tag=tag) | values)


def an_archiving(digest: str, **values: Any) -> SetImageArchived:
    return SetImageArchived.model_validate(of_image(digest, digest=digest) | values)


def a_deletion(digest: str, **values: Any) -> DeleteImage:
    return DeleteImage.model_validate(of_image(digest, digest=digest) | values)


def a_lifecycle(expects: str | None = None, leaves: str | None = EXPIRES_ALL_BUT_ONE) -> PutLifecyclePolicy:
    return PutLifecyclePolicy.model_validate(of_repository(expects=expects, leaves=leaves))


def a_mutability(expects: str = "MUTABLE", leaves: str = "IMMUTABLE") -> SetTagMutability:
    return SetTagMutability.model_validate(of_repository(expects=expects, leaves=leaves))


def of_repository(**values: Any) -> dict[str, Any]:
    target = a_target(REPOSITORY, "repository")
    return {"target": target, "cases": (CASE,), "repository": REPOSITORY} | values


def of_image(name: str, **values: Any) -> dict[str, Any]:
    separator = "@" if name.startswith("sha256:") else ":"
    target = a_target(f"{REPOSITORY}{separator}{name}", "image")
    return {"target": target, "cases": (CASE,), "repository": REPOSITORY} | values


def undo_of(step: Step) -> Step:
    undo = step.undo
    assert undo is not None
    return undo
