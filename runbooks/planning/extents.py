"""How much of what there is a plan touches: counted by the limits, shown to the approver."""

from __future__ import annotations

from collections.abc import Sequence

from runbooks.container_image import ImageFacts
from runbooks.definition import Runbook
from runbooks.errors import LimitExceeded
from runbooks.function import FunctionFacts
from runbooks.instance import AutoScalingMembership
from runbooks.limits import Room, exceeded
from runbooks.plan import Extent
from runbooks.triage import Assessment

UNKNOWN = "unknown"
"""The environment of an instance, or a repository, without the runbook's tag."""


def extents(runbook: Runbook, assessments: Sequence[Assessment]) -> tuple[Extent, ...]:
    """How much of its environment and its groups each case is.

    Raises:
        LimitExceeded: together they can never begin, for they alone are more than the runbook's limits allow.
    """
    found = tuple(extent_of(runbook, each) for each in assessments)
    if (reason := exceeded(runbook.limits, found)) is not None:
        raise LimitExceeded(f"{reason}, in {runbook.name}")
    return found


def as_many_as_may(
    runbook: Runbook, assessments: Sequence[Assessment]
) -> tuple[tuple[Assessment, ...], tuple[Assessment, ...]]:
    """Those that may begin together, the most urgent first, and the rest. One alone always is planned."""
    room, now, later = Room(runbook.limits), list[Assessment](), list[Assessment]()
    for each in sorted(assessments, key=lambda each: each.triage.priority):
        extent = [extent_of(runbook, each)]
        if now and not room.has_for(extent):
            later.append(each)
            continue
        room.take(extent)
        now.append(each)
    return tuple(now), tuple(later)


def extent_of(runbook: Runbook, assessment: Assessment) -> Extent:
    """How much of its environment and its groups one case is."""
    if isinstance(assessment.facts.resource, ImageFacts):
        return _of_an_image(runbook, assessment.case, assessment.facts.resource)
    if isinstance(assessment.facts.resource, FunctionFacts):
        return _of_a_function(runbook, assessment.case, assessment.facts.resource)
    facts = assessment.facts.host
    instance = facts.instance
    if instance is None:
        return Extent(case=assessment.case)
    group = instance.auto_scaling
    return Extent(
        case=assessment.case,
        place=f"{instance.account}/{instance.region}",
        environment=instance.tags.get(runbook.limits.environment_tag) or UNKNOWN,
        environment_size=facts.environment_size,
        auto_scaling_group=group.group if group else None,
        auto_scaling_group_size=_size(group) if group else 0,
        target_groups={each.target_group: each.instances for each in instance.targets},
    )


def _of_an_image(runbook: Runbook, case: str, facts: ImageFacts) -> Extent:
    """Its services, each as a whole; the environment is the repository's."""
    image, repository = facts.image, facts.repository
    if image is None:
        return Extent(case=case)
    tags = repository.tags if repository else {}
    return Extent(
        case=case,
        place=f"{image.account}/{image.region}",
        environment=tags.get(runbook.limits.environment_tag) or UNKNOWN,
        services={f"{each.cluster.rpartition('/')[2]}/{each.name}": each.desired for each in facts.services},
    )


def _of_a_function(runbook: Runbook, case: str, facts: FunctionFacts) -> Extent:
    """A function is a share of nothing: each of its aliases is brought over by a canary of its own."""
    function = facts.function
    if function is None:
        return Extent(case=case)
    return Extent(
        case=case,
        place=f"{function.account}/{function.region}",
        environment=function.tags.get(runbook.limits.environment_tag) or UNKNOWN,
        services={},
    )


def _size(group: AutoScalingMembership) -> int:
    """How many there are to take from: as many as are wanted, or fewer while some are missing."""
    return group.desired if group.in_service is None else min(group.desired, group.in_service)
