"""Services of Amazon ECS. Clusters, task definitions and tags are moto's."""

from __future__ import annotations

from typing import Any

from deployments.sandbox import ecs_deployments, ecs_tasks
from deployments.sandbox.ecs_service_shown import describe_service
from deployments.sandbox.ecs_state import Service
from deployments.sandbox.operations import Call, operation, page
from deployments.sandbox.wire import AwsError
from deployments.sandbox.world import World

_STATED = (
    "launchType",
    "capacityProviderStrategy",
    "platformVersion",
    "platformFamily",
    "loadBalancers",
    "serviceRegistries",
    "networkConfiguration",
    "healthCheckGracePeriodSeconds",
    "schedulingStrategy",
    "enableExecuteCommand",
    "propagateTags",
)
_NOT_WITH_CODE_DEPLOY = {
    "taskDefinition": "update task definition",
    "forceNewDeployment": "force a new deployment",
    "networkConfiguration": "update network parameters",
    "loadBalancers": "update load balancers",
}
_DEFAULTS: dict[str, Any] = {
    "strategy": "ROLLING",
    "maximumPercent": 200,
    "minimumHealthyPercent": 100,
    "bakeTimeInMinutes": 0,
    "deploymentCircuitBreaker": {"enable": False, "rollback": False},
}
_ONLY_WITH = {"canaryConfiguration": "CANARY", "linearConfiguration": "LINEAR"}


@operation("ecs", "CreateService")
def create_service(call: Call) -> dict[str, Any]:
    """Make a service and bring up its tasks."""
    params, world = call.params, call.world
    cluster = cluster_name(world, params.get("cluster"))
    known = world.ecs.services.get((cluster, params["serviceName"]))
    if known and known.status == "ACTIVE":
        raise _invalid("Creation of service was not idempotent.")
    controller = (params.get("deploymentController") or {}).get("type") or "ECS"
    configuration = _configuration(_DEFAULTS, params.get("deploymentConfiguration") or {}, controller)
    call.moto()
    definition = ecs_tasks.task_definition(world, params["taskDefinition"]).arn
    stated = {name: params[name] for name in _STATED if params.get(name)}
    service = add_service(world, cluster, params["serviceName"], params.get("desiredCount") or 0, configuration)
    service.controller, service.stated = controller, stated
    ecs_deployments.begin(world, service, ecs_tasks.new_revision(world, cluster, service.name, definition))
    return {"service": describe_service(world, service)}


@operation("ecs", "UpdateService")
def update_service(call: Call) -> dict[str, Any]:
    """Change a service; another task definition, or the wish for it, starts a deployment."""
    params, world = call.params, call.world
    service = find_service(world, params.get("cluster"), params["service"])
    if service.status != "ACTIVE":
        raise AwsError("ServiceNotActiveException", "Service was not ACTIVE.")
    if service.controller == "CODE_DEPLOY":
        _refuse_with_code_deploy(params)
    configuration = _configuration(
        service.configuration, params.get("deploymentConfiguration") or {}, service.controller
    )
    definition = _definition(world, params["taskDefinition"]) if params.get("taskDefinition") else None
    service.configuration = configuration
    if params.get("desiredCount") is not None:
        service.desired = int(params["desiredCount"])
    service.stated |= {name: params[name] for name in _STATED if params.get(name)}
    current = service.primary.revision.task_definition
    if params.get("forceNewDeployment") or (definition and definition != current):
        revision = ecs_tasks.new_revision(world, service.cluster, service.name, definition or current)
        ecs_deployments.begin(world, service, revision)
    ecs_deployments.tend(world, service)
    return {"service": describe_service(world, service)}


@operation("ecs", "DescribeServices")
def describe_services(call: Call) -> dict[str, Any]:
    """Services by name or ARN; those that are not there are failures."""
    world = call.world
    cluster = cluster_name(world, call.params.get("cluster"))
    services, failures = [], []
    for wanted in call.params["services"]:
        service = world.ecs.services.get((cluster, wanted.rpartition("/")[2]))
        if service is None:
            missing = wanted if wanted.startswith("arn:") else ecs_tasks.arn(world, "service", cluster, wanted)
            failures.append({"arn": missing, "reason": "MISSING"})
        else:
            services.append(describe_service(world, service, with_tags="TAGS" in (call.params.get("include") or [])))
    return {"services": services, "failures": failures}


