"""The approver reads everything that is approved."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from runbooks.plan import ApprovalRule, Extent, Plan
from runbooks.steps import STEP_KINDS, AnyStep
from runbooks.telling.plan_text import plan_markdown
from runbooks.windows import ChangeWindow
from tests.runbooks.builders import (
    CASE,
    INSTANCE_ID,
    a_contain_plan,
    a_plan_of,
    a_release_plan,
    a_remediate_plan,
    a_runbook,
    a_verify_plan,
    after,
    assessments,
    keys_of,
)
from tests.runbooks.every_step import every_step

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
        "How much of what there is",
        "What this does not cover",
        "What cannot be put back",
        "When it is fixed",
        "Who may approve",
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
    kinds = [type(step) for step in every_step()]
    assert (set(kinds), len(kinds)) == (set(STEP_KINDS), len(STEP_KINDS))


def test_what_a_replacement_is_launched_with_is_read_before_it_is_approved() -> None:
    launch = next(step for step in every_step() if step.kind == "launch-replacement")
    text = plan_markdown(a_plan_of(launch), keys=keys_of())
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
    assert f"Covered by the approved plan {contained.digest}" in text


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
    assert sum(token.type == "heading_open" for token in tokens) == 10
    inline = [child.type for token in tokens for child in token.children or []]
    assert not {"link_open", "html_inline", "image"} & set(inline)


def test_it_says_how_much_of_what_there_is_it_touches() -> None:
    web, lone = (
        Extent(
            case=case,
            place="210987654321/eu-west-1",
            environment="production",
            environment_size=40,
            auto_scaling_group="web",
            auto_scaling_group_size=4,
            target_groups={"arn:aws:elasticloadbalancing:eu-west-1:210987654321:targetgroup/web/0123": 5},
        )
        for case in ("case-one", "case-two")
    )
    elsewhere = Extent(case="case-three", place="210987654321/eu-north-1")
    text = plan_markdown(a_contain_plan(extents=(web, lone)), keys=keys_of())
    assert under(text, "How much of what there is") == [
        "2 of 40 running instances of environment production",
        "2 of 4 instances of Auto Scaling group web",
        "2 of 5 targets of target group web",
    ]
    apart = plan_markdown(a_contain_plan(extents=(web, elsewhere)), keys=keys_of())
    assert under(apart, "How much of what there is") == [
        "1 of 40 running instances of environment production (210987654321/eu-west-1)",
        "1 of 4 instances of Auto Scaling group web (210987654321/eu-west-1)",
        "1 of 5 targets of target group web (210987654321/eu-west-1)",
        "1 running instance (of how many is not known) of environment unknown (210987654321/eu-north-1)",
    ]


def test_it_says_when_the_first_change_may_be_made_and_when_that_is_next() -> None:
    nightly = ChangeWindow(start="22:00", end="02:00", timezone="Europe/Berlin")
    plan = a_remediate_plan(windows=(nightly,))
    within = "The first change is made only within: daily 22:00 to 02:00 Europe/Berlin"
    assert under(plan_markdown(plan, keys=keys_of()), "When") == [within]
    assert under(plan_markdown(plan, keys=keys_of(), now=after(0)), "When") == [
        within,
        "It opens next at 2026-03-02 21:00:00 UTC, until 2026-03-03 01:00:00 UTC",
    ]
    assert under(plan_markdown(plan, keys=keys_of(), now=after(12 * 60)), "When") == [
        within,
        "It is open now, until 2026-03-03 01:00:00 UTC",
    ]


def test_it_says_who_may_approve_and_how_they_prove_it() -> None:
    plan = a_contain_plan(
        extents=(Extent(case=CASE, environment="production"),),
        approval=ApprovalRule(approvers=("jane", "joe", "jim"), quorum=2, expires_minutes=30),
    )
    assert under(plan_markdown(plan, keys=keys_of()), "Who may approve") == [
        "Asked for: a yes of 2 different people with the grant contain@production; only jane, joe and jim may",
        "Proof: a one-time code, also in Slack",
        "It lapses unless the first change is made within 30 min of the question",
    ]
    easier = plan.model_copy(update={"approval": ApprovalRule(slack_suffices=True), "windows": (a_window(),)})
    assert under(plan_markdown(easier, keys=keys_of()), "Who may approve") == [
        "Asked for: a yes of 1 person with the grant contain@production",
        "Proof: a one-time code; in Slack the button is enough",
        (
            "It lapses unless the first change is made within 60 min of the question, or by the end of the window "
            "that comes then"
        ),
    ]


def test_what_is_pre_authorised_says_so_and_why() -> None:
    plan = a_contain_plan(approval=ApprovalRule(pre_authorised="the runbook contains what is exposed"))
    assert under(plan_markdown(plan, keys=keys_of()), "Who may approve")[0] == (
        "Nobody is asked as long as the runbook's number for an hour is not used up: the runbook contains what is "
        "exposed. Otherwise:"
    )


def test_what_changed_since_the_plan_before_is_read_first() -> None:
    old = a_contain_plan()
    new = old.model_copy(update={"revision": 2, "previous": old.digest, "code": "c" * 64})
    text = plan_markdown(new, keys=keys_of(), previous=old, most_steps=60)
    assert headings(text)[1:4] == ["What changed since revision 1", "Terms", "Why"]
    assert f"- program: `none` becomes `{'c' * 64}`" in text


def test_a_plan_that_only_follows_one_of_another_phase_is_not_compared_with_it() -> None:
    remediation = a_remediate_plan()
    text = plan_markdown(a_verify_plan(), keys=keys_of(), previous=remediation)
    assert "What changed" not in text


OTHERWISE = {
    "code": "c" * 64,
    "windows": (ChangeWindow(start="22:00", end="02:00"),),
    "extents": (Extent(case=CASE, environment="production"),),
    "waves": ((), (CASE,)),
    "deferred": ("case-other",),
    "approval": ApprovalRule(quorum=2),
    "previous": "d" * 64,
}


@pytest.mark.parametrize("name", sorted(Plan.model_fields))
def test_every_part_of_a_plan_shows_in_its_text(name: str) -> None:
    """Beyond the digest, in which everything shows."""
    old = a_contain_plan()
    other = a_remediate_plan(response="another", runbook_digest="0" * 64, releases_when_fixed=False, revision=7)
    other = other.model_copy(update={"cases": ("other",), "not_covered": ("other",), "cannot_be_put_back": ("other",)})
    other = other.model_copy(update={"runbook": "other", **OTHERWISE})
    new = old.model_copy(update={name: getattr(other, name)})
    shown = [plan_markdown(plan, keys=keys_of()).replace(plan.digest, "") for plan in (old, new)]
    assert shown[0] != shown[1]


@pytest.mark.parametrize(
    "changed",
    [
        ApprovalRule(required=False),
        ApprovalRule(approvers=("jane",)),
        ApprovalRule(quorum=2),
        ApprovalRule(slack_suffices=True),
        ApprovalRule(pre_authorised="so it is"),
        ApprovalRule(expires_minutes=5),
        ApprovalRule(covered_by="e" * 64),
    ],
    ids=lambda rule: ", ".join(rule.model_fields_set),
)
def test_every_part_of_the_approval_rule_shows(changed: ApprovalRule) -> None:
    plans = [a_contain_plan(approval=rule) for rule in (ApprovalRule(), changed)]
    shown = [under(plan_markdown(plan, keys=keys_of()), "Who may approve") for plan in plans]
    assert shown[0] != shown[1]


def test_there_is_an_example_of_every_part_of_the_approval_rule() -> None:
    assert len(ApprovalRule.model_fields) == 7


def a_window() -> ChangeWindow:
    return ChangeWindow(start="22:00", end="02:00")


def under(text: str, heading: str) -> list[str]:
    """The items of the list below a heading."""
    body = re.split(r"^#+ ", text, flags=re.MULTILINE)
    (found,) = [part for part in body if part.startswith(f"{heading}\n")]
    return [line.removeprefix("- ") for line in found.split("\n") if line.startswith("- ")]
