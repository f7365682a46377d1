"""The services that run an image: who deploys them, and to which of them a response has deployed another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runbooks.container_image import EcsService
from runbooks.facts import CaseFacts
from runbooks.history import ResponseHistory
from runbooks.plan import Phase
from runbooks.planning.images.deploying import service_target
from tasks.gateways.aws_session import AwsSessions
from tasks.gateways.codedeploy import CodeDeployGateway


def with_owners(aws: AwsSessions, facts: Mapping[str, CaseFacts]) -> dict[str, CaseFacts]:
    """The facts of each case; its services that CodeDeploy owns with the group that deploys them.

    Raises:
        Outside: AWS did not say.
    """
    services = {each.arn: each for one in facts.values() for each in one.image_facts.services}
    known = {each.arn: each for each in CodeDeployGateway(aws).with_groups([*services.values()])}
    return {case: _with_services(each, known) for case, each in facts.items()}


def deployed_to(history: ResponseHistory, services: Sequence[EcsService]) -> frozenset[str]:
    """The ARNs of those of the services to which the response has begun to deploy another image."""
    changes = history.changes
    plans = [plan for plan in history.plans.values() if plan.phase is Phase.REMEDIATE]
    targets = {str(step.target) for plan in plans for step in plan.steps if plan.operation(step) in changes}
    return frozenset(service.arn for service in services if str(service_target(service)) in targets)


def _with_services(facts: CaseFacts, known: Mapping[str, EcsService]) -> CaseFacts:
    image = facts.image_facts
    services = tuple(known[each.arn] for each in image.services)
    return facts.model_copy(update={"resource": image.model_copy(update={"services": services})})
