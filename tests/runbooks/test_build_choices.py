"""Who makes the patched image, by the runbook's choice: exactly one, or the runbook is refused when it is read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from runbooks.build_choices import Builder
from runbooks.build_terms import MOST_INPUTS, Workflow, workflow_of
from runbooks.catalog import LIBRARY, Catalog
from runbooks.definition import Rebuild, Runbook
from runbooks.errors import InvalidRunbook, Refused
from tests.runbooks.image_builders import an_image_runbook

WORKFLOW = "shop/checkout/.github/workflows/rebuild.yml@main"


def test_a_workflow_is_named_as_another_workflow_would_name_it() -> None:
    workflow = Workflow.parse("shop-inc/check.out/.github/workflows/rebuild-it.yaml@release/1.x")
    assert workflow == Workflow(owner="shop-inc", repository="check.out", file="rebuild-it.yaml", ref="release/1.x")
    assert Workflow.parse(str(workflow)) == workflow


@pytest.mark.parametrize(
    "text",
    [
        "",
        "shop/checkout/rebuild.yml@main",
        "shop/checkout/.github/workflows/rebuild.yml",
        "shop/checkout/.github/workflows/rebuild.yml@",
        "shop/checkout/.github/workflows/rebuild.sh@main",
        "shop/checkout/.github/workflows/../../x.yml@main",
        "shop/../.github/workflows/x.yml@main",
        "shop/./.github/workflows/x.yml@main",
        "https://github.com/shop/checkout/.github/workflows/x.yml@main",
        "shop/check out/.github/workflows/x.yml@main",
        "shop/checkout/.github/workflows/x.yml@main?x=1",
        "shop/checkout/.github/workflows/x.yml@-main",
        "shop/checkout/.github/workflows/x.yml@main\n",
    ],
)
def test_what_could_lead_to_another_address_names_no_workflow(text: str) -> None:
    with pytest.raises(ValueError, match="names no workflow: write owner/repository"):
        Workflow.parse(text)


def test_a_workflow_may_be_named_after_the_repository_and_a_name_that_is_too_long_is_a_persons_matter() -> None:
    template = "shop/{repository}/.github/workflows/rebuild.yml@main"
    assert Builder(workflow=template).workflow == template
    assert workflow_of(template, "shop/check.out").repository == "shop-check-out"
    with pytest.raises(Refused) as refused:
        workflow_of(template, "x" * 101)
    assert refused.value.code == "person"


def test_the_default_project_is_one_only_where_nothing_else_builds() -> None:
    assert Builder().project == "{repository}"
    assert Builder(workflow=WORKFLOW).project is None
    assert Builder(patch_in_place=True).project is None
    for chosen in (Builder(), Builder(workflow=WORKFLOW), Builder(patch_in_place=True), Builder(project="x")):
        assert Builder.model_validate(chosen.model_dump()) == chosen


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"project": "x", "workflow": WORKFLOW}, "makes the image, and project and workflow are given"),
        ({"project": "x", "patch_in_place": True}, "makes the image, and project and patch_in_place are given"),
        ({"workflow": WORKFLOW, "patch_in_place": True}, "makes the image, and workflow and patch_in_place are given"),
        ({"project": None}, "exactly one of project, workflow, patch_in_place makes the image, and none is given"),
        ({"workflow": "rebuild.yml"}, "names no workflow"),
        ({"workflow": "a/{tag}/.github/workflows/x.yml@main"}, "{tag} stands for nothing"),
        ({"test_project": "x", "test_workflow": WORKFLOW}, "one of test_project and test_workflow tries the image"),
        ({"patch_in_place": True, "variables": {"A": "{tag}"}}, "nobody is told of them"),
        (
            {"workflow": WORKFLOW, "variables": {f"V{number}": "x" for number in range(MOST_INPUTS)}},
            "a workflow takes 25 inputs, one of which says whose run it is",
        ),
    ],
)
def test_anything_but_one_builder_is_no_runbook(choices: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(words)):
        Rebuild.model_validate(choices)


def test_a_mistake_is_named_with_the_file_and_the_line_it_is_in(tmp_path: Path) -> None:
    text = (LIBRARY / "ecr-critical-cve.yaml").read_text()
    (tmp_path / "ecr-critical-cve.yaml").write_text(
        text.replace("\nrebuild:\n", f"\nrebuild:\n  workflow: {WORKFLOW}\n")
    )
    with pytest.raises(InvalidRunbook) as refused:
        Catalog.read(tmp_path)
    words = r"ecr-critical-cve\.yaml:\d+: rebuild: exactly one of project, workflow, patch_in_place makes the image"
    assert re.search(words, str(refused.value))


def by(**choices: Any) -> Runbook:
    return an_image_runbook(rebuild={"project": None, "variables": {}} | choices)


def test_a_workflow_has_to_be_told_of_the_tag_and_copa_is_told_anyway() -> None:
    with pytest.raises(ValidationError, match=re.escape("one of them must name {tag}")):
        by(workflow=WORKFLOW)
    assert by(workflow=WORKFLOW, variables={"IMAGE_TAG": "{tag}"}).rebuild.workflow == WORKFLOW
    assert by(patch_in_place=True).rebuild.patch_in_place


def test_where_pulls_are_denied_copa_has_to_be_let_in() -> None:
    denied = {"block": {"deny_pulls": True}}
    choices = {"project": None, "variables": {}, "patch_in_place": True}
    with pytest.raises(ValidationError, match="copa pulls what it patches"):
        an_image_runbook(rebuild=choices, contain=denied)
    roles = ("arn:aws:iam::210987654321:role/remediation-runbooks-patch",)
    let_in = {"block": {"deny_pulls": True, "may_pull": roles}}
    assert an_image_runbook(rebuild=choices, contain=let_in)


def test_the_image_of_a_function_is_built_by_a_project() -> None:
    values = Catalog.read().named("lambda-package-cve").model_dump()
    values["rebuild"] |= {"project": None, "workflow": WORKFLOW}
    with pytest.raises(ValidationError, match="the image of a function is built by a CodeBuild project"):
        Runbook.model_validate(values)
