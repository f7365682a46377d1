"""Which deployment group owns a service, and what its deployments do besides."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from deployments.sandbox.codedeploy import backend
from runbooks.container_image import DeploymentGroup, EcsService
from runbooks.errors import Outside
from tasks.gateways.appspec import read_appspec, write_appspec
from tasks.gateways.codedeploy import CodeDeployGateway
from tasks.gateways.image_use import who_runs
from tests.tasks.gateways.aws_world import ACCOUNT, REGION, AwsWorld
from tests.tasks.gateways.running_images import a_service, an_image

BALANCED = {"LoadBalancerInfo": {"ContainerName": "checkout", "ContainerPort": 8080}}
AS_CREATED = {**BALANCED, "PlatformVersion": "LATEST"}
HOOKED = """
version: 0.0
Resources:
  - TargetService:
      Type: AWS::ECS::Service
      Properties:
        TaskDefinition: arn:aws:ecs:eu-west-1:210987654321:task-definition/checkout:1
        LoadBalancerInfo: {ContainerName: checkout, ContainerPort: 8080}
        PlatformVersion: 1.4.0
Hooks:
  - BeforeInstall: prepare
  - AfterAllowTestTraffic: check-the-checkout
"""


def the_service(aws: AwsWorld, **options: Any) -> EcsService:
    """A service that runs a vulnerable image, as triage sees it."""
    built = an_image(aws)
    a_service(aws, built["image"], **options)
    (service,) = who_runs(aws.sessions, ACCOUNT, REGION, [built["image_arn"]])[built["image_arn"]].services
    aws.sandbox.cloud.record.clear()
    return service


def completed(aws: AwsWorld, *services: EcsService) -> tuple[EcsService, ...]:
    return CodeDeployGateway(aws.sessions).with_groups(services)


def test_a_service_that_codedeploy_owns_has_its_group_and_is_watched_by_its_alarms(aws: AwsWorld):
    service = the_service(aws, controller="CODE_DEPLOY", alarm="checkout-errors")
    assert (service.controller, service.group, service.alarms) == ("CODE_DEPLOY", None, ())
    (found,) = completed(aws, service)
    group = DeploymentGroup(
        application="checkout",
        name="checkout",
        configuration="CodeDeployDefault.ECSCanary10Percent5Minutes",
        minutes=10,
        alarms=("checkout-errors",),
        properties=AS_CREATED,
    )
    assert found == service.model_copy(update={"group": group, "alarms": ("checkout-errors",), "rolls_back": True})


def test_what_the_last_deployment_did_besides_the_next_one_does_too(aws: AwsWorld):
    (found,) = completed(aws, the_service(aws, controller="CODE_DEPLOY", appspec=HOOKED))
    assert found.group is not None
    assert found.group.properties == {**BALANCED, "PlatformVersion": "1.4.0"}
    assert found.group.hooks == ({"BeforeInstall": "prepare"}, {"AfterAllowTestTraffic": "check-the-checkout"})


def test_an_appspec_that_cannot_be_read_is_none_to_go_by(aws: AwsWorld):
    (found,) = completed(aws, the_service(aws, controller="CODE_DEPLOY", appspec="version: 0.0"))
    assert found.group is not None
    assert found.group.properties is None


def test_alarms_that_are_switched_off_watch_nothing(aws: AwsWorld):
    service = the_service(aws, controller="CODE_DEPLOY")
    with aws.sandbox.cloud.lock:
        group = backend(aws.sandbox.cloud.world(ACCOUNT, REGION)).deployment_groups["checkout"]["checkout"]
        group.alarm_configuration = {"enabled": False, "alarms": [{"name": "checkout-5xx"}]}  # type: ignore[assignment]
    (found,) = completed(aws, service)
    assert found.group is not None
    assert (found.alarms, found.group.alarms) == ((), ())


@pytest.mark.parametrize(
    ("name", "minutes"),
    [
        ("CodeDeployDefault.ECSAllAtOnce", 5),
        ("CodeDeployDefault.ECSCanary10Percent15Minutes", 20),
        ("CodeDeployDefault.ECSLinear10PercentEvery3Minutes", 32),
    ],
)
def test_how_long_a_deployment_waits_is_what_its_shifts_and_the_old_tasks_take(aws: AwsWorld, name: str, minutes: int):
    service = the_service(aws, controller="CODE_DEPLOY")
    with aws.sandbox.cloud.lock:
        group = backend(aws.sandbox.cloud.world(ACCOUNT, REGION)).deployment_groups["checkout"]["checkout"]
        group.deployment_config_name = name
    (found,) = completed(aws, service)
    assert found.group is not None
    assert found.group.minutes == minutes


def test_a_service_whose_group_is_not_there_or_may_not_be_read_has_none(aws: AwsWorld):
    service = the_service(aws, controller="CODE_DEPLOY")
    events = aws.client("codedeploy").meta.events
    events.register("before-call.codedeploy", deny)
    assert completed(aws, service) == (service.model_copy(update={"rolls_back": False}),)
    events.unregister("before-call.codedeploy", deny)
    events.register("before-call.codedeploy", fail)
    with pytest.raises(Outside):
        completed(aws, service)
    events.unregister("before-call.codedeploy", fail)
    with aws.sandbox.cloud.lock:
        backend(aws.sandbox.cloud.world(ACCOUNT, REGION)).deployment_groups.clear()
    assert completed(aws, service)[0].group is None


def test_for_services_of_ecs_codedeploy_is_not_asked(aws: AwsWorld):
    service = the_service(aws)
    assert completed(aws, service) == (service,)
    assert aws.calls() == []


def deny(model: Any, **_: Any) -> None:
    raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, model.name)


def fail(model: Any, **_: Any) -> None:
    raise ClientError({"Error": {"Code": "InternalFailure", "Message": "no"}}, model.name)


# --- AppSpecs ---------------------------------------------------------------------------------------------------------


def test_what_is_written_is_read_again_without_the_task_definition():
    written = write_appspec("arn:new", {**BALANCED, "TaskDefinition": "arn:old"}, [{"BeforeInstall": "prepare"}])
    assert json.loads(written)["Resources"][0]["TargetService"]["Properties"]["TaskDefinition"] == "arn:new"
    assert '"version": 0.0' in written
    assert read_appspec(written) == (BALANCED, ({"BeforeInstall": "prepare"},))


def test_sections_in_small_letters_and_empty_hooks_are_read():
    content = HOOKED.replace("Resources:", "resources:").partition("Hooks:")[0] + "hooks:\n"
    assert read_appspec(content) == ({**BALANCED, "PlatformVersion": "1.4.0"}, ())


@pytest.mark.parametrize(
    "content",
    [
        "",
        "a: [",
        "- a",
        "Resources: []",
        "Resources: [{}]",
        "Resources: [{TargetService: {Properties: {}}}]",
        "Resources: x",
    ],
)
def test_what_is_no_appspec_of_a_service_says_nothing(content: str):
    assert read_appspec(content) == (None, ())
