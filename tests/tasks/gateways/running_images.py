"""A container image and those who run it, as the gateways find them in the sandbox."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from deployments.sandbox.container_images import RunningImage
from deployments.sandbox.furnish_image import ImageOptions, furnish_image
from deployments.sandbox.furnish_service import ServiceOptions, furnish_service
from runbooks.steps import DeployByCodeDeploy, DeployService, RegisterTaskDefinition
from runbooks.steps.base import Role
from tasks.gateways.image_use import ImageUse, who_runs
from tests.tasks.gateways.aws_world import ACCOUNT, CASE, REGION, AwsWorld, a_target

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
ELSEWHERE = "345678901234"
LONG_ENOUGH = 1200
EVENTS_ROLE = f"arn:aws:iam::{ACCOUNT}:role/events"


def an_image(aws: AwsWorld, **options: Any) -> dict[str, Any]:
    """A repository with a vulnerable image, all that surrounds it, and no one who runs it."""
    built = furnish_image(aws.sandbox.cloud, ImageOptions(account=ACCOUNT, region=REGION, **options))
    aws.sandbox.cloud.record.clear()
    return built


def a_service(aws: AwsWorld, image: str, **options: Any) -> dict[str, Any]:
    """A service that has run the image for two days, with an alarm."""
    chosen = {"account": ACCOUNT, "region": REGION, "image": image} | options
    built = furnish_service(aws.sandbox.cloud, ServiceOptions.model_validate(chosen))
    aws.sandbox.cloud.record.clear()
    return built


def a_shop(aws: AwsWorld, **options: Any) -> tuple[dict[str, Any], str]:
    """A service that runs a vulnerable image, and the patched image."""
    built = an_image(aws)
    shop = a_service(aws, built["image"], **options)
    return shop, f"{built['repository_uri']}@{push(aws, built, '1.4.3')}"


def push(aws: AwsWorld, built: dict[str, Any], tag: str) -> str:
    """Another image of the same content, by its digest."""
    client, where = aws.client("ecr", Role.PATCH), {"repositoryName": built["repository"]}
    (old,) = client.batch_get_image(**where, imageIds=[{"imageDigest": built["digest"]}])["images"]
    manifest = json.loads(old["imageManifest"])
    manifest["annotations"] = {**manifest.get("annotations", {}), "org.opencontainers.image.version": tag}
    answer = client.put_image(
        **where, imageManifest=json.dumps(manifest), imageTag=tag, imageManifestMediaType=MANIFEST
    )
    return answer["image"]["imageId"]["imageDigest"]


def build(aws: AwsWorld, built: dict[str, Any], tag: str, base: str | None = None) -> str:
    """An image built on the newer base, or on another one, by its digest; it is not scanned yet."""
    wanted = {"BASE_IMAGE": base or built["base_image"], "IMAGE_TAG": tag, "PACKAGES": "all"}
    override = [{"name": name, "value": value, "type": "PLAINTEXT"} for name, value in wanted.items()]
    client = aws.client("codebuild", Role.PATCH)
    client.start_build(projectName=built["project"], environmentVariablesOverride=override)
    aws.sandbox.advance(aws.sandbox.cloud.settings.build)
    answer = aws.client("ecr").describe_images(repositoryName=built["repository"], imageIds=[{"imageTag": tag}])
    return answer["imageDetails"][0]["imageDigest"]


def push_index(aws: AwsWorld, built: dict[str, Any], tag: str, *digests: str, **platforms: dict[str, str]) -> str:
    """An index that lists images of the repository, by its own digest.

    Args:
        platforms: of more images, by their digests.
    """
    listed: list[dict[str, Any]] = [{"mediaType": MANIFEST, "digest": digest, "size": 1} for digest in digests]
    listed += [
        {"mediaType": MANIFEST, "digest": digest, "size": 1, "platform": platform}
        for digest, platform in platforms.items()
    ]
    manifest = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed})
    answer = aws.client("ecr", Role.PATCH).put_image(
        repositoryName=built["repository"], imageManifest=manifest, imageTag=tag, imageManifestMediaType=INDEX
    )
    return answer["image"]["imageId"]["imageDigest"]


def let_pull(aws: AwsWorld, built: dict[str, Any], principal: str, **more: Any) -> None:
    """The repository lets this principal pull, in its own account or in another."""
    statement = {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": ["ecr:BatchGetImage"]} | more
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    aws.client("ecr", Role.CONTAIN).set_repository_policy(repositoryName=built["repository"], policyText=policy)
    aws.sandbox.cloud.record.clear()


def a_cluster_elsewhere(aws: AwsWorld, digest: str, arn: str, running: int = 2) -> None:
    """Inspector has seen the image run in a cluster of which nothing else is known here."""
    kind = "EKS" if ":eks:" in arn else "ECS"
    use = RunningImage(arn, kind, running, datetime(2026, 11, 21, 12, tzinfo=UTC), group="shop", workload="checkout")
    with aws.sandbox.cloud.lock:
        aws.sandbox.cloud.world(ACCOUNT, REGION).running_images.setdefault(digest, []).append(use)


def a_definition(aws: AwsWorld, image: str, family: str = "report") -> str:
    """A task definition that no service has; its ARN."""
    container = {"name": "report", "image": image, "memory": 512}
    made = aws.client("ecs", Role.PATCH).register_task_definition(family=family, containerDefinitions=[container])
    return made["taskDefinition"]["taskDefinitionArn"]


def another_revision(aws: AwsWorld) -> str:
    """Somebody else's of the service's task definition; its ARN."""
    return a_definition(aws, "public.example/else:1", "checkout")


def a_rule(aws: AwsWorld, name: str, cluster: str, definition: str, bus: str = "default", **target: Any) -> None:
    """A rule of EventBridge that has ECS run a task."""
    client = aws.client("events", Role.PATCH)
    client.put_rule(Name=name, EventBusName=bus, EventPattern='{"source": ["shop"]}')
    task = {"TaskDefinitionArn": definition, "TaskCount": 1}
    target = {"Id": "task", "Arn": cluster, "RoleArn": EVENTS_ROLE, "EcsParameters": task} | target
    client.put_targets(Rule=name, EventBusName=bus, Targets=[target])


def a_schedule(aws: AwsWorld, name: str, cluster: str, definition: str) -> None:
    """A schedule of EventBridge that has ECS run a task."""
    a_schedule_of(aws, name, {"Arn": cluster, "EcsParameters": {"TaskDefinitionArn": definition}})


def a_schedule_of(aws: AwsWorld, name: str, target: dict[str, Any]) -> None:
    """A schedule of EventBridge with this target."""
    target = {"RoleArn": EVENTS_ROLE} | target
    aws.client("scheduler", Role.PATCH).create_schedule(
        Name=name, ScheduleExpression="rate(1 day)", FlexibleTimeWindow={"Mode": "OFF"}, Target=target
    )


def a_job(aws: AwsWorld, image: str, name: str = "report", account: str = ACCOUNT) -> str:
    """An active job definition of Batch; its ARN."""
    resources = [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "512"}]
    made = aws.sessions.client("batch", account, REGION, Role.PATCH).register_job_definition(
        jobDefinitionName=name,
        type="container",
        containerProperties={"image": image, "command": ["report"], "resourceRequirements": resources},
    )
    return made["jobDefinitionArn"]


def raise_alarm(aws: AwsWorld, name: str = "checkout-5xx", state: str = "ALARM") -> None:
    aws.client("cloudwatch", Role.PATCH).set_alarm_state(AlarmName=name, StateValue=state, StateReason="a person")


def a_revision(shop: dict[str, Any], image: str, **values: Any) -> RegisterTaskDefinition:
    given: dict[str, Any] = {
        "target": a_target(shop["task_definition_arn"], "task-definition"),
        "cases": (CASE,),
        "family": "checkout",
        "source": shop["task_definition_arn"],
        "containers": ("checkout",),
        "image": image,
    }
    return RegisterTaskDefinition.model_validate(given | values)


def shown(aws: AwsWorld, service: str = "checkout") -> dict[str, Any]:
    (raw,) = aws.client("ecs").describe_services(cluster="shop", services=[service])["services"]
    return raw


def configuration_of(aws: AwsWorld, service: str = "checkout") -> dict[str, Any]:
    return shown(aws, service)["deploymentConfiguration"]


def revisions_of(aws: AwsWorld, service: str = "checkout") -> list[str]:
    return [one["arn"] for one in shown(aws, service)["currentServiceRevisions"]]


def a_deployment(aws: AwsWorld, shop: dict[str, Any], **values: Any) -> DeployService:
    """As it is deployed now, with its alarm watched."""
    raw = shown(aws, shop["service"])
    configuration = raw["deploymentConfiguration"]
    given: dict[str, Any] = {
        "target": a_target(f"shop/{shop['service']}", "service"),
        "cases": (CASE,),
        "cluster": "shop",
        "service": shop["service"],
        "family": "checkout",
        "expects": shop["task_definition_arn"],
        "revisions": [one["arn"] for one in raw.get("currentServiceRevisions", [])],
        "leaves": "@operation",
        "strategy": configuration["strategy"],
        "configuration": configuration,
        "replaces": configuration,
    }
    return DeployService.model_validate(given | values)


def a_code_deployment(aws: AwsWorld, shop: dict[str, Any], **values: Any) -> DeployByCodeDeploy:
    """As its deployment group says, with its alarm watched."""
    task_sets = shown(aws, shop["service"]).get("taskSets", [])
    given: dict[str, Any] = {
        "target": a_target(f"shop/{shop['service']}", "service"),
        "cases": (CASE,),
        "cluster": "shop",
        "service": shop["service"],
        "family": shop["service"],
        "expects": shop["task_definition_arn"],
        "revisions": [one["id"] for one in task_sets if one["status"] == "PRIMARY"],
        "leaves": "@operation",
        "application": shop["application"],
        "group": shop["deployment_group"],
        "configuration": "CodeDeployDefault.ECSCanary10Percent5Minutes",
        "alarms": (shop["alarm"],),
        "properties": {"LoadBalancerInfo": {"ContainerName": shop["service"], "ContainerPort": 8080}},
    }
    return DeployByCodeDeploy.model_validate(given | values)


def running(aws: AwsWorld, service: str = "checkout") -> dict[str, int]:
    """Task definition -> the service's tasks that run it."""
    client = aws.client("ecs")
    arns = client.list_tasks(cluster="shop", serviceName=service)["taskArns"]
    found: dict[str, int] = {}
    for task in client.describe_tasks(cluster="shop", tasks=arns)["tasks"] if arns else []:
        name = task["taskDefinitionArn"].rpartition("/")[2]
        found[name] = found.get(name, 0) + 1
    return found


def users(aws: AwsWorld, *images: str) -> list[ImageUse]:
    found = who_runs(aws.sessions, ACCOUNT, REGION, images)
    assert list(found) == list(images)
    return [found[image] for image in images]


def arn_of(built: dict[str, Any], digest: str) -> str:
    return f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{built['repository']}/{digest}"


def a_function(aws: AwsWorld, image: str, name: str = "exporter") -> Any:
    client = aws.client("lambda", Role.PATCH)
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    aws.client("iam", Role.PATCH).create_role(RoleName=f"checkout-{name}", AssumeRolePolicyDocument=trust)
    client.create_function(
        FunctionName=name,
        Role=f"arn:aws:iam::{ACCOUNT}:role/checkout-{name}",
        PackageType="Image",
        Code={"ImageUri": image},
    )
    aws.sandbox.advance(60)
    client.publish_version(FunctionName=name)
    return client
