"""The remediate plan of an image: every ECS service that runs it gets the patched one, by its digest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from runbooks.candidate import Candidate
from runbooks.container_image import EcsService
from runbooks.definition import Runbook
from runbooks.deploy_choices import minutes_of
from runbooks.errors import Refused
from runbooks.image_users import deployable, left_to_others
from runbooks.plan import Phase, Plan
from runbooks.planning.change_windows import why_at_once
from runbooks.planning.extents import extent_of
from runbooks.planning.images.chosen import Chosen, that_may_begin, to_rebuild
from runbooks.planning.images.deployment_configuration import alarms_of, deployment_configuration
from runbooks.planning.images.promotion import denied_pulls, let_pull
from runbooks.steps import (
    AnyStep,
    DeployByCodeDeploy,
    DeployService,
    RegisterTaskDefinition,
    Target,
)
from runbooks.triage import Assessment

NEW_REVISION = "@operation"
"""What a deployment leaves: the revision that the same plan has made of the service's task definition."""


@dataclass(frozen=True)
class _Deployed:
    """A service, and the cases whose image it runs."""

    service: EcsService
    cases: tuple[str, ...]
    containers: tuple[str, ...]


def plan_deployment(
    response: str,
    runbook: Runbook,
    assessments: Sequence[Assessment],
    candidate: Candidate,
    *,
    revision: int = 1,
) -> Plan:
    """One plan that brings the patched image to every service which ECS itself deploys, or CodeDeploy.

    The service with the fewest tasks goes first: where it fails, its cases' other services are left as they are. A plan
    without steps where nobody runs the old images.

    Raises:
        LimitExceeded: the plan would touch more than the runbook's limits allow.
        Refused: somebody runs them, and nobody whom this system can bring to another image; or the deployments cannot
            end in the time that the runbook allows.
    """
    chosen = to_rebuild(runbook, assessments)
    every, unfit = _services(runbook, chosen)
    left = tuple(dict.fromkeys((*_left(chosen), *unfit)))
    if not every and left:
        raise Refused(f"a person has to deploy {candidate.image}: {'; '.join(left)}", code="person")
    deployed = {case for each in every for case in each.cases}
    now, deferred = that_may_begin(runbook, [each for each in chosen if each.case in deployed])
    # Where nobody runs any of them nothing is taken away, and the limits have nothing to count.
    services, cases = _services(runbook, now)[0], [each.assessment for each in (now or chosen)]
    touched = tuple(extent_of(runbook, each) for each in cases)
    at_once = why_at_once(runbook, cases)
    plan = Plan(
        response=response,
        runbook=runbook.name,
        runbook_digest=runbook.digest,
        phase=Phase.REMEDIATE,
        revision=revision,
        cases=tuple(each.case for each in cases),
        steps=tuple(_steps(runbook, now, services, candidate)) if services else (),
        reasons=(*_reasons(candidate, services), *at_once),
        not_covered=(*left, *_stays(runbook, services)),
        approval=runbook.remediate.approval.rule([each.environment for each in touched]),
        deferred=deferred,
        extents=touched,
        windows=() if at_once else runbook.remediate.windows,
    )
    _refuse_what_cannot_end(runbook, plan, services)
    return plan


def service_target(service: EcsService) -> Target:
    """The service, as the step that deploys it names it."""
    return _target(service, "service", f"{service.cluster.rpartition('/')[2]}/{service.name}")


def _services(runbook: Runbook, chosen: Sequence[Chosen]) -> tuple[tuple[_Deployed, ...], tuple[str, ...]]:
    """The services that are deployed, and in words those that the runbook leaves to a person."""
    found: dict[str, _Deployed] = {}
    for each in chosen:
        for service in deployable(each.assessment.facts.image_facts):
            known = found.get(service.arn, _Deployed(service, (), ()))
            found[service.arn] = _Deployed(
                service,
                tuple(dict.fromkeys((*known.cases, each.case))),
                tuple(dict.fromkeys((*known.containers, *service.containers))),
            )
    unfit = {arn: why for arn, each in found.items() if (why := _unfit(runbook, chosen, each.service)) is not None}
    return tuple(each for arn, each in found.items() if arn not in unfit), tuple(unfit.values())


def _steps(
    runbook: Runbook, chosen: Sequence[Chosen], services: Sequence[_Deployed], candidate: Candidate
) -> Iterator[AnyStep]:
    """Task definition by task definition: the one with the fewest tasks alone, and then all the others together."""
    yield from let_pull(chosen, [each.service for each in services])
    by_definition: dict[tuple[str, str, str], list[_Deployed]] = {}
    for each in sorted(services, key=lambda each: (each.service.desired, each.service.arn)):
        service = each.service
        by_definition.setdefault((service.account, service.region, service.task_definition), []).append(each)
    first, *others = by_definition.values()
    for together in ([first], others):
        yield from (_revision(alike, candidate) for alike in together)
        deployments = (_deployment(runbook, each) for alike in together for each in alike)
        yield from sorted(deployments, key=lambda step: step.kind)


