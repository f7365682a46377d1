"""Who runs an image, in words, and which of them this system can bring to another one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from runbooks.container_image import DeploymentGroup, EcsService, ImageFunction, OtherUse
from runbooks.counting import counted

_KINDS = {
    "eks-cluster": "EKS cluster",
    "ecs-task": "ECS task of no service",
    "event-rule": "EventBridge rule",
    "schedule": "EventBridge schedule",
    "job-definition": "Batch job definition",
    "other": "cluster",
}
_LATER = ("event-rule", "schedule", "job-definition")
"""Those that run nothing now: it is what they start later."""


class Users(Protocol):
    """Whatever says who runs an image."""

    @property
    def services(self) -> Sequence[EcsService]: ...
    @property
    def functions(self) -> Sequence[ImageFunction]: ...
    @property
    def others(self) -> Sequence[OtherUse]: ...


def users_in_words(users: Users) -> Iterator[str]:
    """Everybody who runs it by name, and what only Inspector counts."""
    yield from named_users(users)
    yield from unnamed_users(users)


def named_users(users: Users) -> Iterator[str]:
    """Those of whom it is known who they are, and who start it later."""
    for service in users.services:
        tasks = "1 task" if service.running == 1 else f"{service.running} tasks"
        yield f"service {service.name} ({tasks if service.running else 'no task now'})"
    for function in users.functions:
        yield f"function {function.name}" + (f" (alias {function.alias})" if function.alias else "")
    yield from (_other(each) for each in users.others if each.kind != "other")


def unnamed_users(users: Users) -> Iterator[str]:
    """What runs it where it cannot be seen from here: Inspector counts it, up to 36 hours late."""
    yield from (_other(each) for each in users.others if each.kind == "other")


def out_of_sight(places: Sequence[str]) -> Iterator[str]:
    """That somebody may use it where this system cannot look; nothing where there is no such place."""
    if places:
        yield f"it may be used in {', '.join(places)}: whoever is there may pull it, and this system cannot look there"


def left_to_others(users: Users) -> Iterator[str]:
    """Those whom this system cannot bring to another image, each with the reason."""
    for service in users.services:
        if (why := _why_not(service)) is not None:
            yield f"service {service.name} is not deployed by this plan: {why}"
    for function in users.functions:
        yield f"function {function.name} is not deployed by this plan: its own case brings it to another image"
    for other in users.others:
        yield f"{_other(other)}: not deployed by this plan, a person brings it to another image"


def deployable(users: Users) -> Iterator[EcsService]:
    """The services that this system can have ECS, or CodeDeploy, bring to another image."""
    yield from (each for each in users.services if _why_not(each) is None)


def _why_not(service: EcsService) -> str | None:
    """Why this system cannot deploy the service; None where it can."""
    match service.controller:
        case "ECS":
            why = None
        case "CODE_DEPLOY":
            why = _why_not_by_codedeploy(service.group)
        case "EXTERNAL":
            why = "something outside ECS owns its deployments"
        case other:
            why = f"its deployment controller is {other}"
    return why if service.containers or why else "which of its containers to change is not known"


def _why_not_by_codedeploy(group: DeploymentGroup | None) -> str | None:
    if group is None:
        return "CodeDeploy owns its deployments, and no deployment group is seen that has it"
    if group.properties is None:
        return f"CodeDeploy owns its deployments, and the AppSpec of the last one of group {group.name} cannot be read"
    return None


def _other(use: OtherUse) -> str:
    if ":ecr:" in use.arn:
        return f"{use.count} more that Inspector counts and does not name"
    name = f"{_KINDS[use.kind]} {use.arn.rpartition('/')[2]}"
    if use.kind in _LATER:
        revisions = f" and {counted(use.count - 1, 'other revision')}" if use.count > 1 else ""
        return f"{name}{revisions} (starts it later)"
    return f"{name} ({use.count})" if use.count else name
