"""The remediate plan of an image: every ECS service that runs it gets the patched one, by its digest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from runbooks.candidate import Candidate
from runbooks.container_image import EcsService
from runbooks.definition import Runbook
from runbooks.errors import Refused
from runbooks.image_users import deployable, left_to_others
from runbooks.plan import Phase, Plan
from runbooks.planning.change_windows import why_at_once
from runbooks.planning.extents import extent_of
from runbooks.planning.images.chosen import Chosen, that_may_begin, to_rebuild
from runbooks.planning.images.deployment_configuration import alarms_of, deployment_configuration
from runbooks.repository_policy import with_pulls_allowed, with_pulls_denied
from runbooks.steps import AnyStep, DeployService, RegisterTaskDefinition, SetRepositoryPolicy, Target
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
    """One plan that brings the patched image to every service which ECS itself deploys.

    The service with the fewest tasks goes first: where it fails, its cases' other services are left as they are. A plan
    without steps where nobody runs the old images.

    Raises:
        LimitExceeded: the plan would touch more than the runbook's limits allow.
        Refused: somebody runs them, and nobody whom this system can bring to another image.
    """
    chosen = to_rebuild(runbook, assessments)
    every, unwatched = _services(runbook, chosen)
    left = tuple(dict.fromkeys((*_left(chosen), *(_unwatched(each.service) for each in unwatched))))
    if not every and left:
        raise Refused(f"a person has to deploy {candidate.image}: {'; '.join(left)}", code="person")
    deployed = {case for each in every for case in each.cases}
    now, deferred = that_may_begin(runbook, [each for each in chosen if each.case in deployed])
    # Where nobody runs any of them nothing is taken away, and the limits have nothing to count.
    services, cases = _services(runbook, now)[0], [each.assessment for each in (now or chosen)]
    touched = tuple(extent_of(runbook, each) for each in cases)
    at_once = why_at_once(runbook, cases)
    return Plan(
        response=response,
        runbook=runbook.name,
        runbook_digest=runbook.digest,
        phase=Phase.REMEDIATE,
        revision=revision,
        cases=tuple(each.case for each in cases),
        steps=(*_allowed_pulls(runbook, chosen), *_steps(runbook, services, candidate)) if services else (),
        reasons=(*_reasons(candidate, services), *at_once),
        not_covered=(*left, *_stays(runbook, services)),
        approval=runbook.remediate.approval.rule([each.environment for each in touched]),
        deferred=deferred,
        extents=touched,
        windows=() if at_once else runbook.remediate.windows,
    )


def _services(runbook: Runbook, chosen: Sequence[Chosen]) -> tuple[tuple[_Deployed, ...], tuple[_Deployed, ...]]:
    """The services that are deployed, and those that no alarm watches where the runbook leaves these to a person."""
    found: dict[str, _Deployed] = {}
    for each in chosen:
        for service in deployable(each.assessment.facts.image_facts):
            known = found.get(service.arn, _Deployed(service, (), ()))
            found[service.arn] = _Deployed(
                service,
                tuple(dict.fromkeys((*known.cases, each.case))),
                tuple(dict.fromkeys((*known.containers, *service.containers))),
            )
    if runbook.deploy.without_alarms == "deploy":
        return tuple(found.values()), ()
    watched = tuple(each for each in found.values() if alarms_of(each.service, runbook.deploy))
    return watched, tuple(each for each in found.values() if each not in watched)


def _steps(runbook: Runbook, services: Sequence[_Deployed], candidate: Candidate) -> Iterator[AnyStep]:
    """Task definition by task definition: the one with the fewest tasks alone, and then all the others together."""
    by_definition: dict[tuple[str, str, str], list[_Deployed]] = {}
    for each in sorted(services, key=lambda each: (each.service.desired, each.service.arn)):
        service = each.service
        by_definition.setdefault((service.account, service.region, service.task_definition), []).append(each)
    first, *others = by_definition.values()
    for together in ([first], others):
        yield from (_revision(alike, candidate) for alike in together)
        yield from (_deployment(runbook, each) for alike in together for each in alike)


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


def _deployment(runbook: Runbook, each: _Deployed) -> DeployService:
    service, configuration = each.service, deployment_configuration(each.service, runbook.deploy)
    cluster = service.cluster.rpartition("/")[2]
    return DeployService(
        target=_target(service, "service", f"{cluster}/{service.name}"),
        cases=each.cases,
        cluster=cluster,
        service=service.name,
        family=_family(service.task_definition),
        expects=service.task_definition,
        leaves=NEW_REVISION,
        strategy=configuration["strategy"],
        configuration=configuration,
        replaces=service.configuration,
    )


def _allowed_pulls(runbook: Runbook, chosen: Sequence[Chosen]) -> Iterator[SetRepositoryPolicy]:
    """Whoever runs the patched image has to pull it: what was denied to block promotion is allowed again."""
    repository = chosen[0].repository
    blocked = tuple(each.case for each in chosen if each.assessment.triage.contain)
    if runbook.contain.block.deny_pulls and blocked:
        yield SetRepositoryPolicy(
            target=chosen[0].target("repository", repository.name),
            cases=blocked,
            repository=repository.name,
            expects=with_pulls_denied(repository.policy, runbook.contain.block.may_pull),
            leaves=with_pulls_allowed(repository.policy),
            undoes=True,
        )


def _reasons(candidate: Candidate, services: Sequence[_Deployed]) -> Iterator[str]:
    if not services:
        yield f"nobody runs the old image: {candidate.tag} is there for whoever comes next"
        return
    yield f"{candidate.tag} takes the place of the old image, by its digest {candidate.digest}"
    yield f"its scan lacks the vulnerability, and it came from build {candidate.build}"


def _left(chosen: Sequence[Chosen]) -> Iterator[str]:
    for each in chosen:
        yield from left_to_others(each.assessment.facts.image_facts)


def _unwatched(service: EcsService) -> str:
    return f"service {service.name} is not deployed by this plan: no alarm watches it, and so nothing would lead back"


def _stays(runbook: Runbook, services: Sequence[_Deployed]) -> Iterator[str]:
    for each in services:
        service, choice = each.service, runbook.deploy
        if not alarms_of(service, choice):
            yield f"no alarm watches service {service.name}: only what its health checks see leads back"
        if service.configuration and deployment_configuration(service, choice) != service.configuration:
            yield f"service {service.name} keeps the deployment configuration of this plan for its next deployments"


def _family(task_definition: str) -> str:
    return task_definition.rpartition("/")[2].partition(":")[0]


def _target(service: EcsService, kind: str, identifier: str) -> Target:
    return Target(account=service.account, region=service.region, type=kind, id=identifier)
