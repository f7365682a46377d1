"""Builds an ECS service that has been running an image for a while, with the alarm that watches over it."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any, Literal

from moto.cloudwatch.models import cloudwatch_backends
from pydantic import BaseModel, ConfigDict, Field

from deployments.sandbox import codedeploy, ecs_tasks
from deployments.sandbox.cloud import Cloud
from deployments.sandbox.ecs_scheduler import set_primary
from deployments.sandbox.ecs_services import add_service
from deployments.sandbox.ecs_state import Deployment, Service, Step
from deployments.sandbox.pulling import pull
from deployments.sandbox.world import World

_SINCE = timedelta(days=2)
_PORT = 8080
_TARGET_GROUP = "blue/73e2d6bc24d8a067"


class ServiceOptions(BaseModel):
    """What the service is like.

    Attributes:
        image: the reference its tasks run, by tag or digest; in ECR it must be there.
        canary_percent: share of the traffic the canary gets.
        canary_minutes: how long the canary bakes.
        bake_minutes: how long old and new tasks run side by side after all traffic was shifted.
        alarm: the alarm its deployments watch; it is in OK.
        appspec: of a service that CodeDeploy owns, the AppSpec of the deployment that brought what runs; none had done
            so where there is none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    account: str = Field(default="210987654321", pattern=r"^\d{12}$")
    region: str = "eu-central-1"
    image: str
    cluster: str = "shop"
    name: str = "checkout"
    tasks: int = Field(default=4, ge=1, le=100)
    controller: Literal["ECS", "CODE_DEPLOY"] = "ECS"
    strategy: Literal["ROLLING", "BLUE_GREEN", "LINEAR", "CANARY"] = "CANARY"
    canary_percent: float = 25.0
    canary_minutes: int = 5
    bake_minutes: int = 5
    alarm: str = "checkout-5xx"
    appspec: str | None = None
    tags: dict[str, str] = Field(default_factory=dict)


def furnish_service(cloud: Cloud, options: ServiceOptions) -> dict[str, Any]:
    """Build the service, with its cluster, task definition and alarm; what is there already is kept.

    Returns:
        What was built, by ARN and name.

    Raises:
        CannotPull: the image is not to be had.
    """
    with cloud.lock:
        cloud.clock.catch_up()
        world = cloud.world(options.account, options.region)
        pull(world, options.image)
        _cluster(world, options.cluster)
        alarm = add_alarm(world, options.alarm, "AWS/ApplicationELB", "HTTPCode_Target_5XX_Count")
        definition = _task_definition(world, options)
        service = world.ecs.services.get((options.cluster, options.name)) or _service(world, options, definition)
        owned = _deployment_group(world, options, service) if options.controller == "CODE_DEPLOY" else {}
        tasks = [one for one in world.ecs.tasks_of(service) if one.is_running]
        return owned | {
            "account": options.account,
            "region": options.region,
            "cluster_arn": ecs_tasks.arn(world, "cluster", options.cluster),
            "cluster": options.cluster,
            "service_arn": service.arn,
            "service": service.name,
            "task_definition_arn": service.primary.revision.task_definition,
            "task_arns": [one.arn for one in tasks],
            "image": options.image,
            "image_digest": tasks[0].containers[0].digest,
            "alarm": options.alarm,
            "alarm_arn": alarm,
        }


def add_alarm(world: World, name: str, namespace: str, metric: str) -> str:
    """An alarm in OK, by its ARN; one of that name is kept as it is."""
    backend = cloudwatch_backends[world.account][world.region]
    if name not in backend.alarms:
        backend.put_metric_alarm(
            name=name,
            namespace=namespace,
            metric_name=metric,
            comparison_operator="GreaterThanThreshold",
            evaluation_periods=1,
            period=60,
            statistic="Sum",
            threshold=5.0,
            description=f"Too many errors: {name}",
            dimensions=[],
            alarm_actions=[],
        )
        backend.set_alarm_state(name, "Threshold not crossed.", "{}", "OK")
    return str(backend.alarms[name].alarm_arn)


def _cluster(world: World, name: str) -> None:
    backend = ecs_tasks.backend(world)
    if name not in backend.clusters:
        backend.create_cluster(name)


def _task_definition(world: World, options: ServiceOptions) -> str:
    container = {
        "name": options.name,
        "image": options.image,
        "essential": True,
        "portMappings": [{"containerPort": _PORT, "protocol": "tcp"}],
    }
    known = ecs_tasks.backend(world).task_definitions.get(options.name)
    if known:
        return str(known[max(known)].arn)
    registered = ecs_tasks.backend(world).register_task_definition(
        options.name,
        [container],
        requires_compatibilities=["FARGATE"],
        network_mode="awsvpc",
        cpu="256",
        memory="512",
        execution_role_arn=f"arn:aws:iam::{options.account}:role/{options.name}-execution",
    )
    return str(registered.arn)


