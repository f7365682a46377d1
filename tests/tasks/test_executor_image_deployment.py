"""The executor brings a patched image to a service; where ECS takes the service back, the case falls out."""

from __future__ import annotations

import json
from typing import Any

from deployments.sandbox.furnish_image import ImageOptions, furnish_image
from deployments.sandbox.furnish_service import ServiceOptions, furnish_service
from runbooks.candidate import Candidate
from runbooks.case import CaseKey
from runbooks.catalog import Catalog
from runbooks.event import read_payload
from runbooks.plan import Phase, Plan
from runbooks.planning.images.deploying import plan_deployment
from runbooks.triage import assess
from tasks.image_facts import read_image_facts
from tasks.image_services import with_owners
from tasks.rounds import fallen_out
from tests.runbooks.signatures import made
from tests.tasks.conftest import OpenHouse
from tests.tasks.gateways.aws_world import ACCOUNT, REGION
from tests.tasks.gateways.running_images import LONG_ENOUGH
from tests.tasks.harness import House, Run


def a_house(open_house: OpenHouse, **service: Any) -> tuple[House, Run, Plan]:
    """A service that runs a vulnerable image, and the approved plan that deploys the patched one."""
    runbook = Catalog.read().named("ecr-critical-cve")
    house = open_house(runbook=runbook)
    options = ImageOptions(
        account=ACCOUNT, region=REGION, project="shop-checkout-build", test_project="shop-checkout-test"
    )
    built = furnish_image(house.sandbox.cloud, options)
    image = {"account": ACCOUNT, "region": REGION, "image": built["image"]}
    furnish_service(house.sandbox.cloud, ServiceOptions.model_validate(image | service))
    (finding,) = read_payload(json.dumps(built["event"])).findings
    house.ledger.take_finding(CaseKey.of(finding, runbook.name), finding, "webhook")
    patched = _patched(house, built)
    run = house.start()
    facts = read_image_facts(house.sessions, run.keys, dict.fromkeys(run.cases, (finding,)), runbook)
    facts = with_owners(house.sessions, facts)
    assessments = [assess(each, runbook) for each in facts.values()]
    candidate = Candidate(repository_uri=built["repository_uri"], digest=patched, tag="1.4.3", build="checkout-image:1")
    plan = plan_deployment(house.response, runbook, assessments, candidate)
    run.journal.write(made(plan))
    return house, run.approved(plan), plan


def _patched(house: House, built: dict[str, Any]) -> str:
    client, where = house.client("ecr"), {"repositoryName": built["repository"]}
    (old,) = client.batch_get_image(**where, imageIds=[{"imageDigest": built["digest"]}])["images"]
    manifest = json.loads(old["imageManifest"]) | {"annotations": {"org.opencontainers.image.version": "1.4.3"}}
    answer = client.put_image(**where, imageManifest=json.dumps(manifest), imageTag="1.4.3")
    return answer["image"]["imageId"]["imageDigest"]


def _service(house: House) -> tuple[str, int]:
    (service,) = house.client("ecs").describe_services(cluster="shop", services=["checkout"])["services"]
    return service["taskDefinition"].rpartition("/")[2], service["runningCount"]