def _revision(alike: Sequence[_Deployed], candidate: Candidate) -> RegisterTaskDefinition:
    source = alike[0].service.task_definition
    return RegisterTaskDefinition(
        target=_target(alike[0].service, "task-definition", source),
        cases=tuple(dict.fromkeys(case for each in alike for case in each.cases)),
        family=_family(source),
        source=source,
        containers=tuple(dict.fromkeys(name for each in alike for name in each.containers)),
        image=candidate.image,
    )


def _deployment(runbook: Runbook, each: _Deployed) -> DeployService | DeployByCodeDeploy:
    service, group = each.service, each.service.group
    of_either: dict[str, Any] = {
        "target": service_target(service),
        "cases": each.cases,
        "cluster": service.cluster.rpartition("/")[2],
        "service": service.name,
        "family": _family(service.task_definition),
        "expects": service.task_definition,
        "revisions": service.revisions,
        "leaves": NEW_REVISION,
    }
    if group is None:
        configuration = deployment_configuration(service, runbook.deploy)
        return DeployService(
            **of_either,
            strategy=configuration["strategy"],
            configuration=configuration,
            replaces=service.configuration,
        )
    return DeployByCodeDeploy(
        **of_either,
        application=group.application,
        group=group.name,
        configuration=group.configuration,
        alarms=alarms_of(service, runbook.deploy),
        properties=group.properties or {},
        hooks=group.hooks,
    )


def _refuse_what_cannot_end(runbook: Runbook, plan: Plan, services: Sequence[_Deployed]) -> None:
    """Stage by stage, for the phase has one time limit; what is not over by then would be given up half way."""
    waits = {str(service_target(each.service)): _minutes(runbook, each.service) for each in services}
    needed = sum(max(waits.get(str(step.target), 0) for step in stage) for stage in plan.stages())
    allowed = runbook.remediate.timeout_minutes
    if needed >= allowed:
        raise Refused(
            f"the deployments wait {needed} minutes, one after another, and {runbook.name} gives them {allowed} "
            "(remediate.timeout_minutes)",
            code="person",
        )


def _minutes(runbook: Runbook, service: EcsService) -> int:
    if service.group is not None:
        return service.group.minutes
    return minutes_of(deployment_configuration(service, runbook.deploy))


def _reasons(candidate: Candidate, services: Sequence[_Deployed]) -> Iterator[str]:
    if not services:
        yield f"nobody runs the old image: {candidate.tag} is there for whoever comes next"
        return
    yield f"{candidate.tag} takes the place of the old image, by its digest {candidate.digest}"
    yield f"its scan lacks the vulnerability, and it came from build {candidate.build}"


def _left(chosen: Sequence[Chosen]) -> Iterator[str]:
    for each in chosen:
        yield from left_to_others(each.assessment.facts.image_facts)


def _unfit(runbook: Runbook, chosen: Sequence[Chosen], service: EcsService) -> str | None:
    """Why a service is left to a person, who can make it fit."""
    left, block = f"service {service.name} is not deployed by this plan", runbook.contain.block
    if runbook.deploy.without_alarms != "deploy" and not alarms_of(service, runbook.deploy):
        return f"{left}: no alarm watches it, and so nothing would lead back"
    if service.execution_role is None and not block.may_pull and denied_pulls(chosen) is not None:
        return (
            f"{left}: pulls are denied, it names no execution role, and contain.block.may_pull not its instances' role"
        )
    return None


def _stays(runbook: Runbook, services: Sequence[_Deployed]) -> Iterator[str]:
    for each in services:
        service, choice = each.service, runbook.deploy
        if not alarms_of(service, choice):
            yield f"no alarm watches service {service.name}: only what its health checks see leads back"
        if service.group is not None:
            # How CodeDeploy shifts the traffic is the group's to say.
            if choice.strategy != "as-it-is":
                yield f"service {service.name} is deployed by {service.group.configuration}, not {choice.strategy}"
        elif service.configuration and deployment_configuration(service, choice) != service.configuration:
            yield f"service {service.name} keeps the deployment configuration of this plan for its next deployments"


def _family(task_definition: str) -> str:
    return task_definition.rpartition("/")[2].partition(":")[0]


def _target(service: EcsService, kind: str, identifier: str) -> Target:
    return Target(account=service.account, region=service.region, type=kind, id=identifier)
