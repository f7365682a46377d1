"""What is deployed has passed its runbook's test: that the ledger says so is no proof of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from deployments.sandbox.server import Sandbox
from runbooks.case import CaseKey, response_stream
from runbooks.errors import NotApproved, Refused
from runbooks.history import ResponseHistory
from runbooks.plan import Phase, Plan
from runbooks.planning.images.rebuilding import plan_rebuild
from runbooks.records import CandidateExamined, Intent, Outcome, PhaseEnded, PlanMade
from runbooks.steps import TestImage
from tasks.gateways.actions import actions
from tasks.gateways.inspector import InspectorGateway
from tasks.playbooks.image import PLAYBOOK
from tasks.run import Run
from tasks.triage import _write_down, to_act_on  # pyright: ignore[reportPrivateUsage]
from tests.runbooks.image_builders import an_image_runbook
from tests.runbooks.signatures import SIGNER, made
from tests.tasks.conftest import OpenHouse
from tests.tasks.gateways.aws_world import ACCOUNT, REGION, AwsWorld
from tests.tasks.gateways.running_images import a_service, an_image, build
from tests.tasks.test_image_playbook import a_run

BUILDS = {"project": "checkout-image", "test_project": "checkout-test"}
RUNBOOK = an_image_runbook(rebuild=BUILDS)
ENDED = 20


@dataclass
class Examined:
    """A response whose patched image is built and examined."""

    run: Run
    aws: AwsWorld
    digest: str

    @property
    def history(self) -> ResponseHistory:
        return self.run.history()

    def plan(self) -> Plan:
        return PLAYBOOK.planners[Phase.TEST](self.run, self.history, self.run.response.cases)

    def deploys(self) -> Plan:
        return PLAYBOOK.planners[Phase.REMEDIATE](self.run, self.history, self.run.response.cases)

    def why_not(self) -> str:
        with pytest.raises(Refused) as refused:
            self.deploys()
        assert refused.value.code == "person"
        assert refused.value.detail.startswith(f"{self.digest} is not deployed: ")
        return refused.value.detail.removeprefix(f"{self.digest} is not deployed: ")

    def begin(self, plan: Plan) -> TestImage:
        """As the executor begins it: the intent, and then the build."""
        (step,) = plan.steps
        assert isinstance(step, TestImage)
        self.run.journal.write(SIGNER.signed(response_stream(plan.response), intent_of(self.run, plan)))
        action = actions(self.run.aws)[step.kind]
        action.look([step], {step.key: plan.operation(step)})
        action.act(step, plan.operation(step))
        return step

    def says(self, plan: Plan, status: Literal["done", "failed"]) -> None:
        """An outcome, which anybody can write who can write into the ledger."""
        (step,) = plan.steps
        self.run.journal.write(
            Outcome(
                operation=plan.operation(step), action=step.kind, subject=step.key, digest=plan.digest, status=status
            ),
            PhaseEnded(phase=Phase.TEST, result="done", digest=plan.digest),
        )


def intent_of(run: Run, plan: Plan) -> Intent:
    (step,) = plan.steps
    return run.journal.intend(plan.operation(step), step.kind, step.key, {}, plan.digest)


@pytest.fixture
def examined(open_house: OpenHouse, executor_aws: Sandbox, tmp_path: Path) -> Callable[..., Examined]:
    def examine(runbook: Any = RUNBOOK, **image: Any) -> Examined:
        house = open_house(runbook=runbook)
        aws = AwsWorld(executor_aws)
        built = an_image(aws, **image)
        a_service(aws, built["image"])
        for finding in InspectorGateway(house.sessions).findings_of(ACCOUNT, REGION, built["image_arn"]):
            house.ledger.take_finding(CaseKey.of(finding, runbook.name), finding, "webhook")
        run = a_run(house, tmp_path)
        _write_down(run, PLAYBOOK.read(run, run.response.cases), {})
        plan = plan_rebuild(run.response.id, runbook, to_act_on(run, run.response.cases))
        (step,) = plan.steps
        digest = build(aws, built, getattr(step, "tag"))  # noqa: B009 - whichever step builds
        done = Outcome(
            operation=plan.operation(step),
            action=step.kind,
            subject=step.key,
            digest=plan.digest,
            status="done",
            result={"digest": digest, "build": "build:1"},
        )
        passed = CandidateExamined(rebuild=plan.digest, candidate=digest, passed=True, reasons=("it lacks it",))
        signed = SIGNER.signed(response_stream(run.response.id), passed)
        run.journal.write(PlanMade(digest=plan.digest, plan=plan), done, signed)
        return Examined(run, aws, digest)

    return examine


def test_what_has_passed_its_test_is_deployed(examined: Callable[..., Examined]):
    tested = examined()
    plan = tested.plan()
    tested.run.journal.write(made(plan))
    tested.begin(plan)
    tested.aws.sandbox.advance(ENDED)
    tested.says(plan, "done")
    assert [step.kind for step in tested.deploys().steps] == ["register-task-definition", "deploy-service"]


def test_without_a_test_in_its_runbook_it_is_deployed_too(examined: Callable[..., Examined]):
    assert examined(an_image_runbook(rebuild={**BUILDS, "test_project": None})).deploys().steps


def test_that_the_phase_is_said_to_have_ended_is_no_test(examined: Callable[..., Examined]):
    tested = examined()
    tested.run.journal.write(PhaseEnded(phase=Phase.TEST, result="done"))
    assert tested.why_not() == "no test of it was planned"


def test_a_plan_of_the_test_that_somebody_else_made_is_forged(examined: Callable[..., Examined]):
    tested = examined()
    plan = tested.plan()
    tested.run.journal.write(PlanMade(digest=plan.digest, plan=plan))
    tested.says(plan, "done")
    with pytest.raises(NotApproved) as refused:
        tested.deploys()
    assert refused.value.code == "forged"


def test_a_test_that_only_somebody_elses_intent_has_begun_was_not_begun(examined: Callable[..., Examined]):
    tested = examined()
    plan = tested.plan()
    tested.run.journal.write(made(plan), intent_of(tested.run, plan))
    tested.says(plan, "done")
    assert tested.why_not() == "its test was not begun"


def test_an_outcome_before_the_build_has_ended_is_not_believed(examined: Callable[..., Examined]):
    tested = examined()
    plan = tested.plan()
    tested.run.journal.write(made(plan))
    step = tested.begin(plan)
    assert tested.why_not() == f"{step.describe()}: that has not ended well"
    tested.says(plan, "done")
    assert " is in phase " in tested.why_not()


def test_an_outcome_that_calls_a_failed_build_a_success_is_not_believed(examined: Callable[..., Examined]):
    tested = examined(test="fails")
    plan = tested.plan()
    tested.run.journal.write(made(plan))
    tested.begin(plan)
    tested.aws.sandbox.advance(ENDED)
    tested.says(plan, "done")
    assert " ended as FAILED" in tested.why_not()


def test_a_test_of_another_image_or_by_another_project_counts_for_nothing(examined: Callable[..., Examined]):
    tested = examined()
    (step,) = tested.plan().steps
    assert isinstance(step, TestImage)
    for other in ({"image": f"{step.image[:-4]}0000"}, {"project": "checkout-other"}):
        wrong = step.model_copy(update=other)
        target = step.target.model_copy(update={"id": f"{wrong.project}/{wrong.image}"})
        plan = tested.plan().model_copy(update={"steps": (wrong.model_copy(update={"target": target}),)})
        tested.run.journal.write(made(plan), SIGNER.signed(response_stream(plan.response), intent_of(tested.run, plan)))
        tested.says(plan, "done")
        assert tested.why_not() == f"{step.describe()}: that has not ended well"