def _wait_long(run: Run) -> None:
    for _ in range(LONG_ENOUGH // 25):
        run.house.sandbox.advance(20)
        run.wait()


def test_a_service_gets_the_patched_image_and_each_call_leaves_once(open_house: OpenHouse):
    house, run, plan = a_house(open_house)
    assert [step.kind for step in plan.steps] == ["register-task-definition", "deploy-service"]
    register, deploy = plan.stages()
    assert run.once(plan, register).finished
    progress = run.once(plan, deploy)
    assert not progress.finished
    _wait_long(run)
    assert run.once(plan, deploy).finished
    assert run.carry_out(plan) == {step.key: "done" for step in plan.steps}
    assert house.mutating_calls() == ["ecs:RegisterTaskDefinition", "ecs:UpdateService"]
    assert _service(house) == ("checkout:2", 4)
    outcome = run.journal.history().outcome(plan, plan.steps[1])
    assert outcome is not None
    assert outcome.result["task_definition"].endswith("checkout:2")
    assert ":service-deployment/shop/checkout/" in outcome.result["deployment"]


def test_an_alarm_in_mid_canary_is_recorded_as_a_failure_and_its_case_falls_out(open_house: OpenHouse):
    house, run, plan = a_house(open_house)
    register, deploy = plan.stages()
    run.once(plan, register)
    run.once(plan, deploy)
    house.sandbox.advance(20)
    run.wait()
    house.client("cloudwatch").set_alarm_state(AlarmName="checkout-5xx", StateValue="ALARM", StateReason="5xx")
    progress = run.stage(plan, deploy)
    outcome = progress.outcomes[plan.steps[1].key]
    words = "ECS took service checkout back to checkout:1: alarm checkout-5xx was raised"
    assert (outcome.status, outcome.detail) == ("failed", words)
    assert outcome.result["alarms"] == ["checkout-5xx"]
    assert outcome.result["went_back_to"].endswith("checkout:1")
    history = run.journal.history()
    assert list(fallen_out(history, plan)) == list(plan.cases)
    assert words in next(iter(fallen_out(history, plan).values()))
    assert house.mutating_calls() == ["ecs:RegisterTaskDefinition", "ecs:UpdateService", "cloudwatch:SetAlarmState"]
    assert _service(house) == ("checkout:1", 4)


def test_a_run_that_died_in_mid_deployment_is_carried_on_by_another_without_deploying_twice(open_house: OpenHouse):
    house, run, plan = a_house(open_house)
    register, deploy = plan.stages()
    run.once(plan, register)
    run.once(plan, deploy)
    other = house.take_over(after_a_death=True)
    assert not other.once(plan, deploy).finished
    _wait_long(other)
    assert other.once(plan, deploy).finished
    assert house.mutating_calls() == ["ecs:RegisterTaskDefinition", "ecs:UpdateService"]
    assert plan.phase is Phase.REMEDIATE


# --- a service that CodeDeploy owns -----------------------------------------------------------------------------------

HOOKED = """
version: 0.0
Resources:
  - TargetService:
      Type: AWS::ECS::Service
      Properties:
        TaskDefinition: checkout:1
        LoadBalancerInfo: {ContainerName: checkout, ContainerPort: 8080}
Hooks:
  - AfterAllowTestTraffic: check-the-checkout
"""


def test_what_codedeploy_owns_is_deployed_by_it_once_with_the_hooks_that_it_had(open_house: OpenHouse):
    house, run, plan = a_house(open_house, controller="CODE_DEPLOY", appspec=HOOKED)
    assert [step.kind for step in plan.steps] == ["register-task-definition", "deploy-by-codedeploy"]
    register, deploy = plan.stages()
    run.once(plan, register)
    progress = run.once(plan, deploy)
    assert not progress.finished
    other = house.take_over(after_a_death=True)
    assert not other.once(plan, deploy).finished
    _wait_long(other)
    assert other.once(plan, deploy).finished
    assert other.carry_out(plan) == {step.key: "done" for step in plan.steps}
    assert house.mutating_calls() == ["ecs:RegisterTaskDefinition", "codedeploy:CreateDeployment"]
    assert _service(house) == ("checkout:2", 4)
    (asked,) = [c for c in house.sandbox.cloud.record.calls() if c["operation"] == "CreateDeployment"]
    content = json.loads(asked["parameters"]["revision"]["appSpecContent"]["content"])
    assert content["Hooks"] == [{"AfterAllowTestTraffic": "check-the-checkout"}]


def test_an_alarm_that_stops_codedeploy_is_recorded_as_a_failure_and_its_case_falls_out(open_house: OpenHouse):
    house, run, plan = a_house(open_house, controller="CODE_DEPLOY")
    register, deploy = plan.stages()
    run.once(plan, register)
    run.once(plan, deploy)
    house.sandbox.advance(20)
    run.wait()
    house.client("cloudwatch").set_alarm_state(AlarmName="checkout-5xx", StateValue="ALARM", StateReason="5xx")
    outcome = run.stage(plan, deploy).outcomes[plan.steps[1].key]
    words = "CodeDeploy took service checkout back, and it has checkout:1: CloudWatch alarm in ALARM: checkout-5xx."
    assert (outcome.status, outcome.detail) == ("failed", words)
    assert outcome.result["went_back_to"].endswith("checkout:1")
    assert words in next(iter(fallen_out(run.journal.history(), plan).values()))
    assert _service(house) == ("checkout:1", 4)
