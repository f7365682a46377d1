"""The rebuild and its test: one build for all, what it is told, and the tag it pushes under."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from runbooks.errors import Refused
from runbooks.finding import VulnerablePackage
from runbooks.plan import Phase
from runbooks.planning.images.rebuilding import plan_rebuild
from runbooks.planning.images.testing import plan_test
from runbooks.planning.images.verification import plan_image_verification
from runbooks.steps import RebuildImage, TestImage
from tests.runbooks.builders import FIRST_SEEN, RESPONSE, a_package, a_target
from tests.runbooks.image_builders import (
    IMAGE_CASE,
    NAME,
    NEW_BASE,
    a_base,
    a_candidate,
    an_image,
    an_image_assessment,
    an_image_case,
    an_image_finding,
    an_image_key,
    an_image_runbook,
    an_os_package,
    digest,
)
from tests.runbooks.image_steps import NEW_DIGEST, URI


def rebuilt(*findings: Any, **changes: Any) -> RebuildImage:
    (step,) = plan_rebuild(
        RESPONSE, an_image_runbook(), [an_image_assessment(an_image_case(*findings, **changes))]
    ).steps
    assert isinstance(step, RebuildImage)
    return step


def test_one_build_is_told_of_the_newer_base_the_packages_and_the_tag() -> None:
    runbook = an_image_runbook()
    plan = plan_rebuild(RESPONSE, runbook, [an_image_assessment(runbook=runbook)], revision=3)
    (step,) = plan.steps
    assert isinstance(step, RebuildImage)
    assert step.tag.startswith("1.4.2-remediated-")
    assert step == RebuildImage(
        target=a_target("image", f"{NAME}:{step.tag}"),
        cases=(IMAGE_CASE,),
        project="shop-checkout-build",
        repository=NAME,
        tag=step.tag,
        variables={
            "BASE_IMAGE": f"docker.io/library/debian:12@{NEW_BASE}",
            "PACKAGES": "libssl3=3.0.15-1~deb12u1",
            "IMAGE_TAG": step.tag,
        },
    )
    assert (plan.phase, plan.revision, plan.approval.required) == (Phase.REBUILD, 3, False)
    assert plan.reasons == (
        "rebuild it on docker.io/library/debian:12 as it is now (sha256:cccccccccccc): libssl3 to 3.0.15-1~deb12u1",
    )
    assert plan.not_covered == (
        "the build takes the sources as they are now: what else has changed in them since comes with it",
    )


def test_a_platform_image_lends_the_new_tag_the_name_that_its_index_has() -> None:
    (step,) = plan_rebuild(
        RESPONSE, an_image_runbook(), [an_image_assessment(image=an_image(tags=(), index_tags=("2.0",)))]
    ).steps
    assert step.target.id.startswith(f"{NAME}:2.0-remediated-")


def test_the_same_plan_has_the_same_tag_and_another_revision_has_another() -> None:
    runbook, case = an_image_runbook(), [an_image_assessment()]
    plans = [plan_rebuild(RESPONSE, runbook, case, revision=revision) for revision in (1, 1, 2)]
    first, again, second = (plan.steps[0].target.id for plan in plans)
    assert first == again
    assert first != second


@pytest.mark.parametrize(
    ("base", "words"),
    [
        (None, "the image does not say which base image it was built from"),
        (a_base(newest=None), "whether there is a newer docker.io/library/debian:12 could not be read"),
        (a_base(newest=a_base().digest), "docker.io/library/debian:12 has no newer image than sha256:bbbbbbbbbbbb"),
    ],
)
def test_without_a_newer_base_the_builds_own_one_holds_and_the_plan_says_why(base: Any, words: str) -> None:
    image = an_image(base=base)
    assert set(rebuilt(image=image).variables) == {"PACKAGES", "IMAGE_TAG"}
    plan = plan_rebuild(RESPONSE, an_image_runbook(), [an_image_assessment(image=image)])
    assert words in plan.not_covered[0]


def test_several_digests_are_rebuilt_once_as_the_newest_of_them_is_built() -> None:
    older = an_image_case(
        an_image_finding(1, of=digest(1)),
        of=digest(1),
        image=an_image(digest(1), tags=("1.0.0",), base=a_base(name="debian:11"), pushed_at=FIRST_SEEN - timedelta(30)),
    )
    newer = an_image_case(
        an_image_finding(2, of=digest(2), packages=(an_os_package(fixed_in="3.0.16-1~deb12u1"),)), of=digest(2)
    )
    plan = plan_rebuild(RESPONSE, an_image_runbook(), [an_image_assessment(each) for each in (older, newer)])
    (step,) = plan.steps
    assert isinstance(step, RebuildImage)
    assert step.cases == plan.cases == tuple(an_image_key(digest(number)).id for number in (1, 2))
    assert step.tag.startswith("1.4.2-remediated-")
    assert step.variables["BASE_IMAGE"] == f"docker.io/library/debian:12@{NEW_BASE}"
    assert step.variables["PACKAGES"] == "libssl3=3.0.16-1~deb12u1"
    assert "an older image of this response was built from debian:11" in plan.not_covered[0]


def test_a_build_is_told_of_a_version_as_its_package_manager_takes_it() -> None:
    step = rebuilt(an_image_finding(packages=(an_os_package(fixed_in="0:3.0.16-1~deb12u1"),)))
    assert step.variables["PACKAGES"] == "libssl3=3.0.16-1~deb12u1"


def test_of_two_versions_whose_order_is_not_known_the_build_is_told_both() -> None:
    jars = [a_package(name="org.x:y", version="1", manager="JAR", fixed_in=fix) for fix in ("2.17.1", "2.12.4")]
    cases = [
        an_image_case(an_image_finding(number, of=digest(number), packages=(jar,)), of=digest(number))
        for number, jar in enumerate(jars)
    ]
    (step,) = plan_rebuild(RESPONSE, an_image_runbook(), [an_image_assessment(each) for each in cases]).steps
    assert isinstance(step, RebuildImage)
    assert step.variables["PACKAGES"] == "org.x:y=2.17.1 org.x:y=2.12.4"


@pytest.mark.parametrize("name", ["libssl3; curl evil", "$(id)", "a`b`", "-rf", "a\nb", "a=b c", ""])
def test_a_package_that_a_shell_could_read_as_more_than_a_word_is_not_handed_over(name: str) -> None:
    package: VulnerablePackage = an_os_package(name=name)
    with pytest.raises(Refused) as refused:
        rebuilt(an_image_finding(packages=(package,)))
    assert refused.value.code == "person"


def test_what_nobody_can_rebuild_is_a_persons_matter() -> None:
    with pytest.raises(Refused, match="there is no build project shop-checkout-build") as refused:
        plan_rebuild(RESPONSE, an_image_runbook(), [an_image_assessment(project=None)])
    assert refused.value.code == "person"


def test_the_new_image_is_tested_by_its_digest_without_asking() -> None:
    candidate, runbook = a_candidate(), an_image_runbook()
    plan = plan_test(
        RESPONSE, runbook, [an_image_assessment(runbook=runbook)], candidate, revision=2, previous="rebuild"
    )
    image = f"{URI}@{NEW_DIGEST}"
    assert plan.steps == (
        TestImage(
            target=a_target("image", f"shop-checkout-test/{image}"),
            cases=(IMAGE_CASE,),
            project="shop-checkout-test",
            image=image,
            variables={"IMAGE_URI": image},
        ),
    )
    assert (plan.phase, plan.revision, plan.previous, plan.approval.required) == (Phase.TEST, 2, "rebuild", False)


def test_without_an_integration_test_there_is_nothing_to_do_and_the_plan_says_so() -> None:
    runbook = an_image_runbook(rebuild={"test_project": None})
    plan = plan_test(RESPONSE, runbook, [an_image_assessment(runbook=runbook)], a_candidate())
    assert (plan.steps, plan.cases) == ((), (IMAGE_CASE,))
    assert plan.not_covered == ("ecr-critical-cve names no integration test: the image's scan is all that is known",)


def test_verifying_an_image_has_nothing_to_hurry() -> None:
    plan = plan_image_verification(RESPONSE, an_image_runbook(), [an_image_assessment()], revision=2, previous="deploy")
    assert (plan.phase, plan.steps, plan.cases) == (Phase.VERIFY, (), (IMAGE_CASE,))
    assert (plan.revision, plan.previous, plan.approval.required) == (2, "deploy", False)
