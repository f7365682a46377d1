"""Task definitions of Amazon ECS are moto's, but for when each was registered."""

from __future__ import annotations

from typing import Any

from deployments.sandbox import ecs_tasks
from deployments.sandbox.operations import Call, operation


@operation("ecs", "RegisterTaskDefinition")
def register_task_definition(call: Call) -> dict[str, Any]:
    """Make a revision, and remember when."""
    answer = call.moto()
    made = ecs_tasks.task_definition(call.world, answer["taskDefinition"]["taskDefinitionArn"])
    made.registered_at = call.now  # type: ignore[attr-defined]
    return _dated(call, answer)


@operation("ecs", "DescribeTaskDefinition")
def describe_task_definition(call: Call) -> dict[str, Any]:
    """A revision; of one that was there from the beginning nobody knows when it was registered."""
    return _dated(call, call.moto())


def _dated(call: Call, answer: dict[str, Any]) -> dict[str, Any]:
    shown = answer["taskDefinition"]
    known = getattr(ecs_tasks.task_definition(call.world, shown["taskDefinitionArn"]), "registered_at", None)
    return answer if known is None else {**answer, "taskDefinition": {**shown, "registeredAt": known}}
