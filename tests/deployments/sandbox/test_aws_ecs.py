"""ECS services: what runs, how a new revision comes, and what makes it go back."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from deployments.sandbox.furnish_service import ServiceOptions, furnish_service
from tests.deployments.sandbox.conftest import ACCOUNT, REGION

OLD, NEW = "public.example/shop/checkout:1", "public.example/shop/checkout:2"
CANARY = {
    "strategy": "CANARY",
    "canaryConfiguration": {"canaryPercent": 25.0, "canaryBakeTimeInMinutes": 5},
    "bakeTimeInMinutes": 5,
}
WATCHED = {"alarms": {"alarmNames": ["checkout-5xx"], "enable": True, "rollback": True}}
BREAKER = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}


@pytest.fixture
def shop(sandbox: Any) -> Any:
    def build(**options: Any) -> dict[str, Any]:
        stated = {"account": ACCOUNT, "region": REGION, "image": OLD} | options
        return furnish_service(sandbox.cloud, ServiceOptions.model_validate(stated))

    return build


def register(aws: Any, image: str) -> str:
    container = {"name": "checkout", "image": image, "memory": 512}
    answer = aws("ecs").register_task_definition(family="checkout", containerDefinitions=[container])
    return answer["taskDefinition"]["taskDefinitionArn"]


def deploy(aws: Any, image: str = NEW, **more: Any) -> str:
    """The ARN of the service deployment."""
    wanted = {"taskDefinition": register(aws, image)} | more
    answer = aws("ecs").update_service(cluster="shop", service="checkout", **wanted)
    return answer["service"]["currentServiceDeployment"]


def deployment(aws: Any, arn: str) -> dict[str, Any]:
    (found,) = aws("ecs").describe_service_deployments(serviceDeploymentArns=[arn])["serviceDeployments"]
    return found


def service(aws: Any) -> dict[str, Any]:
    (found,) = aws("ecs").describe_services(cluster="shop", services=["checkout"])["services"]
    return found


def images(aws: Any, service: str = "checkout") -> dict[str, int]:
    """How many tasks of the service run each image."""
    ecs = aws("ecs")
    arns = ecs.list_tasks(cluster="shop", serviceName=service)["taskArns"]
    found: dict[str, int] = {}
    for task in ecs.describe_tasks(cluster="shop", tasks=arns)["tasks"] if arns else []:
        if task["lastStatus"] == "RUNNING":
            image = task["containers"][0]["image"]
            found[image] = found.get(image, 0) + 1
    return found


def rollouts(aws: Any) -> list[tuple[str, str, int]]:
    return [(one["status"], one["rolloutState"], one["runningCount"]) for one in service(aws)["deployments"]]


def raise_alarm(aws: Any, state: str = "ALARM") -> None:
    aws("cloudwatch").set_alarm_state(AlarmName="checkout-5xx", StateValue=state, StateReason="a person says so")


def test_a_furnished_service_runs_its_image_in_four_tasks_watched_by_an_alarm_in_ok(aws, shop):
    world = shop(tags={"owner": "payments"})
    shown = service(aws)
    assert (shown["runningCount"], shown["desiredCount"], shown["taskDefinition"]) == (
        4,
        4,
        world["task_definition_arn"],
    )
    assert images(aws) == {OLD: 4}
    assert rollouts(aws) == [("PRIMARY", "COMPLETED", 4)]
    assert shown["deploymentConfiguration"]["strategy"] == "CANARY"
    (alarm,) = aws("cloudwatch").describe_alarms(AlarmNames=["checkout-5xx"])["MetricAlarms"]
    assert alarm["StateValue"] == "OK"
    (task, *_) = aws("ecs").describe_tasks(cluster="shop", tasks=world["task_arns"])["tasks"]
    assert task["containers"][0]["imageDigest"] == world["image_digest"]
    assert aws("ecs").list_services(cluster="shop")["serviceArns"] == [world["service_arn"]]
    assert aws("ecs").list_tags_for_resource(resourceArn=world["service_arn"])["tags"] == [
        {"key": "owner", "value": "payments"}
    ]
    (cluster,) = aws("ecs").describe_clusters(clusters=["shop"])["clusters"]
    assert (cluster["runningTasksCount"], cluster["activeServicesCount"]) == (4, 1)


def test_a_canary_gets_its_share_bakes_and_then_takes_all_the_traffic(sandbox, aws, shop):
    shop()
    arn = deploy(aws)
    assert deployment(aws, arn)["status"] == "PENDING"
    sandbox.advance(60)
    canary = deployment(aws, arn)
    assert (canary["status"], canary["lifecycleStage"]) == ("IN_PROGRESS", "PRODUCTION_TRAFFIC_SHIFT")
    assert canary["targetServiceRevision"]["requestedProductionTrafficWeight"] == 25.0
    assert canary["sourceServiceRevisions"][0]["requestedProductionTrafficWeight"] == 75.0
    assert images(aws) == {OLD: 4, NEW: 4}
    assert rollouts(aws) == [("PRIMARY", "IN_PROGRESS", 4), ("ACTIVE", "COMPLETED", 4)]
    sandbox.advance(300)
    baking = deployment(aws, arn)
    assert (baking["lifecycleStage"], baking["alarms"]["status"]) == ("BAKE_TIME", "MONITORING")
    assert baking["targetServiceRevision"]["requestedProductionTrafficWeight"] == 100.0
    assert images(aws) == {OLD: 4, NEW: 4}
    sandbox.advance(330)
    assert deployment(aws, arn)["status"] == "SUCCESSFUL"
    assert images(aws) == {NEW: 4}
    assert rollouts(aws) == [("PRIMARY", "COMPLETED", 4)]
    assert "currentServiceDeployment" not in service(aws)


@pytest.mark.parametrize("after", [60, 400])
def test_an_alarm_during_canary_or_bake_brings_the_former_revision_back(sandbox, aws, shop, after):
    world = shop()
    arn = deploy(aws)
    sandbox.advance(after)
    raise_alarm(aws)
    sandbox.advance(10)
    ended = deployment(aws, arn)
    assert (ended["status"], ended["alarms"]["status"]) == ("ROLLBACK_SUCCESSFUL", "TRIGGERED")
    assert ended["alarms"]["triggeredAlarmNames"] == ["checkout-5xx"]
    assert "checkout-5xx" in ended["rollback"]["reason"]
    assert ended["rollback"]["serviceRevisionArn"] == ended["sourceServiceRevisions"][0]["arn"]
    assert ended["sourceServiceRevisions"][0]["requestedProductionTrafficWeight"] == 100.0
    assert images(aws) == {OLD: 4}
    assert service(aws)["taskDefinition"] == world["task_definition_arn"]
    assert rollouts(aws) == [("PRIMARY", "COMPLETED", 4)]


def test_an_alarm_after_the_bake_changes_nothing(sandbox, aws, shop):
    shop()
    arn = deploy(aws)
    sandbox.advance(700)
    raise_alarm(aws)
    sandbox.advance(60)
    assert deployment(aws, arn)["status"] == "SUCCESSFUL"
    assert images(aws) == {NEW: 4}


def test_an_alarm_that_was_raised_before_is_not_watched(sandbox, aws, shop):
    shop()
    raise_alarm(aws)
    arn = deploy(aws)
    sandbox.advance(700)
    ended = deployment(aws, arn)
    assert (ended["status"], ended["alarms"]["status"]) == ("SUCCESSFUL", "DISABLED")


def test_an_alarm_without_rollback_fails_the_deployment_and_leaves_both_revisions(sandbox, aws, shop):
    shop()
    alarms = {"alarms": {"alarmNames": ["checkout-5xx"], "enable": True, "rollback": False}}
    arn = deploy(aws, deploymentConfiguration=alarms)
    sandbox.advance(60)
    raise_alarm(aws)
    sandbox.advance(60)
    assert deployment(aws, arn)["status"] == "STOPPED"
    assert rollouts(aws) == [("PRIMARY", "FAILED", 4), ("ACTIVE", "COMPLETED", 4)]


def test_a_linear_deployment_shifts_the_traffic_in_equal_steps(sandbox, aws, shop):
    shop(strategy="ROLLING")
    linear = {"strategy": "LINEAR", "linearConfiguration": {"stepPercent": 40.0, "stepBakeTimeInMinutes": 2}}
    arn = deploy(aws, deploymentConfiguration=linear | {"bakeTimeInMinutes": 1})
    shares = []
    for _ in range(5):
        sandbox.advance(90)
        shares.append(deployment(aws, arn)["targetServiceRevision"]["requestedProductionTrafficWeight"])
    assert shares == [40.0, 80.0, 100.0, 100.0, 100.0]
    assert (deployment(aws, arn)["status"], images(aws)) == ("SUCCESSFUL", {NEW: 4})


def test_blue_green_shifts_all_traffic_at_once_and_keeps_the_old_tasks_while_it_bakes(sandbox, aws, shop):
    shop(strategy="ROLLING")
    with pytest.raises(ClientError, match=r"InvalidParameterException.*bakeTimeInMinutes"):
        deploy(aws, deploymentConfiguration={"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 0})
    arn = deploy(aws, deploymentConfiguration={"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 10})
    sandbox.advance(60)
    assert deployment(aws, arn)["lifecycleStage"] == "BAKE_TIME"
    assert images(aws) == {OLD: 4, NEW: 4}
    sandbox.advance(600)
    assert (deployment(aws, arn)["status"], images(aws)) == ("SUCCESSFUL", {NEW: 4})


def test_a_rolling_update_replaces_in_batches_and_never_runs_fewer_than_it_must(sandbox, aws, shop):
    shop(strategy="ROLLING")
    deploy(aws, deploymentConfiguration={"maximumPercent": 125, "minimumHealthyPercent": 75})
    seen = []
    for _ in range(40):
        sandbox.advance(1)
        now = images(aws)
        seen.append(sum(now.values()))
    assert images(aws) == {NEW: 4}
    assert (min(seen), max(seen) <= 5) == (3, True)
    assert rollouts(aws)[0][1] == "IN_PROGRESS"
    sandbox.advance(400)
    assert rollouts(aws) == [("PRIMARY", "COMPLETED", 4)]


def test_an_alarm_while_a_rolling_update_bakes_starts_the_old_tasks_again(sandbox, aws, shop):
    shop(strategy="ROLLING", bake_minutes=0)
    arn = deploy(aws)
    sandbox.advance(20)
    assert images(aws) == {NEW: 4}
    raise_alarm(aws)
    sandbox.advance(20)
    assert (deployment(aws, arn)["status"], images(aws)) == ("ROLLBACK_SUCCESSFUL", {OLD: 4})


def test_a_person_stops_a_deployment_and_it_rolls_back(sandbox, aws, shop):
    shop()
    arn = deploy(aws)
    sandbox.advance(60)
    aws("ecs").stop_service_deployment(serviceDeploymentArn=arn, stopType="ROLLBACK")
    assert deployment(aws, arn)["status"] == "ROLLBACK_REQUESTED"
    sandbox.advance(20)
    assert (deployment(aws, arn)["status"], images(aws)) == ("ROLLBACK_SUCCESSFUL", {OLD: 4})
    with pytest.raises(ClientError, match="ConflictException"):
        aws("ecs").stop_service_deployment(serviceDeploymentArn=arn, stopType="ROLLBACK")


def test_a_newer_deployment_takes_the_place_of_one_under_way_and_goes_back_to_the_completed_one(sandbox, aws, shop):
    shop()
    first = deploy(aws)
    sandbox.advance(60)
    second = deploy(aws, "public.example/shop/checkout:3")
    sandbox.advance(60)
    assert (deployment(aws, first)["status"], deployment(aws, second)["status"]) == ("STOPPED", "IN_PROGRESS")
    raise_alarm(aws)
    sandbox.advance(20)
    assert (deployment(aws, second)["status"], images(aws)) == ("ROLLBACK_SUCCESSFUL", {OLD: 4})
    listed = aws("ecs").list_service_deployments(cluster="shop", service="checkout")["serviceDeployments"]
    assert [one["serviceDeploymentArn"] for one in listed] == [second, first]


def test_a_stopped_task_is_replaced_with_the_digest_its_revision_was_pulled_with(sandbox, aws, shop):
    world = shop()
    aws("ecs").stop_task(cluster="shop", task=world["task_arns"][0], reason="somebody")
    assert images(aws) == {OLD: 3}
    sandbox.advance(10)
    assert images(aws) == {OLD: 4}
    stopped = aws("ecs").list_tasks(cluster="shop", desiredStatus="STOPPED")["taskArns"]
    assert stopped == [world["task_arns"][0]]
    sandbox.advance(7200)
    aws("ecs").update_service(cluster="shop", service="checkout", desiredCount=2)
    sandbox.advance(10)
    assert images(aws) == {OLD: 2}


def test_a_service_that_codedeploy_owns_refuses_a_task_definition_but_not_a_count(sandbox, aws, shop):
    shop(controller="CODE_DEPLOY")
    with pytest.raises(
        ClientError, match=r"InvalidParameterException.*CODE_DEPLOY deployment controller\. Use AWS CodeDeploy"
    ):
        deploy(aws)
    aws("ecs").update_service(cluster="shop", service="checkout", desiredCount=5)
    sandbox.advance(10)
    shown = service(aws)
    assert (shown["deploymentController"], shown["deployments"]) == ({"type": "CODE_DEPLOY"}, [])
    assert [(one["status"], one["runningCount"]) for one in shown["taskSets"]] == [("PRIMARY", 5)]


def test_a_service_is_created_scaled_and_deleted_over_the_api(sandbox, aws):
    ecs = aws("ecs")
    ecs.create_cluster(clusterName="shop")
    made = ecs.create_service(
        cluster="shop", serviceName="checkout", taskDefinition=register(aws, OLD), desiredCount=2, launchType="FARGATE"
    )["service"]
    assert (made["status"], made["pendingCount"]) == ("ACTIVE", 0)
    sandbox.advance(10)
    assert images(aws) == {OLD: 2}
    assert rollouts(aws) == [("PRIMARY", "COMPLETED", 2)]
    with pytest.raises(ClientError, match="not idempotent"):
        ecs.create_service(cluster="shop", serviceName="checkout", taskDefinition="checkout", desiredCount=2)
    with pytest.raises(ClientError, match="scaled above 0"):
        ecs.delete_service(cluster="shop", service="checkout")
    assert ecs.delete_service(cluster="shop", service="checkout", force=True)["service"]["status"] == "INACTIVE"
    assert images(aws) == {}
    assert ecs.list_services(cluster="shop")["serviceArns"] == []


def test_what_is_not_there_is_a_failure_or_an_error(aws, shop):
    shop()
    ecs = aws("ecs")
    assert ecs.describe_services(cluster="shop", services=["basket"])["failures"][0]["reason"] == "MISSING"
    assert ecs.describe_tasks(cluster="shop", tasks=["0" * 32])["failures"][0]["reason"] == "MISSING"
    with pytest.raises(ClientError, match="ServiceNotFoundException"):
        ecs.update_service(cluster="shop", service="basket", desiredCount=1)
    with pytest.raises(ClientError, match="ClusterNotFoundException"):
        ecs.list_tasks(cluster="nowhere")


def test_a_single_task_runs_and_is_stopped(sandbox, aws, shop):
    shop()
    ecs = aws("ecs")
    (task,) = ecs.run_task(cluster="shop", taskDefinition="checkout", launchType="FARGATE")["tasks"]
    assert (task["lastStatus"], task["group"]) == ("PROVISIONING", "family:checkout")
    sandbox.advance(5)
    (task,) = ecs.describe_tasks(cluster="shop", tasks=[task["taskArn"]])["tasks"]
    assert task["lastStatus"] == "RUNNING"
    ecs.stop_task(cluster="shop", task=task["taskArn"])
    sandbox.advance(60)
    assert images(aws) == {OLD: 4}
