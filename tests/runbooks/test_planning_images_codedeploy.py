"""Deploying what CodeDeploy owns, beside what ECS deploys itself; and that it all ends in the runbook's time."""

from __future__ import annotations

from typing import Any

import pytest

from runbooks.container_image import EcsService
from runbooks.errors import Refused
from runbooks.plan import Plan
from runbooks.steps import DeployByCodeDeploy
from tests.runbooks.builders import ACCOUNT, REGION, a_target
from tests.runbooks.image_builders import (
    BALANCED,
    CODEDEPLOY_CANARY,
    CODEDEPLOY_HOOKS,
    IMAGE_CASE,
    a_service,
    a_service_of_codedeploy,
    an_image_runbook,
)
from tests.runbooks.test_planning_images_deploying import a_revision, deployed, kinds


def test_a_service_that_codedeploy_owns_gets_a_deployment_on_its_group() -> None:
    plan = deployed(a_service_of_codedeploy("legacy"))
    assert plan.steps == (
        a_revision("legacy"),
        DeployByCodeDeploy(
            target=a_target("service", "shop/legacy"),
            cases=(IMAGE_CASE,),
            cluster="shop",
            service="legacy",
            family="legacy",
            expects=f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/legacy:7",
            revisions=("ecs-svc/7",),
            leaves="@operation",
            application="shop",
            group="legacy-group",
            configuration=CODEDEPLOY_CANARY,
            alarms=("legacy-errors",),
            properties=BALANCED,
            hooks=CODEDEPLOY_HOOKS,
        ),
    )
    assert plan.not_covered == ()


def test_what_ecs_deploys_and_what_codedeploy_does_go_stage_by_stage() -> None:
    plan = deployed(
        a_service("basket", desired=1),
        a_service_of_codedeploy("legacy"),
        a_service("search"),
        a_service_of_codedeploy("older"),
    )
    assert kinds(plan) == [
        "register-task-definition basket:7",
        "deploy-service basket",
        "register-task-definition legacy:7",
        "register-task-definition older:7",
        "register-task-definition search:7",
        "deploy-by-codedeploy legacy",
        "deploy-by-codedeploy older",
        "deploy-service search",
    ]
    assert [len(stage) for stage in plan.stages()] == [1, 1, 3, 2, 1]


def test_the_runbooks_alarms_watch_what_codedeploy_deploys_too_and_its_strategy_is_the_groups() -> None:
    plan = deployed(
        a_service_of_codedeploy("legacy"),
        runbook=an_image_runbook(deploy={"alarms": ("shop-5xx",), "strategy": "CANARY"}),
    )
    deploy = plan.steps[-1]
    assert isinstance(deploy, DeployByCodeDeploy)
    assert deploy.alarms == ("legacy-errors", "shop-5xx")
    assert plan.not_covered == (f"service legacy is deployed by {CODEDEPLOY_CANARY}, not CANARY",)


# --- the time that it takes -------------------------------------------------------------------------------------------


def in_minutes(minutes: int, services: tuple[EcsService, ...]) -> Plan:
    return deployed(*services, runbook=an_image_runbook(remediate={"timeout_minutes": minutes}))


def baking(name: str, **changes: Any) -> EcsService:
    """A service whose own canary takes half an hour."""
    canary = {"canaryConfiguration": {"canaryBakeTimeInMinutes": 10}}
    configuration = {"strategy": "CANARY", "bakeTimeInMinutes": 20, **canary}
    return a_service(name, strategy="CANARY", configuration=configuration, **changes)


@pytest.mark.parametrize(
    ("services", "minutes"),
    [
        ((baking("checkout"),), 30),
        ((baking("checkout"), baking("basket", desired=1)), 60),
        ((baking("checkout"), baking("basket"), a_service("search")), 60),
        ((a_service_of_codedeploy("legacy", minutes=75),), 75),
        ((a_service_of_codedeploy("legacy", minutes=75), baking("checkout", desired=1)), 105),
    ],
)
def test_deployments_that_cannot_end_before_they_are_given_up_are_not_begun(
    services: tuple[EcsService, ...], minutes: int
) -> None:
    assert in_minutes(minutes + 1, services).steps
    with pytest.raises(Refused) as refused:
        in_minutes(minutes, services)
    assert refused.value.code == "person"
    assert refused.value.detail == (
        f"the deployments wait {minutes} minutes, one after another, and ecr-critical-cve gives them {minutes} "
        "(remediate.timeout_minutes)"
    )
