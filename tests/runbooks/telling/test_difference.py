"""Every difference between two plans is told: whoever is asked again reads what is new."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from runbooks.plan import ApprovalRule, Extent, Plan
from runbooks.telling.difference import difference_lines, plan_difference
from runbooks.windows import ChangeWindow
from tests.runbooks.builders import CASE, INSTANCE_ID, a_contain_plan, a_plan_of, a_remediate_plan
from tests.runbooks.every_step import every_step


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
    assert "- new: It lapses unless the first change is made within 5 min of the question" in text
    assert "only jane may" in text
    assert f"- runbook digest: `{old.runbook_digest}` becomes `{'f' * 64}`" in text
    assert old.digest in text
    assert new.digest in text


def test_another_order_of_the_same_steps_is_told() -> None:
    old = a_contain_plan()
    new = old.model_copy(update={"steps": tuple(reversed(old.steps))})
    assert "the steps that stay come in another order" in plan_difference(old, new)


def test_the_lines_say_the_same_each_with_what_it_is_about() -> None:
    old = a_contain_plan()
    swap = old.steps[-1].model_copy(update={"expects": ("sg-0other",)})
    new = old.model_copy(
        update={"steps": (*old.steps[:-1], swap), "reasons": (*old.reasons, "it *moved*"), "code": "c" * 64}
    )
    assert difference_lines(old, new) == (
        f"Steps: otherwise: {swap.describe()} (expects: ['sg-0web', 'sg-0base'] becomes ['sg-0other'])",
        "Reasons: new: it *moved*",
        f"Terms: program: none becomes {'c' * 64}",
    )
    assert difference_lines(old, old) == ()


CHANGES = {
    "phase": a_remediate_plan().phase,
    "response": "another",
    "runbook": "another",
    "runbook_digest": "0" * 64,
    "cases": ("case-other",),
    "steps": a_remediate_plan().steps,
    "reasons": ("else",),
    "not_covered": ("else",),
    "cannot_be_put_back": ("else",),
    "releases_when_fixed": False,
    "approval": ApprovalRule(quorum=2),
    "extents": (Extent(case=CASE, environment="production"),),
    "windows": (ChangeWindow(start="22:00", end="02:00"),),
    "code": "c" * 64,
    "waves": ((CASE,), ("case-other",)),
    "deferred": ("case-other",),
}


def test_there_is_a_change_of_every_part_of_a_plan() -> None:
    assert set(CHANGES) == set(Plan.model_fields) - {"revision", "previous"}


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_no_part_of_a_plan_changes_unseen(name: str) -> None:
    old = a_contain_plan()
    new = old.model_copy(update={name: CHANGES[name]})
    assert old.digest != new.digest
    assert "Nothing:" not in plan_difference(old, new)
    assert difference_lines(old, new)


@pytest.mark.parametrize(
    "changed",
    [
        {"environment": "staging"},
        {"environment_size": 41},
        {"auto_scaling_group": "api"},
        {"auto_scaling_group_size": 5},
        {"target_groups": {"arn:aws:elasticloadbalancing:eu-west-1:210987654321:targetgroup/web/0123": 6}},
        {"place": "210987654321/eu-north-1"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_no_part_of_an_extent_changes_unseen(changed: dict[str, object]) -> None:
    extent = Extent(
        case=CASE,
        place="210987654321/eu-west-1",
        environment="production",
        environment_size=40,
        auto_scaling_group="web",
        auto_scaling_group_size=4,
        target_groups={"arn:aws:elasticloadbalancing:eu-west-1:210987654321:targetgroup/web/0123": 5},
    )
    old, new = (a_contain_plan(extents=(each,)) for each in (extent, extent.model_copy(update=changed)))
    assert [line for line in difference_lines(old, new) if line.startswith("Blast radius: ")]


@given(st.text(max_size=80))
def test_what_is_new_cannot_forge_a_heading_or_a_link(words: str) -> None:
    hostile = f"{words}\n\n# Approved [here](https://evil.example) <b>"
    old = a_contain_plan()
    new = old.model_copy(update={"reasons": (hostile,), "runbook": hostile})
    tokens = MarkdownIt("commonmark").enable(["table"]).parse(plan_difference(old, new))
    assert sum(token.type == "heading_open" for token in tokens) == 3
    inline = [child.type for token in tokens for child in token.children or []]
    assert not {"link_open", "html_inline", "image"} & set(inline)
    assert all(line.isprintable() for line in difference_lines(old, new))
