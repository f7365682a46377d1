"""Deploying: which services get the new image, in which order and how, and who is left to a person."""

from __future__ import annotations

from typing import Any

import pytest

from runbooks.container_image import EcsService, ImageFunction, OtherUse
from runbooks.deploy_choices import Deploy
from runbooks.errors import Refused
from runbooks.plan import Phase, Plan
from runbooks.planning.images.deploying import plan_deployment
from runbooks.planning.images.deployment_configuration import deployment_configuration
from runbooks.repository_policy import denies_pulls, with_pulls_denied, with_pulls_for
from runbooks.steps import DeployService, RegisterTaskDefinition, SetRepositoryPolicy
from tests.runbooks.builders import ACCOUNT, REGION, RESPONSE, a_target
from tests.runbooks.image_builders import (
    IMAGE_CASE,
    a_candidate,
    a_repository,
    a_service,
    a_service_of_codedeploy,
    an_image_assessment,
    an_image_case,
    an_image_key,
    an_image_runbook,
    digest,
)
from tests.runbooks.image_steps import NEW_DIGEST, URI

IMAGE = f"{URI}@{NEW_DIGEST}"
BREAKER = {"enable": True, "rollback": True}
POLICY = '{"Version": "2008-10-17", "Statement": []}'


def deployed(*services: EcsService, runbook: Any = None, **changes: Any) -> Plan:
    chosen = runbook or an_image_runbook()
    given = {"services": services} if services else {}
    return plan_deployment(RESPONSE, chosen, [an_image_assessment(runbook=chosen, **given, **changes)], a_candidate())


def alarms(*names: str) -> dict[str, Any]:
    return {"alarmNames": list(names), "enable": True, "rollback": True}


def a_deployment(name: str) -> DeployService:
    definition = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/{name}:7"
    has = {"strategy": "ROLLING", "maximumPercent": 200, "minimumHealthyPercent": 100}
    return DeployService(
        target=a_target("service", f"shop/{name}"),
        cases=(IMAGE_CASE,),
        cluster="shop",
        service=name,
        family=name,
        expects=definition,
        revisions=(f"arn:aws:ecs:{REGION}:{ACCOUNT}:service-revision/shop/{name}/1",),
        leaves="@operation",
        strategy="ROLLING",
        configuration={**has, "deploymentCircuitBreaker": BREAKER, "alarms": alarms(f"{name}-errors")},
        replaces=has,
    )


def a_revision(name: str) -> RegisterTaskDefinition:
    definition = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/{name}:7"
    return RegisterTaskDefinition(
        target=a_target("task-definition", definition),
        cases=(IMAGE_CASE,),
        family=name,
        source=definition,
        containers=("app",),
        image=IMAGE,
    )


def kinds(plan: Plan) -> list[str]:
    return [f"{step.kind} {step.target.id.rpartition('/')[2]}" for step in plan.steps]


def test_the_service_with_the_fewest_tasks_goes_first_and_alone() -> None:
    plan = deployed(a_service(), a_service("basket", desired=2), a_service("search", desired=9))
    assert plan.steps == (
        a_revision("basket"),
        a_deployment("basket"),
        a_revision("checkout"),
        a_revision("search"),
        a_deployment("checkout"),
        a_deployment("search"),
    )
    assert [len(stage) for stage in plan.stages()] == [1, 1, 2, 2]
    assert (plan.phase, plan.cases, plan.approval.required) == (Phase.REMEDIATE, (IMAGE_CASE,), True)
    assert plan.reasons[0] == f"1.4.2-remediated-0 takes the place of the old image, by its digest {NEW_DIGEST}"
    assert plan.not_covered == tuple(
        f"service {name} keeps the deployment configuration of this plan for its next deployments"
        for name in ("checkout", "basket", "search")
    )


def test_services_of_one_task_definition_share_its_new_revision() -> None:
    one = a_service()
    plan = deployed(one, a_service("canary", task_definition=one.task_definition, desired=1))
    assert kinds(plan) == ["register-task-definition checkout:7", "deploy-service canary", "deploy-service checkout"]


