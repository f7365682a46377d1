"""Protected tags, read again before anything is begun: a resource may have got one since it was planned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from runbooks.case import CaseKey
from runbooks.definition import protected_by
from runbooks.steps import AnyStep, RefreshInstances
from tasks.gateways.aws_session import AwsSessions
from tasks.gateways.ec2 import Ec2Gateway


def protected_cases(
    aws: AwsSessions, keys: Mapping[str, CaseKey], tags: Mapping[str, str], steps: Sequence[AnyStep]
) -> dict[str, str]:
    """Those cases of steps on instances that must not be touched now, each with the reason. One call for each place.

    Args:
        tags: the runbook's protected tags; any of them protects.

    Raises:
        Outside: AWS did not say.
    """
    if not tags:
        return {}
    ec2, found = Ec2Gateway(aws), dict[str, str]()
    for (account, region), here in _by_place(keys, steps).items():
        marked = ec2.tags(account, region, sorted({keys[case].resource_id for case in here}))
        for case in here:
            if (mark := protected_by(marked.get(keys[case].resource_id, {}), tags)) is not None:
                found[case] = f"protected: {keys[case].resource_id} carries the protected tag {mark}"
    for step in steps:
        if isinstance(step, RefreshInstances) and not step.undoes:
            found |= {case: why for why in _members(ec2, step, tags) for case in step.cases if case not in found}
    return found


def acted_upon(keys: Mapping[str, CaseKey], steps: Sequence[AnyStep]) -> dict[str, None]:
    """The cases that protection stops, in order: what puts something back always may run."""
    return dict.fromkeys(case for step in steps if not step.undoes for case in step.cases if case in keys)


def _by_place(keys: Mapping[str, CaseKey], steps: Sequence[AnyStep]) -> dict[tuple[str, str], list[str]]:
    places: dict[tuple[str, str], list[str]] = {}
    for case in acted_upon(keys, steps):
        places.setdefault((keys[case].account, keys[case].region), []).append(case)
    return places


def _members(ec2: Ec2Gateway, step: RefreshInstances, tags: Mapping[str, str]) -> Iterator[str]:
    """The group's other instances are replaced as well."""
    members = ec2.tags_of_group(step.target.account, step.target.region, step.target.id)
    for instance, carried in members.items():
        if (mark := protected_by(carried, tags)) is not None:
            yield f"protected: {instance} of Auto Scaling group {step.target.id} carries the protected tag {mark}"
