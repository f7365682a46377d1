"""Pulls that were denied stay denied while the patched image is deployed, whatever becomes of the deployment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deployments.sandbox.furnish_image import ImageOptions, furnish_image
from deployments.sandbox.furnish_service import ServiceOptions, furnish_service
from runbooks.candidate import Candidate
from runbooks.case import CaseKey
from runbooks.event import read_payload
from runbooks.plan import Phase, Plan
from runbooks.planning.images.deploying import plan_deployment
from runbooks.planning.images.promotion import plan_promotion_block
from runbooks.planning.release import plan_release
from runbooks.records import PhaseEnded
from runbooks.repository_policy import denies_pulls
from runbooks.steps import SetRepositoryPolicy
from runbooks.triage import Assessment, assess
from tasks.containments import contained_by
from tasks.image_facts import read_image_facts
from tests.runbooks.image_builders import an_image_runbook
from tests.runbooks.signatures import made
from tests.tasks.conftest import OpenHouse
from tests.tasks.gateways.aws_world import ACCOUNT, REGION
from tests.tasks.harness import House, Run

REPOSITORY = "shop/checkout"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/checkout-execution"
FORMER = (
    '{"Version": "2012-10-17", "Statement": {"Sid": "Pull", "Effect": "Allow", '
    '"Principal": {"AWS": "arn:aws:iam::123456789012:root"}, "Action": ["ecr:BatchGetImage"]}}'
)
DENIES = an_image_runbook(contain={"block": {"stages": (), "deny_pulls": True}})


class Story:
    """One service that runs a vulnerable image, whose pulls are denied; the patched image is there."""

    def __init__(self, house: House) -> None:
        self.house = house
        place = {"account": ACCOUNT, "region": REGION}
        options = ImageOptions.model_validate(
            place | {"known_exploited": True, "project": "shop-checkout-build", "repository": REPOSITORY}
        )
        self.built = furnish_image(house.sandbox.cloud, options)
        service = place | {"image": self.built["image"], "canary_minutes": 1, "bake_minutes": 1}
        furnish_service(house.sandbox.cloud, ServiceOptions.model_validate(service))
        house.client("ecr").set_repository_policy(repositoryName=REPOSITORY, policyText=FORMER)
        self.patched = self._patched()
        (self.finding,) = read_payload(json.dumps(self.built["event"], default=str)).findings
        house.ledger.take_finding(CaseKey.of(self.finding, DENIES.name), self.finding, "webhook")
        self.run = house.start()
        self.carried_out(plan_promotion_block(house.response, DENIES, self.assessed()))

    def assessed(self) -> list[Assessment]:
        seen = dict.fromkeys(self.run.cases, (self.finding,))
        facts = read_image_facts(self.house.sessions, self.run.keys, seen, DENIES)
        return [assess(each, DENIES) for each in facts.values()]

    def deployment(self) -> Plan:
        candidate = Candidate(
            repository_uri=self.built["repository_uri"], digest=self.patched, tag="1.4.3", build="checkout-image:1"
        )
        return plan_deployment(self.house.response, DENIES, self.assessed(), candidate)

    def begun(self, plan: Plan) -> Run:
        self.run.journal.write(made(plan))
        self.run = self.run.approved(plan)
        return self.run

    def carried_out(self, plan: Plan) -> dict[str, str]:
        statuses = self.begun(plan).carry_out(plan)
        return {key.partition(":")[0]: status for key, status in statuses.items()}

    def release(self) -> dict[str, str]:
        row = self.house.ledger.response(self.house.response)
        assert row is not None
        found = contained_by(self.house.ledger, row)
        plan = plan_release(DENIES, found.plans, found.outcomes, self.run.cases, response=row.id, by_itself=False)
        return self.carried_out(plan)

    def policy(self) -> str:
        return self.house.client("ecr").get_repository_policy(repositoryName=REPOSITORY)["policyText"]

    def runs(self, service: str = "checkout") -> dict[str, int]:
        """Digest -> the tasks of the service that run it."""
        client = self.house.client("ecs")
        arns = client.list_tasks(cluster="shop", serviceName=service)["taskArns"]
        found: dict[str, int] = {}
        for task in client.describe_tasks(cluster="shop", tasks=arns)["tasks"] if arns else []:
            if task["lastStatus"] == "RUNNING":
                digest = task["containers"][0]["imageDigest"]
                found[digest] = found.get(digest, 0) + 1
        return found

    def starts(self, role: str, digest: str) -> bool:
        """Whether a task of this role can start from an image."""
        client = self.house.client("ecs")
        container = {"name": "other", "image": f"{self.built['repository_uri']}@{digest}", "memory": 512}
        made_of = client.register_task_definition(
            family="other", containerDefinitions=[container], executionRoleArn=role
        )["taskDefinition"]["taskDefinitionArn"]
        (task,) = client.run_task(cluster="shop", taskDefinition=made_of)["tasks"]
        self.house.sandbox.advance(30)
        (shown,) = client.describe_tasks(cluster="shop", tasks=[task["taskArn"]])["tasks"]
        client.stop_task(cluster="shop", task=task["taskArn"])
        return shown["lastStatus"] == "RUNNING"

    def _patched(self) -> str:
        client, where = self.house.client("ecr"), {"repositoryName": REPOSITORY}
        (old,) = client.batch_get_image(**where, imageIds=[{"imageDigest": self.built["digest"]}])["images"]
        manifest = json.loads(old["imageManifest"]) | {"annotations": {"org.opencontainers.image.version": "1.4.3"}}
        answer = client.put_image(**where, imageManifest=json.dumps(manifest), imageTag="1.4.3")
        return answer["image"]["imageId"]["imageDigest"]


@pytest.fixture
def story(open_house: OpenHouse, tmp_path: Path) -> Story:
    return Story(open_house(runbook=DENIES))


def narrowed(plan: Plan) -> SetRepositoryPolicy:
    step = plan.steps[0]
    assert isinstance(step, SetRepositoryPolicy)
    return step


def test_the_service_is_deployed_while_everybody_else_stays_denied_and_the_release_puts_the_very_original_back(
    story: Story,
):
    plan = story.deployment()
    assert ROLE in (narrowed(plan).leaves or "")
    assert story.carried_out(plan) == {
        "set-repository-policy": "done",
        "register-task-definition": "done",
        "deploy-service": "done",
    }
    assert story.runs() == {story.patched: 4}
    for digest in (story.patched, story.built["digest"]):
        assert not story.starts("arn:aws:iam::210987654321:role/somebody", digest)
    assert denies_pulls(story.policy())

    assert story.release() == {"set-repository-policy": "done"}
    assert story.policy() == FORMER
    assert story.starts("arn:aws:iam::210987654321:role/somebody", story.patched)


def test_what_is_deployed_can_restart_as_long_as_pulls_are_denied(story: Story):
    story.carried_out(story.deployment())
    client = story.house.client("ecs")
    client.stop_task(cluster="shop", task=client.list_tasks(cluster="shop", serviceName="checkout")["taskArns"][0])
    story.house.sandbox.advance(300)
    assert story.runs() == {story.patched: 4}


def test_a_deployment_that_fails_leaves_the_containment_as_it_was_approved_to_all_but_the_service_itself(story: Story):
    plan = story.deployment()
    run = story.begun(plan)
    let, register, deploy = plan.stages()
    for stage in (let, register):
        assert run.once(plan, stage).finished
    run.once(plan, deploy)
    story.house.sandbox.advance(20)
    run.wait()
    story.house.client("cloudwatch").set_alarm_state(AlarmName="checkout-5xx", StateValue="ALARM", StateReason="5xx")
    outcome = run.stage(plan, deploy).outcomes[deploy[0].key]
    assert outcome.status == "failed"
    run.journal.write(PhaseEnded(phase=Phase.REMEDIATE, result="failed", digest=plan.digest))

    assert story.runs() == {story.built["digest"]: 4}, "its way back had to pull the old image"
    assert denies_pulls(story.policy())
    assert not story.starts("arn:aws:iam::210987654321:role/somebody", story.built["digest"])
    row = story.house.ledger.response(story.house.response)
    assert row is not None
    assert contained_by(story.house.ledger, row).plans


@pytest.mark.parametrize("stages", [0, 1, 2])
def test_a_run_that_dies_in_mid_deployment_never_leaves_pulls_allowed(story: Story, stages: int):
    plan = story.deployment()
    run = story.begun(plan)
    for stage in list(plan.stages())[:stages]:
        run.once(plan, stage)
    assert denies_pulls(story.policy())
    assert not story.starts("arn:aws:iam::210987654321:role/somebody", story.built["digest"])


def test_a_policy_that_somebody_has_opened_meanwhile_stops_the_deployment_before_it_begins(story: Story):
    plan = story.deployment()
    story.house.client("ecr").set_repository_policy(repositoryName=REPOSITORY, policyText=FORMER)
    statuses: Any = story.carried_out(plan)
    assert statuses == {
        "set-repository-policy": "drifted",
        "register-task-definition": "refused",
        "deploy-service": "refused",
    }
    assert story.runs() == {story.built["digest"]: 4}