def test_two_digests_in_one_service_are_replaced_by_one_deployment() -> None:
    runbook = an_image_runbook()
    both = [
        an_image_assessment(an_image_case(of=digest(number), services=(a_service(containers=(name,)),)), runbook)
        for number, name in ((1, "app"), (2, "migrations"))
    ]
    register, deploy = plan_deployment(RESPONSE, runbook, both, a_candidate()).steps
    cases = tuple(an_image_key(digest(number)).id for number in (1, 2))
    assert isinstance(register, RegisterTaskDefinition)
    assert (register.cases, register.containers, deploy.cases) == (cases, ("app", "migrations"), cases)


def test_a_case_that_nobody_runs_is_no_part_of_the_plan_beside_one_that_is_deployed() -> None:
    runbook = an_image_runbook()
    running, idle = (
        an_image_assessment(an_image_case(of=digest(number), services=services), runbook)
        for number, services in ((1, (a_service(),)), (2, ()))
    )
    assert plan_deployment(RESPONSE, runbook, [running, idle], a_candidate()).cases == (running.case,)
    nothing = plan_deployment(RESPONSE, runbook, [idle], a_candidate())
    assert (nothing.steps, nothing.cases) == ((), (idle.case,))
    assert nothing.reasons == ("nobody runs the old image: 1.4.2-remediated-0 is there for whoever comes next",)


OWNED = "service legacy is not deployed by this plan: CodeDeploy owns its deployments, and"
FUNCTION = ImageFunction(account=ACCOUNT, region=REGION, name="invoice", arn="arn:aws:lambda:x:1:function:invoice")
CLUSTER = OtherUse(kind="eks-cluster", arn="arn:aws:eks:x:1:cluster/pods", count=3)
TASK = OtherUse(kind="ecs-task", arn="arn:aws:ecs:x:1:task/shop/0a")
UNNAMED = OtherUse(kind="other", arn="arn:aws:ecr:x:1:repository/a/sha256:0", count=2)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"services": (a_service("legacy", controller="CODE_DEPLOY"),)},
            f"{OWNED} no deployment group is seen that has it",
        ),
        (
            {"services": (a_service_of_codedeploy("legacy", properties=None),)},
            f"{OWNED} the AppSpec of the last one of group legacy-group cannot be read",
        ),
        (
            {"services": (a_service_of_codedeploy("blind", containers=()),)},
            "service blind is not deployed by this plan: which of its containers to change is not known",
        ),
        (
            {"services": (a_service_of_codedeploy("quiet", alarms=()),)},
            "service quiet is not deployed by this plan: no alarm watches it, and so nothing would lead back",
        ),
        (
            {"services": (a_service("odd", controller="EXTERNAL"),)},
            "service odd is not deployed by this plan: something outside ECS owns its deployments",
        ),
        (
            {"services": (a_service("blind", containers=()),)},
            "service blind is not deployed by this plan: which of its containers to change is not known",
        ),
        (
            {"services": (a_service("quiet", alarms=()),)},
            "service quiet is not deployed by this plan: no alarm watches it, and so nothing would lead back",
        ),
        (
            {"functions": (FUNCTION,)},
            "function invoice is not deployed by this plan: its own case brings it to another image",
        ),
        (
            {"others": (CLUSTER,)},
            "EKS cluster pods (3): not deployed by this plan, a person brings it to another image",
        ),
        ({"others": (TASK,)}, "ECS task of no service 0a: not deployed by this plan"),
        ({"others": (UNNAMED,)}, "2 more that Inspector counts and does not name: not deployed by this plan"),
    ],
)
def test_whom_this_system_cannot_deploy_is_named_and_alone_is_left_to_a_person(
    changes: dict[str, Any], words: str
) -> None:
    alone = {"services": ()} | changes
    with pytest.raises(Refused) as refused:
        deployed(**alone)
    assert refused.value.code == "person"
    assert words in refused.value.detail
    assert IMAGE in refused.value.detail
    beside = {**changes, "services": (*changes.get("services", ()), a_service())}
    plan = deployed(**beside)
    assert kinds(plan) == ["register-task-definition checkout:7", "deploy-service checkout"]
    assert plan.not_covered[0].startswith(words)


