"""Tasks of Amazon ECS: how they start, what they run, why they cannot, and when they are forgotten."""

from __future__ import annotations

import uuid
from datetime import timedelta

from moto.ecs.models import EC2ContainerServiceBackend, TaskDefinition, ecs_backends

from deployments.sandbox.container_images import RunningImage
from deployments.sandbox.ecs_state import Container, Revision, Rollout, Service, Task
from deployments.sandbox.pulling import CannotPull, by_digest, ecr_reference, pull
from deployments.sandbox.world import World

_STOPPED_SHOWN = timedelta(hours=1)


def backend(world: World) -> EC2ContainerServiceBackend:
    """What moto keeps of ECS: clusters, task definitions, tags."""
    return ecs_backends[world.account][world.region]


def task_definition(world: World, name: str) -> TaskDefinition:
    """A task definition by family, family and revision, or ARN.

    Raises:
        TaskDefinitionNotFoundException: there is none (moto's, with the error AWS answers).
    """
    return backend(world).describe_task_definition(name)


def arn(world: World, kind: str, *names: str) -> str:
    """An ARN of ECS."""
    return f"arn:aws:ecs:{world.region}:{world.account}:{kind}/{'/'.join(names)}"


def new_revision(world: World, cluster: str, owner: str, definition: str) -> Revision:
    """A revision of a service, or of a task that runs by itself, with nothing pulled yet."""
    number = str(uuid.uuid4().int)[:19]
    return Revision(arn(world, "service-revision", cluster, owner, number), definition, world.now)


def start_task(world: World, cluster: str, group: str, revision: Revision, rollout: Rollout | None = None) -> Task:
    """Place a task; its images are pulled a moment later, and then it runs, or is stopped because one cannot be."""
    definition = task_definition(world, revision.task_definition)
    task = Task(
        arn=arn(world, "task", cluster, uuid.uuid4().hex),
        cluster=cluster,
        group=group,
        task_definition=definition.arn,
        revision=revision,
        containers=[Container(one["name"], one["image"]) for one in definition.container_definitions],
        created_at=world.now,
        started_by=rollout.id if rollout else "",
    )
    world.ecs.tasks[task.arn] = task

    def begin() -> None:
        if task.status != "PROVISIONING":
            return
        try:
            _pull(world, task)
        except CannotPull as error:
            stop_task(world, task, "TaskFailedToStart", f"CannotPullContainerError: pull image manifest: {error}")
            if rollout:
                rollout.failed_tasks += 1
                rollout.updated_at = world.now
        else:
            _run(world, task)

    world.clock.after(world.settings.task_start, begin)
    return task


def run_at_once(world: World, task: Task) -> None:
    """Have a task run already, as if it had been started long ago.

    Raises:
        CannotPull: one of its images is not to be had.
    """
    _pull(world, task)
    _run(world, task)


def stop_task(world: World, task: Task, code: str, reason: str) -> None:
    """Stop a task at once."""
    task.desired = task.status = "STOPPED"
    task.stop_code, task.stopped_reason, task.stopped_at = code, reason, world.now
    if task.started_at:
        _note_use(world, task)


def forget_stopped(world: World, service: Service) -> None:
    """Forget the service's tasks that were stopped long ago; AWS shows them for about an hour."""
    for task in world.ecs.tasks_of(service):
        if task.stopped_at is not None and world.now - task.stopped_at > _STOPPED_SHOWN:
            del world.ecs.tasks[task.arn]


def _pull(world: World, task: Task) -> None:
    digests = task.revision.digests
    role = getattr(task_definition(world, task.task_definition), "execution_role_arn", None)
    for container in task.containers:
        pinned = digests.get(container.name)
        container.digest = pull(world, by_digest(container.image, pinned) if pinned else container.image, role)
        digests.setdefault(container.name, container.digest)


def _run(world: World, task: Task) -> None:
    task.status, task.started_at = "RUNNING", world.now
    _note_use(world, task)


def _note_use(world: World, task: Task) -> None:
    """Tell the home of each of the task's ECR images how many tasks like this one run it now, or have run it."""
    like = [
        one
        for one in world.ecs.tasks.values()
        if (one.cluster, one.group, one.task_definition) == (task.cluster, task.group, task.task_definition)
        and one.started_at
    ]
    cluster = arn(world, "cluster", task.cluster)
    for container in task.containers:
        reference = ecr_reference(container.image)
        if reference is None or container.digest is None:
            continue
        alike = [one for one in like if container.digest in {other.digest for other in one.containers}]
        use = RunningImage(
            cluster_arn=cluster,
            kind="ECS",
            running=sum(one.is_running for one in alike),
            last_used_at=world.now,
            group=task.group,
            workload=task.task_definition,
            stopped=sum(not one.is_running for one in alike),
        )
        places = world.elsewhere(reference.account, reference.region).running_images
        others = [one for one in places.get(container.digest, []) if _place(one) != _place(use)]
        places[container.digest] = [*others, use]


def _place(use: RunningImage) -> tuple[str, str, str]:
    return use.cluster_arn, use.group, use.workload
