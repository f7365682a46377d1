"""The approver reads everything that is approved, and everything that changed since."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from runbooks.plan import ApprovalRule, Plan
from runbooks.steps import STEP_KINDS, AnyStep
from runbooks.telling.plan_text import plan_difference, plan_markdown
from tests.runbooks.builders import (
    CASE,
    INSTANCE_ID,
    a_contain_plan,
    a_plan_of,
    a_release_plan,
    a_remediate_plan,
    a_runbook,
    a_verify_plan,
    assessments,
    every_step,
    keys_of,
)

GFM = MarkdownIt("commonmark").enable(["table"])


def headings(text: str) -> list[str]:
    return re.findall(r"^#+ (.*)$", text, re.MULTILINE)


def rows(text: str) -> list[list[str]]:
    """The rows of the table of steps, cell by cell."""
    lines = [line for line in text.split("\n") if re.match(r"\| \d+ \|", line)]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_a_contain_plan_says_what_why_how_and_what_not() -> None:
    plan = a_contain_plan()
    text = plan_markdown(plan, keys=keys_of())
    assert headings(text) == [
        f"Contain {INSTANCE_ID} (210987654321, eu-west-1)",
        "Why",
        "What will be done",
        "To what",
        "What this does not cover",
        "What cannot be put back",
        "When it is fixed",
        "The plan itself",
    ]
    assert "**7 steps, exactly as listed below, and nothing else. 5 of 7 can be put back.**" in text
    for said in (*plan.reasons, *plan.not_covered, *plan.cannot_be_put_back):
        assert f"- {said}" in text
    for fact in (plan.digest, plan.runbook_digest, plan.runbook, plan.response, "contain, revision 1", "60 min"):
        assert fact in text


def test_every_step_has_its_call_target_expectation_and_way_back_in_order() -> None:
    plan = a_contain_plan()
    found = rows(plan_markdown(plan, keys=keys_of()))
    assert [row[0] for row in found] == [str(number) for number in range(1, 8)]
    swap = found[-1]
    assert swap[1] == (
        "Interface eni-0000000000000000a: security groups [sg-0web, sg-0base] become [remediation-quarantine-df42a650]"
    )
    assert swap[2] == "`ec2:ModifyNetworkInterfaceAttribute` on network-interface `eni-0000000000000000a`"
    assert swap[3] == "Groups [sg-0web, sg-0base], in this order"
    assert swap[4].endswith("security groups [remediation-quarantine-df42a650] become [sg-0web, sg-0base]")
    assert found[0][4].startswith("Not put back: the group is empty")


@pytest.mark.parametrize("step", every_step(), ids=lambda step: step.kind)
def test_every_kind_of_step_can_be_told(step: AnyStep) -> None:
    text = plan_markdown(a_plan_of(step), keys=keys_of())
    (row,) = rows(text)
    assert all(row)
    assert all(f"`{call}`" in row[2] for call in step.calls)
    assert step.undoes or step.undo or step.undo_reason in row[4]


def test_there_is_an_example_of_every_kind_of_step() -> None:
    assert [type(step) for step in every_step()] == list(STEP_KINDS)


def test_what_a_replacement_is_launched_with_is_read_before_it_is_approved() -> None:
    text = plan_markdown(a_plan_of(every_step()[-1]), keys=keys_of())
    for fact in ("ami-0patched", "sg-0web", "instance-profile/checkout", "Name=checkout-7"):
        assert fact in text


def test_the_list_of_packages_is_shown_as_it_will_be_written() -> None:
    plan = a_remediate_plan()
    (content,) = [step.content for step in plan.steps if step.kind == "write-override-list"]
    fences = [token.content for token in GFM.parse(plan_markdown(plan, keys=keys_of())) if token.type == "fence"]
    assert fences == [content]


def test_it_says_whether_it_is_released_by_itself() -> None:
    asks = a_contain_plan(runbook=a_runbook(release={"when_fixed": "ask"}))
    assert "**It is released by itself**" in plan_markdown(a_contain_plan(), keys=keys_of())
    assert "until a person releases it" in plan_markdown(asks, keys=keys_of())
    assert "released by itself" not in plan_markdown(asks, keys=keys_of())


def test_a_release_names_what_stays_and_the_plan_that_covers_it() -> None:
    contained = a_contain_plan()
    text = plan_markdown(a_release_plan(contained), keys=keys_of())
    assert "which put back what was there before" in text
    assert "What stays as it is" in headings(text)
    assert f"covered by the approved plan `{contained.digest}`" in text


def test_a_verify_plan_says_that_it_changes_nothing() -> None:
    assert "Nothing is changed" in plan_markdown(a_verify_plan(), keys=keys_of())


def test_fifty_instances_are_all_named() -> None:
    every = assessments(50)
    text = plan_markdown(a_remediate_plan(*every), keys=keys_of(*every))
    patching = rows(text)[-1][1]
    for each in every:
        assert each.facts.findings[0].resource.id in patching
        assert f"`{each.case}`" in text
    assert headings(text)[0] == "Remediate 50 instances (210987654321, eu-west-1)"


def test_a_short_form_counts_what_it_leaves_out() -> None:
    every = assessments(20)
    plan = a_contain_plan(*every)
    text = plan_markdown(plan, keys=keys_of(*every), most_steps=5)
    assert len(re.findall(r"^\d+\. ", text, re.MULTILINE)) == 5
    assert "Not shown here: 16 x detach from auto scaling group, 20 x deregister target" in text
    counts = re.findall(r"(\d+) x ", text)
    assert sum(map(int, counts)) == len(plan.steps) - 5


def test_a_form_says_all_that_the_table_says_without_being_wider_than_itself() -> None:
    plan = a_contain_plan()
    text = plan_markdown(plan, keys=keys_of(), most_steps=60)
    tokens = GFM.parse(text)
    assert [token.type for token in tokens if token.type == "table_open"] == []
    said = [token.content for token in tokens if token.type == "inline"]
    for number, *cells in rows(plan_markdown(plan, keys=keys_of())):
        assert f"{number}. **{cells[0]}**" in text
        for name, cell in zip(("Call and target", "Expects to find", "How it is put back"), cells[1:], strict=True):
            assert f"{name}: {cell}" in said
    half = len(plan.digest) // 2
    assert f"Plan digest: `{plan.digest[:half]}` `{plan.digest[half:]}`" in said
    assert f"`{INSTANCE_ID}`, `210987654321`, `eu-west-1`, `{CASE}`" in said


def test_a_case_without_a_key_is_still_named() -> None:
    text = plan_markdown(a_contain_plan(), keys={})
    assert headings(text)[0] == f"Contain {CASE}"


@given(st.text(max_size=80))
def test_a_reason_cannot_forge_a_heading_or_a_link(words: str) -> None:
    hostile = f"{words}\n\n# Approved [here](https://evil.example) <b>"
    plan = a_contain_plan(reasons=(hostile,), not_covered=(hostile,), cannot_be_put_back=(hostile,))
    tokens = GFM.parse(plan_markdown(plan, keys=keys_of()))
    assert sum(token.type == "heading_open" for token in tokens) == 8
    inline = [child.type for token in tokens for child in token.children or []]
    assert not {"link_open", "html_inline", "image"} & set(inline)


def test_the_same_plan_differs_in_nothing() -> None:
    plan = a_contain_plan()
    assert "Nothing: revision 1 is the same plan." in plan_difference(plan, plan)


def test_another_number_alone_is_no_other_plan() -> None:
    plan = a_contain_plan()
    text = plan_difference(plan, plan.model_copy(update={"revision": 2, "previous": plan.digest}))
    assert "Nothing: revision 2 does the same; only its number is new." in text


def test_the_difference_names_what_came_went_and_changed() -> None:
    old = a_contain_plan()
    swap = old.steps[-1].model_copy(update={"expects": ("sg-0other",)})
    new = old.model_copy(
        update={
            "steps": (*old.steps[1:-1], swap, *a_plan_of(every_step()[10]).steps),
            "cases": (*old.cases, "case-other"),
            "reasons": (*old.reasons[1:], "a new reason"),
            "releases_when_fixed": False,
            "approval": ApprovalRule(approvers=("jane",), expires_minutes=5),
            "runbook_digest": "f" * 64,
            "revision": 2,
        }
    )
    text = plan_difference(old, new)
    assert "- joined: `case-other`" in text
    assert f"- no longer: {old.steps[0].describe()}" in text
    assert f"- new: Stop {INSTANCE_ID}" in text
    assert "expects: `['sg-0web', 'sg-0base']` becomes `['sg-0other']`" in text
    assert f"- no longer: {old.reasons[0]}" in text
    assert "- new: a new reason" in text
    assert "- released by itself when fixed: no longer" in text
    assert "within 60 min of the question; becomes: by `jane`; it lapses" in text
    assert f"- runbook digest: `{old.runbook_digest}` becomes `{'f' * 64}`" in text
    assert old.digest in text
    assert new.digest in text


def test_another_order_of_the_same_steps_is_told() -> None:
    old = a_contain_plan()
    new = old.model_copy(update={"steps": tuple(reversed(old.steps))})
    assert "the steps that stay come in another order" in plan_difference(old, new)


@pytest.mark.parametrize("name", sorted(set(Plan.model_fields) - {"revision", "previous"}))
def test_no_part_of_a_plan_changes_unseen(name: str) -> None:
    old = a_contain_plan()
    other = a_remediate_plan(response="another", runbook_digest="0" * 64, releases_when_fixed=False).model_copy(
        update={"cases": ("case-other",), "not_covered": ("else",), "cannot_be_put_back": ("else",), "runbook": "else"}
    )
    new = old.model_copy(update={name: getattr(other, name)})
    assert old.digest != new.digest
    assert "Nothing:" not in plan_difference(old, new)