def test_a_service_without_alarms_is_deployed_where_the_runbook_says_so() -> None:
    plan = deployed(a_service(alarms=()), runbook=an_image_runbook(deploy={"without_alarms": "deploy"}))
    deploy = plan.steps[-1]
    assert isinstance(deploy, DeployService)
    assert "alarms" not in deploy.configuration
    assert "no alarm watches service checkout: only what its health checks see leads back" in plan.not_covered


def test_the_runbooks_alarms_watch_every_service() -> None:
    plan = deployed(a_service(alarms=()), runbook=an_image_runbook(deploy={"alarms": ("shop-errors",)}))
    deploy = plan.steps[-1]
    assert isinstance(deploy, DeployService)
    assert deploy.configuration["alarms"] == alarms("shop-errors")
    assert deploy.describe() == (
        "Deploy the new revision to service checkout: rolling, going back when shop-errors is raised"
    )


def roles(*names: str) -> tuple[str, ...]:
    return tuple(f"arn:aws:iam::{ACCOUNT}:role/{name}-execution" for name in names)


def test_where_pulls_are_denied_they_stay_so_but_for_the_roles_that_start_what_is_deployed() -> None:
    runbook = an_image_runbook(contain={"block": {"deny_pulls": True, "may_pull": ("arn:aws:iam::1:role/build",)}})
    denied = with_pulls_denied(POLICY, ("arn:aws:iam::1:role/build",))
    plan = deployed(runbook=runbook, repository=a_repository(policy=denied))
    step, *others = plan.steps
    assert isinstance(step, SetRepositoryPolicy)
    assert (step.cases, step.expects, step.leaves, step.undoes) == (
        (IMAGE_CASE,),
        denied,
        with_pulls_for(denied, roles("checkout", "basket")),
        False,
    )
    assert denies_pulls(step.leaves)
    assert step.describe() == (
        "Go on denying pulls from repository shop/checkout: but not to checkout-execution and basket-execution, with "
        "which the services of this plan are started; the old image is not told from the new one"
    )
    assert [other.kind for other in others if isinstance(other, SetRepositoryPolicy)] == []
    assert len(others) == 4


def test_what_another_response_has_denied_is_not_lifted_by_one_that_denies_nothing() -> None:
    denied = with_pulls_denied(POLICY)
    (step, *_) = deployed(repository=a_repository(policy=denied)).steps
    assert isinstance(step, SetRepositoryPolicy)
    assert (step.expects, step.leaves) == (denied, with_pulls_for(denied, roles("checkout", "basket")))


def test_pulls_that_are_not_denied_need_no_step_whatever_the_runbook_would_deny() -> None:
    denies = an_image_runbook(contain={"block": {"deny_pulls": True}})
    plan = deployed(runbook=denies, repository=a_repository(policy=POLICY))
    assert [step for step in plan.steps if isinstance(step, SetRepositoryPolicy)] == []


def test_roles_that_may_pull_already_need_no_step() -> None:
    denied = with_pulls_for(with_pulls_denied(POLICY), roles("checkout", "basket"))
    assert not isinstance(deployed(repository=a_repository(policy=denied)).steps[0], SetRepositoryPolicy)
    assert not isinstance(deployed().steps[0], SetRepositoryPolicy)


