"""What is built for a function, and how its own code is exchanged for what was built."""

from __future__ import annotations

from typing import Any

import pytest

from runbooks.container_image import BaseImage
from runbooks.errors import Refused
from runbooks.function_package import LARGEST_UPLOAD_BYTES, PackageProject
from runbooks.plan import Plan
from runbooks.planning.functions.rebuilding import plan_function_rebuild
from runbooks.steps import (
    PublishVersion,
    RebuildImage,
    RebuildPackage,
    ShiftAlias,
    UpdateFunctionCode,
    UpdateFunctionConfiguration,
)
from tests.runbooks.builders import RESPONSE, a_target
from tests.runbooks.function_builders import (
    FUNCTION_CASE,
    PROJECT,
    a_function_assessment,
    a_function_case,
    a_function_finding,
    a_function_runbook,
    a_python_package,
    an_alias,
    served,
)
from tests.runbooks.function_steps import AFTER, BEFORE, BUCKET, CODE, FUNCTION, MODIFIED, PACKAGE, REBUILT
from tests.runbooks.test_planning_functions import CASES, IMAGE, shift, updated

OWN = a_function_finding(packages=(a_python_package(None),))
BUILT: dict[str, Any] = {"package_project": PROJECT}


def rebuilt(*findings: Any, **changes: Any) -> Plan:
    chosen = a_function_runbook()
    assessment = a_function_assessment(a_function_case(*(findings or (OWN,)), **(BUILT | changes)), chosen)
    return plan_function_rebuild(RESPONSE, chosen, [assessment])


def test_its_own_code_is_built_into_a_key_that_no_other_plan_has() -> None:
    plan = rebuilt()
    (build,) = plan.steps
    assert isinstance(build, RebuildPackage)
    name = build.object_key.removeprefix("packages/order-export-remediated-").removesuffix(".zip")
    assert (len(name), build.target.id) == (12, f"{BUCKET}/{build.object_key}")
    assert build == RebuildPackage(
        target=build.target,
        cases=CASES,
        project="order-export-build",
        function=FUNCTION,
        bucket=BUCKET,
        object_key=build.object_key,
        replaces=CODE,
        variables={"PACKAGES": "pyyaml=5.4", "IMAGE_TAG": f"order-export-remediated-{name}"},
    )
    assert plan.not_covered == (
        "the build takes the sources as they are now: what else has changed in them since comes with it",
    )
    assert not plan.approval.required
    again = plan_function_rebuild(RESPONSE, a_function_runbook(), [_own()], revision=2).steps
    assert [each.object_key for each in again if isinstance(each, RebuildPackage)] != [build.object_key]


def test_the_build_is_told_of_what_its_own_code_has_and_not_of_what_came_with_a_layer() -> None:
    both = a_function_finding(packages=(a_python_package(), a_python_package(None, name="jinja2", fixed_in="3.1.6")))
    (build,) = rebuilt(both).steps
    assert isinstance(build, RebuildPackage)
    assert build.variables["PACKAGES"] == "jinja2=3.1.6"


def test_a_project_without_a_path_leaves_it_in_the_root_of_the_bucket() -> None:
    (build,) = rebuilt(package_project=PackageProject(name="p", bucket="b", path="/")).steps
    assert isinstance(build, RebuildPackage)
    assert build.object_key.startswith("order-export-remediated-")


def _own(**changes: Any) -> Any:
    return a_function_assessment(a_function_case(OWN, **(BUILT | changes)))


def _in_order(**changes: Any) -> Plan:
    return updated(None, {FUNCTION_CASE: PACKAGE}, OWN, **(BUILT | changes))


def the_code_update() -> UpdateFunctionCode:
    return UpdateFunctionCode(
        target=a_target("function", FUNCTION),
        cases=CASES,
        function=FUNCTION,
        package=PACKAGE,
        expects=BEFORE,
        leaves=REBUILT,
        last_modified=MODIFIED,
    )