@operation("ecs", "ListServices")
def list_services(call: Call) -> dict[str, Any]:
    """The ARNs of a cluster's active services."""
    cluster = cluster_name(call.world, call.params.get("cluster"))
    launch_type = call.params.get("launchType")
    arns = [
        one.arn
        for one in call.world.ecs.services.values()
        if one.cluster == cluster
        and one.status == "ACTIVE"
        and launch_type in (None, one.stated.get("launchType", "EC2"))
    ]
    return page(call, arns, result="serviceArns", token="nextToken", limit="maxResults", most=10)


@operation("ecs", "DeleteService")
def delete_service(call: Call) -> dict[str, Any]:
    """Take a service and its tasks away."""
    world = call.world
    service = find_service(world, call.params.get("cluster"), call.params["service"])
    if service.desired > 0 and not call.params.get("force"):
        raise _invalid("The service cannot be stopped while it is scaled above 0.")
    call.moto()
    service.status = "INACTIVE"
    for task in world.ecs.tasks_of(service):
        if task.is_active:
            ecs_tasks.stop_task(world, task, "ServiceSchedulerInitiated", "Service was deleted")
    return {"service": describe_service(world, service)}


@operation("ecs", "DescribeClusters")
def describe_clusters(call: Call) -> dict[str, Any]:
    """Clusters, with how many tasks and services there are."""
    answer, state = call.moto(), call.world.ecs
    for entry in answer.get("clusters") or []:
        tasks = [one for one in state.tasks.values() if one.cluster == entry["clusterName"] and one.is_active]
        entry["runningTasksCount"] = sum(one.is_running for one in tasks)
        entry["pendingTasksCount"] = len(tasks) - entry["runningTasksCount"]
        entry["activeServicesCount"] = sum(
            one.cluster == entry["clusterName"] and one.status == "ACTIVE" for one in state.services.values()
        )
    return answer


def add_service(world: World, cluster: str, name: str, desired: int, configuration: dict[str, Any]) -> Service:
    """Put a service into the world, without any task yet."""
    service = Service(
        arn=ecs_tasks.arn(world, "service", cluster, name),
        name=name,
        cluster=cluster,
        desired=desired,
        configuration=_DEFAULTS | configuration,
        controller="ECS",
        created_at=world.now,
    )
    world.ecs.services[cluster, name] = service
    return service


def cluster_name(world: World, stated: str | None) -> str:
    """The name of an existing cluster, from its name or ARN.

    Raises:
        ClusterNotFoundException: there is none (moto's, with the error AWS answers).
    """
    return ecs_tasks.backend(world)._get_cluster(stated or "default").name


def find_service(world: World, cluster: str | None, name: str) -> Service:
    """A service by name or ARN.

    Raises:
        AwsError: there is none.
    """
    service = world.ecs.services.get((cluster_name(world, cluster), name.rpartition("/")[2]))
    if service is None:
        raise AwsError("ServiceNotFoundException", "Service not found.")
    return service


def _definition(world: World, name: str) -> str:
    definition = ecs_tasks.task_definition(world, name)
    if definition.status != "ACTIVE":
        raise AwsError("ClientException", "TaskDefinition is inactive")
    return str(definition.arn)


def _configuration(known: dict[str, Any], given: dict[str, Any], controller: str) -> dict[str, Any]:
    """The deployment configuration after a change.

    Raises:
        AwsError: its parts do not go together.
    """
    configuration = known | given
    strategy = configuration["strategy"]
    if strategy != "ROLLING" and controller != "ECS":
        raise _invalid(f"The deployment strategy {strategy} needs the deployment controller ECS.")
    if strategy == "BLUE_GREEN" and not configuration.get("bakeTimeInMinutes"):
        raise _invalid("bakeTimeInMinutes must be given with the deployment strategy BLUE_GREEN.")
    for name, needed in _ONLY_WITH.items():
        if name in given and strategy != needed:
            raise _invalid(f"{name} is only valid with the deployment strategy {needed}.")
        if strategy != needed:
            configuration.pop(name, None)
    return configuration


def _refuse_with_code_deploy(params: dict[str, Any]) -> None:
    for name, what in _NOT_WITH_CODE_DEPLOY.items():
        if params.get(name):
            raise _invalid(
                f"Unable to {what} on services with a CODE_DEPLOY deployment controller. "
                "Use AWS CodeDeploy to trigger a new deployment."
            )


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidParameterException", message)
