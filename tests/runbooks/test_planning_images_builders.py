"""The rebuild by a GitHub workflow, and the patch in place: what triage says of them, and what is planned."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from runbooks.definition import Runbook
from runbooks.errors import Refused
from runbooks.planning.images.promotion import plan_promotion_block
from runbooks.planning.images.rebuilding import plan_rebuild
from runbooks.planning.images.testing import plan_test
from runbooks.steps import ImageBuild, PatchImage, RebuildByWorkflow, TestByWorkflow
from tests.runbooks.builders import FIRST_SEEN, RESPONSE, a_package, a_target
from tests.runbooks.image_builders import (
    IMAGE_CASE,
    NAME,
    NEW_BASE,
    a_candidate,
    an_image,
    an_image_assessment,
    an_image_case,
    an_image_finding,
    an_image_runbook,
    digest,
)
from tests.runbooks.image_steps import DIGEST, NEW_DIGEST, URI

WORKFLOW = "shop/{repository}/.github/workflows/rebuild.yml@main"
TESTING = "shop/tests/.github/workflows/test.yml@v2"
BY_WORKFLOW = an_image_runbook(
    rebuild={"project": None, "workflow": WORKFLOW, "test_project": None, "test_workflow": TESTING}
)
IN_PLACE = an_image_runbook(
    rebuild={"project": None, "patch_in_place": True, "variables": {}, "test_project": None, "timeout_minutes": 30}
)


def planned(runbook: Runbook, *cases: Any) -> tuple[Any, ImageBuild]:
    given = cases or (an_image_case(project=None),)
    plan = plan_rebuild(RESPONSE, runbook, [an_image_assessment(each, runbook) for each in given])
    (step,) = plan.steps
    assert isinstance(step, ImageBuild)
    return plan, step


def test_a_workflow_is_told_what_a_build_is_told() -> None:
    plan, step = planned(BY_WORKFLOW)
    assert step == RebuildByWorkflow(
        target=a_target("image", f"{NAME}:{step.tag}"),
        cases=(IMAGE_CASE,),
        workflow="shop/shop-checkout/.github/workflows/rebuild.yml@main",
        repository=NAME,
        tag=step.tag,
        variables={
            "BASE_IMAGE": f"docker.io/library/debian:12@{NEW_BASE}",
            "PACKAGES": "libssl3=3.0.15-1~deb12u1",
            "IMAGE_TAG": step.tag,
        },
    )
    assert plan.reasons == (
        "rebuild it on docker.io/library/debian:12 as it is now (sha256:cccccccccccc): libssl3 to 3.0.15-1~deb12u1",
    )
    assert plan.not_covered == (
        "the build takes the sources as they are now: what else has changed in them since comes with it",
    )
    assert "github:CreateWorkflowDispatch" in step.calls


def test_an_image_is_patched_in_place_by_its_digest_in_the_time_that_a_build_has() -> None:
    plan, step = planned(IN_PLACE)
    assert step.tag.startswith("1.4.2-remediated-")
    assert step == PatchImage(
        target=a_target("image", f"{NAME}:{step.tag}"),
        cases=(IMAGE_CASE,),
        image=f"{URI}@{DIGEST}",
        repository=NAME,
        tag=step.tag,
        timeout_minutes=30,
    )
    assert plan.reasons == ("patch it in place: libssl3 to 3.0.15-1~deb12u1",)
    assert plan.not_covered == (
        "copa brings every package of the operating system up to date, and not only those that are vulnerable",
        "the sources, and the base image, stay as they are: the next build has what is vulnerable again",
    )


def test_of_several_images_the_one_that_was_pushed_last_is_patched_and_takes_the_place_of_all() -> None:
    older = an_image_case(
        an_image_finding(1, of=digest(1)),
        of=digest(1),
        image=an_image(digest(1), pushed_at=FIRST_SEEN - timedelta(30)),
        project=None,
    )
    newer = an_image_case(an_image_finding(2, of=digest(2)), of=digest(2), project=None)
    plan, step = planned(IN_PLACE, older, newer)
    assert isinstance(step, PatchImage)
    assert (step.image, step.cases) == (f"{URI}@{digest(2)}", plan.cases)
    assert plan.not_covered[-1] == (
        "sha256:000000000000, which was pushed last, is patched, and takes the place of the older ones too"
    )


@pytest.mark.parametrize("runbook", [BY_WORKFLOW, IN_PLACE], ids=["workflow", "in place"])
def test_where_whoever_builds_is_not_there_a_person_is_asked_and_told_why(runbook: Runbook) -> None:
    why = "copa is not on the path of the worker"
    assessment = an_image_assessment(an_image_case(project=None, cannot_build=why), runbook)
    assert (assessment.triage.remediation, assessment.triage.reasons[-1]) == (
        "person",
        f"a person must remediate: {why}",
    )
    with pytest.raises(Refused, match=why) as refused:
        plan_rebuild(RESPONSE, runbook, [assessment])
    assert refused.value.code == "person"


def test_a_dependency_of_a_language_is_not_patched_in_place() -> None:
    jar = a_package(name="org.x:y", version="1", manager="JAR", fixed_in="2")
    case = an_image_case(an_image_finding(packages=(jar,)), project=None)
    assessment = an_image_assessment(case, IN_PLACE)
    assert (assessment.triage.remediation, assessment.triage.reasons[-1]) == (
        "person",
        "a person must remediate: copa patches packages of the operating system alone, and org.x:y is none",
    )
    assert an_image_assessment(case, BY_WORKFLOW).triage.remediation == "rebuild"


def test_a_workflow_tries_the_new_image_by_its_digest_without_asking() -> None:
    plan = plan_test(
        RESPONSE, BY_WORKFLOW, [an_image_assessment(an_image_case(project=None), BY_WORKFLOW)], a_candidate()
    )
    image = f"{URI}@{NEW_DIGEST}"
    assert plan.steps == (
        TestByWorkflow(
            target=a_target("image", f"{TESTING}/{image}"),
            cases=(IMAGE_CASE,),
            workflow=TESTING,
            image=image,
            variables={"IMAGE_URI": image},
        ),
    )
    assert (plan.not_covered, plan.approval.required) == ((), False)


def test_a_test_that_may_not_pull_is_named_where_pulls_are_denied() -> None:
    denying = an_image_runbook(
        rebuild={"project": None, "workflow": WORKFLOW, "test_project": None, "test_workflow": TESTING},
        contain={"block": {"deny_pulls": True}},
    )
    plan = plan_promotion_block(RESPONSE, denying, [an_image_assessment(an_image_case(project=None), denying)])
    assert any("none of contain.block.may_pull is its role" in words for words in plan.not_covered)