def test_the_code_that_was_built_is_put_in_published_and_brought_over_by_canary() -> None:
    plan = _in_order()
    assert plan.steps == (
        the_code_update(),
        PublishVersion(target=a_target("function", FUNCTION), cases=CASES, function=FUNCTION, content=REBUILT),
        shift(),
    )
    assert plan.cannot_be_put_back == ()
    assert plan.steps[0].describe() == (
        f"Give function order-export the code in s3://{BUCKET}/{PACKAGE.key}, which build b:1 made"
    )
    undo = plan.steps[0].undo
    assert isinstance(undo, UpdateFunctionCode)
    assert (undo.expects, undo.leaves) == (REBUILT, BEFORE)
    assert undo.describe() == "Give function order-export the code back that it had"


def test_of_a_function_without_a_version_one_is_published_first_so_that_its_code_is_kept() -> None:
    plan = _in_order(aliases=())
    assert plan.steps == (
        PublishVersion(target=a_target("function", FUNCTION), cases=CASES, function=FUNCTION, content=BEFORE),
        the_code_update(),
    )
    assert "order-export has no version with its code: one is published first, to lead back" in plan.not_covered


def test_code_and_layer_are_exchanged_one_after_the_other_and_published_together() -> None:
    both = a_function_finding(packages=(a_python_package(), a_python_package(None)))
    plan = updated(None, {FUNCTION_CASE: PACKAGE}, both, **BUILT)
    code, configuration, publication, _ = plan.steps
    assert code == the_code_update()
    assert isinstance(configuration, UpdateFunctionConfiguration)
    end = REBUILT.model_copy(update={"layers": AFTER.layers})
    assert (configuration.expects, configuration.leaves, configuration.last_modified) == (REBUILT, end, None)
    assert isinstance(publication, PublishVersion)
    assert publication.content == end


def test_what_an_earlier_plan_has_put_in_is_not_put_in_again() -> None:
    aliases = (an_alias("live", served("1", content=REBUILT)),)
    assert [type(step) for step in _in_order(content=REBUILT, aliases=aliases).steps] == [PublishVersion, ShiftAlias]


def test_where_no_build_has_made_it_nothing_is_put_in() -> None:
    with pytest.raises(Refused, match="no code was built for order-export"):
        updated(None, {}, OWN, **BUILT)


def test_the_approver_reads_what_cannot_be_put_back_and_what_may_be_exchanged() -> None:
    large = _in_order(code_size=LARGEST_UPLOAD_BYTES + 1)
    assert large.cannot_be_put_back == (
        "the code of order-export, which a published version keeps: Lambda takes a zip of its size from S3 alone",
    )
    unversioned = {FUNCTION_CASE: PACKAGE.model_copy(update={"version": None})}
    words = updated(None, unversioned, OWN, **BUILT).not_covered
    assert any("its bucket keeps no versions" in each for each in words)


# --- base images -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "told", "words"),
    [
        (BaseImage(name="r/python:3.12", digest="sha256:1", newest="sha256:2"), "r/python:3.12@sha256:2", None),
        (
            BaseImage(name="r/python:3.12", digest="sha256:1", newest="sha256:1"),
            None,
            "r/python:3.12 has no newer image than order-export was built from",
        ),
        (BaseImage(name="r/python:3.12"), None, "whether there is a newer r/python:3.12 could not be read"),
        (None, None, "what the image of order-export was built from is not known"),
    ],
)
def test_the_build_of_its_image_is_told_of_a_newer_base(base: BaseImage | None, told: str | None, words: str | None):
    runbook = a_function_runbook(rebuild={"variables": {"BASE_IMAGE": "{base}"}})
    case = a_function_case(OWN, **IMAGE, base=base)
    plan = plan_function_rebuild(RESPONSE, runbook, [a_function_assessment(case, runbook)])
    (build,) = plan.steps
    assert isinstance(build, RebuildImage)
    assert build.variables == ({"BASE_IMAGE": told} if told else {})
    assert [each for each in plan.not_covered if words and words in each] == [*plan.not_covered[1:]]
