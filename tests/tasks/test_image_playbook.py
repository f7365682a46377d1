"""The playbook of a container image: what its verdict rests on, and what it holds while it changes things."""

from __future__ import annotations

from pathlib import Path

from deployments.sandbox.server import Sandbox
from runbooks.case import CaseKey, case_stream, response_stream
from runbooks.plan import Phase
from runbooks.planning.images.deploying import plan_deployment
from runbooks.planning.images.promotion import plan_promotion_block
from runbooks.planning.images.rebuilding import plan_rebuild
from runbooks.records import CandidateExamined, CaseSuccessors, Outcome, PlanMade, ResponseEnded
from runbooks.steps.base import Role
from runbooks.verdict import Verdict, VerdictKind
from tasks.gateways.inspector import InspectorGateway
from tasks.playbooks.image import PLAYBOOK
from tasks.run import Run
from tasks.triage import _write_down, assessments_of  # pyright: ignore[reportPrivateUsage]
from tests.runbooks.builders import RESPONSE
from tests.runbooks.image_builders import (
    IMAGE_CASE,
    a_candidate,
    an_image_assessment,
    an_image_case,
    an_image_finding,
    an_image_key,
    an_image_runbook,
)
from tests.runbooks.image_steps import NEW_DIGEST
from tests.tasks.conftest import OpenHouse
from tests.tasks.gateways.aws_world import ACCOUNT, REGION, ROLE_ARN, AwsWorld
from tests.tasks.gateways.running_images import LONG_ENOUGH, a_service, an_image, build, push
from tests.tasks.halts import product_run, services
from tests.tasks.harness import House

SCANNED = 10
BLOCKS_ALL = an_image_runbook(contain={"block": {"stages": ("checkout/Production",), "deny_pulls": True}})


def a_run(house: House, folder: Path) -> Run:
    have = services(house.ledger, home=folder, role_arn=ROLE_ARN)
    vars(have)["now"] = house.now
    run = product_run(have, house.start() if not house.response else house.take_over())
    vars(run)["runbook"] = house.runbook
    return run


def test_a_later_look_judges_what_the_services_run_that_the_first_triage_saw(
    open_house: OpenHouse, executor_aws: Sandbox, tmp_path: Path
) -> None:
    house = open_house(runbook=an_image_runbook())
    aws = AwsWorld(executor_aws)
    built = an_image(aws)
    a_service(aws, built["image"])
    for finding in InspectorGateway(house.sessions).findings_of(ACCOUNT, REGION, built["image_arn"]):
        house.ledger.take_finding(CaseKey.of(finding, house.runbook.name), finding, "webhook")
    first = a_run(house, tmp_path)
    (case,) = first.response.cases
    _write_down(first, PLAYBOOK.read(first, [case]), {})
    patched, by_hand = build(aws, built, "1.4.3"), push(aws, built, "hotfix")
    house.ledger.append(case_stream(case), CaseSuccessors(response=house.response, successors=(patched,)))
    house.ledger.end_response(house.response, ResponseEnded(result="unverifiable", reason="not seen"), {})
    deploy(aws, f"{built['repository_uri']}@{by_hand}")
    executor_aws.advance(LONG_ENOUGH)

    house.response = house.ledger.start_response(house.runbook.name, [case], "sweep", purpose="verify").id
    look = a_run(house, tmp_path)
    _write_down(look, PLAYBOOK.read(look, [case]), {})
    known = assessments_of(house.ledger, look.response.id, [case])
    verdict = PLAYBOOK.judged(look, look.history(), None, known, house.now(), False)[case]

    assert known[case].facts.image_facts.services == ()
    assert isinstance(verdict, Verdict)
    assert verdict.kind is VerdictKind.NOT_FIXED, verdict.reasons


def test_stage_repository_and_services_are_held_while_they_are_changed(open_house: OpenHouse, tmp_path: Path) -> None:
    house = open_house(runbook=BLOCKS_ALL)
    house.ledger.take_finding(an_image_key(), an_image_finding(), "webhook")
    run, case = a_run(house, tmp_path), [an_image_assessment(runbook=BLOCKS_ALL)]
    before = set(run.lease.resources)
    run.hold(plan_promotion_block(RESPONSE, BLOCKS_ALL, case))
    run.hold(plan_deployment(RESPONSE, BLOCKS_ALL, case, a_candidate()))
    here = f"{ACCOUNT}/{REGION}"
    assert set(run.lease.resources) - before == {
        f"pipeline-stage/{here}/checkout/Production",
        f"repository/{here}/shop/checkout",
        f"service/{here}/shop/basket",
        f"service/{here}/shop/checkout",
    }


def test_images_that_somebody_has_retired_meanwhile_leave_nothing_to_deprecate_and_nothing_to_hand_over(
    open_house: OpenHouse, tmp_path: Path
) -> None:
    house = open_house(runbook=an_image_runbook())
    house.ledger.take_finding(an_image_key(), an_image_finding(), "webhook")
    run = a_run(house, tmp_path)
    rebuilt(run)
    _write_down(run, {IMAGE_CASE: an_image_case(image=None, services=())}, {})
    plan = PLAYBOOK.planners[Phase.DEPRECATE](run, run.history(), run.response.cases)
    assert (plan.steps, plan.cases) == ((), ())


def rebuilt(run: Run) -> None:
    """The patched image is there, and has passed its examination."""
    stream = response_stream(run.response.id)
    plan = plan_rebuild(run.response.id, run.runbook, [an_image_assessment(runbook=run.runbook)])
    (step,) = plan.steps
    done = Outcome(
        operation=plan.operation(step),
        action=step.kind,
        subject=step.key,
        digest=plan.digest,
        status="done",
        result={"digest": NEW_DIGEST, "build": "build:1"},
    )
    passed = CandidateExamined(rebuild=plan.digest, candidate=NEW_DIGEST, passed=True, reasons=("it lacks it",))
    run.journal.write(PlanMade(digest=plan.digest, plan=plan), done, run.services.signer.signed(stream, passed))


def deploy(aws: AwsWorld, image: str) -> None:
    client = aws.client("ecs", Role.PATCH)
    container = {"name": "checkout", "image": image, "memory": 512}
    new = client.register_task_definition(family="checkout", containerDefinitions=[container])["taskDefinition"]
    client.update_service(cluster="shop", service="checkout", taskDefinition=new["taskDefinitionArn"])
