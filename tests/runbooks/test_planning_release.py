"""The release plan: what was really changed is put back, the newest first, each to exactly what was there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbooks.instance import Volume
from runbooks.plan import ApprovalRule, Phase, Plan
from runbooks.planning.images.promotion import closing_reason
from runbooks.planning.release import plan_release, staying
from runbooks.records import Outcome
from runbooks.repository_policy import with_pulls_denied
from runbooks.steps import (
    AttachToAutoScaling,
    DeregisterTarget,
    DetachFromAutoScaling,
    EnsureQuarantineGroup,
    SetDeleteOnTermination,
    SetRepositoryPolicy,
    SetStageTransition,
    SwapSecurityGroups,
)
from tests.runbooks.builders import (
    CASE,
    RESPONSE,
    OutcomeStatus,
    a_case_key,
    a_contain_plan,
    a_plan_of,
    a_runbook,
    a_target,
    a_target_registration,
    an_assessment,
    an_auto_scaling_membership,
    an_instance,
    an_outcome,
    assessments,
    case_facts,
    instance_facts,
)
from tests.runbooks.every_step import every_step

QUARANTINE = {"groups": ["sg-0quarantine"]}


def outcomes(plan: Plan, status: OutcomeStatus = "done", **of_kind: OutcomeStatus) -> dict[str, Outcome]:
    """Operation -> outcome: this status for every step but those of the kinds named (`_` for `-`)."""
    found: dict[str, Outcome] = {}
    for step in plan.steps:
        result: dict[str, Any] = QUARANTINE if isinstance(step, SwapSecurityGroups) else {}
        chosen = of_kind.get(step.kind.replace("-", "_"), status)
        found[plan.operation(step)] = an_outcome(plan, step, chosen, result=result)
    return found


def released(
    *plans: Plan, of: dict[str, Outcome] | None = None, cases: Sequence[str] = (CASE,), **choices: Any
) -> Plan:
    known = of if of is not None else {name: each for plan in plans for name, each in outcomes(plan).items()}
    settings: dict[str, Any] = {"response": RESPONSE, "by_itself": True}
    return plan_release(a_runbook(), plans, known, cases, **(settings | choices))


def kinds(plan: Plan) -> list[str]:
    return [step.kind for step in plan.steps]


def test_everything_that_was_changed_is_put_back_in_reverse() -> None:
    contained = a_contain_plan(runbook=a_runbook(contain={"stop": True}))
    plan = released(contained)
    assert [step.describe() for step in plan.steps] == [
        "Start i-0a1b2c3d4e5f60718",
        "Interface eni-0000000000000000a: security groups [sg-0quarantine] become [sg-0web, sg-0base]",
        "Volumes of i-0a1b2c3d4e5f60718 when it is terminated: /dev/sda1: deleted",
        "Set disableApiTermination of i-0a1b2c3d4e5f60718 to off",
        "Register i-0a1b2c3d4e5f60718:443 with target group checkout again",
        "Attach i-0a1b2c3d4e5f60718 to Auto Scaling group checkout again; its desired capacity rises by one",
    ]
    assert all(step.undoes for step in plan.steps)
    assert (plan.phase, plan.cases, plan.releases_when_fixed) == (Phase.RELEASE, (CASE,), False)


def test_an_interface_goes_from_the_quarantine_by_its_id_to_the_very_same_ordered_groups() -> None:
    (swap,) = (step for step in released(a_contain_plan()).steps if isinstance(step, SwapSecurityGroups))
    assert (swap.expects, swap.leaves, swap.via) == (("sg-0quarantine",), ("sg-0web", "sg-0base"), None)


def test_a_swap_whose_result_was_lost_is_undone_by_the_groups_name() -> None:
    contained = a_contain_plan()
    plain = {name: each.model_copy(update={"result": {}}) for name, each in outcomes(contained).items()}
    (swap,) = (step for step in released(contained, of=plain).steps if isinstance(step, SwapSecurityGroups))
    assert swap.expects == ("@remediation-quarantine-df42a650",)


@pytest.mark.parametrize(
    ("status", "put_back"),
    [
        ("done", True),
        ("in-progress", True),
        ("already-done", False),
        ("failed", False),
        ("drifted", False),
        ("refused", False),
    ],
)
def test_only_what_this_system_changed_is_put_back(status: OutcomeStatus, put_back: bool) -> None:
    contained = a_contain_plan()
    found = kinds(released(contained, of=outcomes(contained, swap_security_groups=status)))
    assert ("swap-security-groups" in found) is put_back
    assert len(found) == 4 + put_back


@pytest.mark.parametrize("protected", [True, False])
def test_what_returns_is_as_protected_from_scale_in_as_it_was_when_it_left(protected: bool) -> None:
    contained = a_contain_plan()
    found = outcomes(contained)
    (step,) = (step for step in contained.steps if isinstance(step, DetachFromAutoScaling))
    left = found[contained.operation(step)].model_copy(update={"result": {"protected": protected}})
    plan = released(contained, of=found | {left.operation: left})
    assert [step.protected for step in plan.steps if isinstance(step, AttachToAutoScaling)] == [protected]


def test_a_volume_that_somebody_else_had_already_chosen_to_keep_is_not_put_back() -> None:
    volumes = tuple(
        Volume(id=f"vol-{device}", device=f"/dev/{device}", delete_on_termination=True) for device in ("sda1", "sdb")
    )
    contained = a_contain_plan(an_assessment(case_facts(resource=instance_facts(an_instance(volumes=volumes)))))
    found = outcomes(contained)
    (step,) = (step for step in contained.steps if isinstance(step, SetDeleteOnTermination))
    ours = found[contained.operation(step)].model_copy(update={"result": {"devices": ["/dev/sdb"]}})
    (undo,) = (
        step
        for step in released(contained, of=found | {ours.operation: ours}).steps
        if isinstance(step, SetDeleteOnTermination)
    )
    assert (undo.expects, undo.leaves) == ({"/dev/sdb": False}, {"/dev/sdb": True})


def test_what_was_never_begun_is_not_put_back() -> None:
    contained = a_contain_plan()
    assert released(contained, of={}).steps == ()
    assert released(of={}).steps == ()


def test_several_contain_plans_are_put_back_from_the_newest_change_on() -> None:
    plan = a_contain_plan()
    first = plan.model_copy(update={"steps": plan.steps[:5], "revision": 1})
    second = plan.model_copy(update={"steps": plan.steps[5:], "revision": 2, "previous": first.digest})
    released_both = released(first, second)
    assert kinds(released_both) == [
        "swap-security-groups",
        "set-delete-on-termination",
        "set-instance-attribute",
        "register-target",
        "attach-to-auto-scaling-group",
    ]
    assert released_both.approval == ApprovalRule(required=False, covered_by=second.digest)
    assert released(first, second, of=outcomes(first)).steps == released_both.steps[1:]


def test_what_two_plans_changed_is_put_back_once_to_what_the_newest_found() -> None:
    first = a_contain_plan()
    steps = tuple(
        step.model_copy(update={"expects": ("sg-0later",)}) if isinstance(step, SwapSecurityGroups) else step
        for step in first.steps
    )
    second = first.model_copy(update={"steps": steps, "revision": 2, "previous": first.digest})
    plan = released(first, second)
    assert kinds(plan) == kinds(released(first))
    assert len({step.key for step in plan.steps}) == len(plan.steps)
    (swap,) = (step for step in plan.steps if isinstance(step, SwapSecurityGroups))
    assert swap.leaves == ("sg-0later",)


OTHERS = closing_reason("shop/basket", "resp-another")


def a_closing(**changes: Any) -> SetStageTransition:
    values: dict[str, Any] = {
        "target": a_target("pipeline-stage", "checkout/Production"),
        "cases": (CASE,),
        "pipeline": "checkout",
        "stage": "Production",
        "enabled": False,
        "reason": closing_reason("shop/checkout", RESPONSE),
    }
    return SetStageTransition.model_validate(values | changes)


def test_what_another_response_had_closed_is_opened_by_the_reason_that_it_had() -> None:
    contained = a_plan_of(a_closing())
    found = an_outcome(contained, contained.steps[0], "already-done", result={"enabled": False, "reason": OTHERS})
    (undo,) = released(contained, of={found.operation: found}).steps
    assert isinstance(undo, SetStageTransition)
    assert (undo.enabled, undo.reason, undo.undoes) == (True, OTHERS, True)
    theirs = found.model_copy(update={"result": {"enabled": False, "reason": "freeze until Monday"}})
    assert released(contained, of={theirs.operation: theirs}).steps == ()


def test_of_one_that_changed_it_and_one_that_found_it_so_the_first_says_what_there_was_before() -> None:
    former, written_anew = '{"Statement":   []}', None
    denied = with_pulls_denied(former)
    step = SetRepositoryPolicy(
        target=a_target("repository", "shop"), cases=(CASE,), repository="shop", expects=former, leaves=denied
    )
    first = a_plan_of(step)
    second = a_plan_of(step.model_copy(update={"expects": written_anew}), revision=2)
    known = [
        an_outcome(first, first.steps[0]),
        an_outcome(second, second.steps[0], "already-done", result={"policy": denied}),
    ]
    (undo,) = released(first, second, of={each.operation: each for each in known}).steps
    assert isinstance(undo, SetRepositoryPolicy)
    assert (undo.expects, undo.leaves) == (denied, former)


def test_what_was_changed_for_another_case_is_put_back_with_the_one_that_it_is_kept_for() -> None:
    contained = a_plan_of(a_closing(cases=("case-gone",)))
    done = an_outcome(contained, contained.steps[0])
    assert released(contained, of={done.operation: done}).steps == ()
    (undo,) = released(contained, of={done.operation: done}, kept_for={done.operation: {CASE}}).steps
    assert undo.cases == (CASE,)


def test_a_release_says_for_whom_something_stays() -> None:
    contained = a_plan_of(a_closing())
    plan = released(contained)
    keys = [a_case_key(f"i-{number:017x}") for number in range(2)]
    words = "Open the way into stage Production of pipeline checkout: not as long as"
    told = staying(plan, {plan.steps[0].key: keys[:1]}).not_covered[-1]
    assert told == f"{words} case {keys[0].id} ({keys[0].name}) counts on it; the last to be released does it"
    told = staying(plan, {plan.steps[0].key: keys}).not_covered[-1]
    assert told.startswith(f"{words} case {keys[0].id} ({keys[0].name}) and case {keys[1].id}")
    assert told.endswith(" count on it; the last to be released does it")
    assert staying(plan, {}) == plan


def test_what_cannot_return_is_left_out_and_said() -> None:
    full = an_auto_scaling_membership(desired=6, maximum=6)
    contained = a_contain_plan(an_assessment(case_facts(resource=instance_facts(an_instance(auto_scaling=full)))))
    plan = released(contained)
    assert not [step for step in plan.steps if isinstance(step, AttachToAutoScaling)]
    assert "i-0a1b2c3d4e5f60718 stays out of checkout, which is at its maximum" in plan.not_covered


@pytest.mark.parametrize(("left_by", "returns"), [("done", True), ("already-done", False)])
def test_a_target_that_only_followed_its_group_returns_only_where_the_leaving_was_ours(
    left_by: OutcomeStatus, returns: bool
) -> None:
    arn = a_target_registration().target_group
    group = an_auto_scaling_membership(target_groups=(arn,))
    contained = a_contain_plan(an_assessment(case_facts(resource=instance_facts(an_instance(auto_scaling=group)))))
    found = outcomes(contained, detach_from_auto_scaling_group=left_by)
    plan = released(contained, of=found)
    assert ("register-target" in kinds(plan)) is returns
    told = [words for words in plan.not_covered if "somebody else took it out of its Auto Scaling group" in words]
    assert bool(told) is not returns
    (leaving,) = (step for step in contained.steps if isinstance(step, DeregisterTarget))
    ours = found[contained.operation(leaving)].model_copy(update={"result": {"deregistered": leaving.port}})
    assert "register-target" in kinds(released(contained, of=found | {ours.operation: ours}))


def test_what_stays_is_told_with_its_reason() -> None:
    words = released(a_contain_plan()).not_covered
    assert len(words) == 2
    assert words[0].endswith("serves the next containment in this VPC")
    assert words[1].endswith("snapshots are evidence; a person deletes them when the case no longer needs them")


def test_only_the_named_cases_are_put_back_and_only_of_them_is_told() -> None:
    cases = assessments(2)
    contained = a_contain_plan(*cases)
    plan = released(contained, cases=[cases[0].case])
    assert {case for step in plan.steps for case in step.cases} == {cases[0].case}
    other = cases[1].facts.host.instance
    assert other is not None
    assert not [words for words in (*plan.not_covered, *plan.reasons) if other.id in words]
    assert released(contained, cases=[]).steps == ()


def test_the_shared_quarantine_group_is_never_taken_away() -> None:
    contained = a_contain_plan(*assessments(3))
    assert not [
        step for step in released(contained, cases=contained.cases).steps if isinstance(step, EnsureQuarantineGroup)
    ]


def test_a_release_by_itself_rests_on_the_containment_and_any_other_asks() -> None:
    contained = a_contain_plan()
    by_itself, asked = released(contained), released(contained, by_itself=False)
    assert by_itself.approval == ApprovalRule(required=False, covered_by=contained.digest)
    assert by_itself.reasons == ("the verdict is fixed, and the approved containment said that it ends then",)
    assert asked.approval == a_runbook().release.approval.rule()
    (reason,) = asked.reasons
    assert "ALTHOUGH NOTHING PROVES A FIX (there is no verdict)" in reason
    assert asked.steps == by_itself.steps


def test_with_nothing_to_rest_on_a_release_asks() -> None:
    assert released(of={}).approval.required


STEPS = st.lists(st.sampled_from(every_step()), unique_by=lambda step: step.key).map(tuple)


STATUSES: tuple[OutcomeStatus, ...] = ("done", "already-done", "in-progress", "failed", "drifted", "refused")


@given(STEPS, st.data())
def test_a_release_is_the_undo_of_each_change_in_reverse_whatever_was_done(steps: Any, data: st.DataObject) -> None:
    plan = a_plan_of(*steps)
    begun = [step for step in steps if data.draw(st.booleans())]
    known = [an_outcome(plan, step, data.draw(st.sampled_from(STATUSES))) for step in begun]
    changed = [step for step, each in zip(begun, known, strict=True) if each.status in ("done", "in-progress")]
    expected = tuple(undo for step in reversed(changed) if (undo := step.undo) is not None)
    assert released(plan, of={each.operation: each for each in known}).steps == expected