def _deployment_group(world: World, options: ServiceOptions, service: Service) -> dict[str, str]:
    """CodeDeploy's application and deployment group of a service it owns, both with the service's name."""
    backend = codedeploy.backend(world)
    if options.name not in backend.applications:
        backend.create_application(options.name, "ECS", [])
        backend.create_deployment_group(
            options.name,
            options.name,
            "CodeDeployDefault.ECSCanary10Percent5Minutes",
            None,
            None,
            None,
            f"arn:aws:iam::{world.account}:role/CodeDeploy",
            alarm_configuration={"enabled": True, "alarms": [{"name": options.alarm}]},  # type: ignore[arg-type]
            auto_rollback_configuration={
                "enabled": True,
                "events": ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM", "DEPLOYMENT_STOP_ON_REQUEST"],
            },
            blue_green_deployment_configuration={
                "terminateBlueInstancesOnDeploymentSuccess": {
                    "action": "TERMINATE",
                    "terminationWaitTimeInMinutes": options.bake_minutes,
                }
            },
            ecs_services=[{"serviceName": options.name, "clusterName": options.cluster}],
        )
        if options.appspec is not None:
            _deployed_before(world, options, service, options.appspec)
    return {"application": options.name, "deployment_group": options.name}


def _deployed_before(world: World, options: ServiceOptions, service: Service, content: str) -> None:
    """What runs was brought by a deployment that ended well."""
    done = Deployment(
        arn=ecs_tasks.arn(world, "service-deployment", options.cluster, options.name, uuid.uuid4().hex[:22]),
        source=None,
        target=service.primary.revision,
        configuration={},
        created_at=service.created_at,
        steps=[Step("CLEAN_UP", 100.0, 0.0)],
        step_since=service.created_at,
        status="SUCCESSFUL",
        traffic=100.0,
        finished_at=service.created_at,
    )
    group = codedeploy.backend(world).get_deployment_group(options.name, options.name)
    identity = codedeploy.new_id()
    world.code_deployments[identity] = codedeploy.EcsDeployment(
        identity, service, done, group, str(group.deployment_config_name), content
    )


def _configuration(options: ServiceOptions) -> dict[str, Any]:
    """How ECS deploys it. CodeDeploy has its own alarms, and ECS takes none for it."""
    configuration: dict[str, Any] = {
        "strategy": options.strategy,
        "alarms": {"alarmNames": [options.alarm], "enable": True, "rollback": True},
        "deploymentCircuitBreaker": {"enable": True, "rollback": True},
        "bakeTimeInMinutes": options.bake_minutes,
    }
    if options.strategy == "CANARY":
        configuration["canaryConfiguration"] = {
            "canaryPercent": options.canary_percent,
            "canaryBakeTimeInMinutes": options.canary_minutes,
        }
    return configuration


def _service(world: World, options: ServiceOptions, definition: str) -> Service:
    configuration = _configuration(options) if options.controller == "ECS" else {}
    service = add_service(world, options.cluster, options.name, options.tasks, configuration)
    service.controller, service.created_at = options.controller, world.now - _SINCE
    service.stated = {"launchType": "FARGATE", "platformVersion": "LATEST"}
    if options.controller == "CODE_DEPLOY":
        target = f"arn:aws:elasticloadbalancing:{world.region}:{world.account}:targetgroup/{_TARGET_GROUP}"
        entry = {"targetGroupArn": target, "containerName": options.name, "containerPort": _PORT}
        service.stated["loadBalancers"] = [entry]
    ecs_tasks.backend(world).create_service(
        options.cluster,
        options.name,
        options.tasks,
        definition,
        launch_type="FARGATE",
        tags=[{"key": key, "value": value} for key, value in options.tags.items()],
    )
    rollout = set_primary(world, service, ecs_tasks.new_revision(world, options.cluster, options.name, definition))
    rollout.state, rollout.reason = "COMPLETED", f"ECS deployment {rollout.id} completed."
    rollout.created_at = rollout.updated_at = service.created_at
    for _ in range(options.tasks):
        task = ecs_tasks.start_task(world, service.cluster, service.group, rollout.revision, rollout)
        ecs_tasks.run_at_once(world, task)
        task.created_at = task.started_at = service.created_at
    return service
