"""Who runs an image, in words, and which of them this system can bring to another one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from runbooks.container_image import EcsService, ImageFunction, OtherUse

_KINDS = {"eks-cluster": "EKS cluster", "ecs-task": "ECS task of no service", "other": "cluster"}
_OF_CONTROLLER = {
    "CODE_DEPLOY": "CodeDeploy owns its deployments",
    "EXTERNAL": "something outside ECS owns its deployments",
}


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
    """Those of whom it is known who they are."""
    for service in users.services:
        tasks = "1 task" if service.running == 1 else f"{service.running} tasks"
        yield f"service {service.name} ({tasks if service.running else 'no task now'})"
    for function in users.functions:
        yield f"function {function.name}" + (f" (alias {function.alias})" if function.alias else "")
    yield from (_other(each) for each in users.others if each.kind != "other")


def unnamed_users(users: Users) -> Iterator[str]:
    """What runs it where it cannot be seen from here: Inspector counts it, up to 36 hours late."""
    yield from (_other(each) for each in users.others if each.kind == "other")


def left_to_others(users: Users) -> Iterator[str]:
    """Those whom this system cannot bring to another image, each with the reason."""
    for service in users.services:
        why = _OF_CONTROLLER.get(service.controller, f"its deployment controller is {service.controller}")
        if service.controller != "ECS":
            yield f"service {service.name} is not deployed by this plan: {why}"
        elif not service.containers:
            yield f"service {service.name} is not deployed by this plan: which of its containers to change is not known"
    for function in users.functions:
        yield f"function {function.name} is not deployed by this plan: its own case brings it to another image"
    for other in users.others:
        yield f"{_other(other)}: not deployed by this plan, a person brings it to another image"


def deployable(users: Users) -> Iterator[EcsService]:
    """The services whose task definition ECS itself changes."""
    yield from (each for each in users.services if each.controller == "ECS" and each.containers)


def _other(use: OtherUse) -> str:
    counted = f" ({use.count})" if use.count else ""
    if ":ecr:" in use.arn:
        return f"{use.count} more that Inspector counts and does not name"
    return f"{_KINDS[use.kind]} {use.arn.rpartition('/')[2]}{counted}"