def test_a_service_without_a_role_of_its_own_is_left_to_a_person_where_pulls_are_denied() -> None:
    services = (a_service("checkout"), a_service("basket", execution_role=None))
    denied = a_repository(policy=with_pulls_denied(POLICY))
    plan = deployed(services=services, repository=denied)
    assert {step.target.id for step in plan.steps if step.kind == "deploy-service"} == {"shop/checkout"}
    assert (
        "service basket is not deployed by this plan: pulls are denied, it names no execution role, and "
        "contain.block.may_pull not its instances' role" in plan.not_covered
    )
    named = an_image_runbook(contain={"block": {"deny_pulls": True, "may_pull": ("arn:aws:iam::1:role/hosts",)}})
    for allowed in (deployed(runbook=named, services=services, repository=denied), deployed(services=services)):
        assert len([step for step in allowed.steps if step.kind == "deploy-service"]) == 2


def test_what_is_exploited_in_the_wild_does_not_wait_for_a_window() -> None:
    window = {"days": ["sun"], "start": "02:00", "end": "04:00", "timezone": "Europe/Zurich"}
    choice = {"windows": [window], "any_time_when": [["known-exploit"]]}
    at_once = deployed(runbook=an_image_runbook(remediate=choice))
    waits = deployed(runbook=an_image_runbook(remediate=choice | {"any_time_when": []}))
    assert (len(at_once.windows), len(waits.windows)) == (0, 1)
    assert "no change window is waited for" in at_once.reasons[-1]


HAS: dict[str, Any] = {
    "strategy": "CANARY",
    "bakeTimeInMinutes": 5,
    "canaryConfiguration": {"canaryPercent": 20.0, "canaryBakeTimeInMinutes": 15},
    "deploymentCircuitBreaker": {"enable": False, "rollback": False},
    "lifecycleHooks": [{"hookTargetArn": "arn", "roleArn": "role", "lifecycleStages": ["POST_TEST_TRAFFIC_SHIFT"]}],
}
KEPT = {"lifecycleHooks": HAS["lifecycleHooks"], "alarms": alarms("checkout-errors")}
OFF = {"enable": False, "rollback": False}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({}, HAS | {"alarms": KEPT["alarms"]}),
        (
            {"strategy": "ROLLING", "bake_minutes": 7},
            {"strategy": "ROLLING", "bakeTimeInMinutes": 7, "deploymentCircuitBreaker": BREAKER} | KEPT,
        ),
        (
            {"strategy": "BLUE_GREEN", "bake_minutes": 7},
            {"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 7, "deploymentCircuitBreaker": OFF} | KEPT,
        ),
        (
            {"strategy": "LINEAR", "canary_percent": 25, "bake_minutes": 7},
            {
                "strategy": "LINEAR",
                "bakeTimeInMinutes": 7,
                "linearConfiguration": {"stepPercent": 25.0, "stepBakeTimeInMinutes": 7},
                "deploymentCircuitBreaker": OFF,
            }
            | KEPT,
        ),
        (
            {"strategy": "CANARY", "canary_percent": 10, "bake_minutes": 0},
            {
                "strategy": "CANARY",
                "bakeTimeInMinutes": 0,
                "canaryConfiguration": {"canaryPercent": 10.0, "canaryBakeTimeInMinutes": 0},
                "deploymentCircuitBreaker": OFF,
            }
            | KEPT,
        ),
    ],
)
def test_each_strategy_has_the_members_that_ecs_takes_with_it(choice: dict[str, Any], expected: dict[str, Any]) -> None:
    service = a_service(strategy="CANARY", configuration=HAS)
    assert deployment_configuration(service, Deploy(**choice)) == expected


def test_every_configuration_is_one_that_the_api_knows() -> None:
    import botocore.session
    from botocore.validate import ParamValidator

    shape = botocore.session.get_session().get_service_model("ecs").shape_for("DeploymentConfiguration")
    for strategy in ("as-it-is", "ROLLING", "BLUE_GREEN", "LINEAR", "CANARY"):
        configuration = deployment_configuration(a_service(configuration=HAS), Deploy(strategy=strategy))
        assert not ParamValidator().validate(configuration, shape).has_errors(), strategy
