"""A plan is what a person approves: its digest is its own, whatever way it has travelled, and no other's."""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from runbooks.instance import Rule
from runbooks.plan import ApprovalRule, Phase, Plan
from runbooks.steps import AnyStep, CreateSnapshots, StopInstance, SwapSecurityGroups
from runbooks.steps.base import operation_id
from tests.runbooks.builders import (
    a_contain_plan,
    a_plan_of,
    a_release_plan,
    a_remediate_plan,
    a_runbook,
    a_target,
    a_verify_plan,
    assessments,
)
from tests.runbooks.every_step import every_step

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
STEPS = st.lists(st.sampled_from(every_step()), unique_by=lambda step: step.key).map(tuple)
RULES = st.builds(
    ApprovalRule,
    required=st.booleans(),
    approvers=st.lists(TEXT, max_size=2).map(tuple),
    expires_minutes=st.integers(1, 20160),
    covered_by=st.none() | TEXT,
)
PLANS = st.builds(
    Plan,
    response=TEXT,
    runbook=TEXT,
    runbook_digest=TEXT,
    phase=st.sampled_from(Phase),
    revision=st.integers(1, 9),
    cases=st.lists(TEXT, max_size=3).map(tuple),
    steps=STEPS,
    reasons=st.lists(TEXT, max_size=3).map(tuple),
    not_covered=st.lists(TEXT, max_size=2).map(tuple),
    cannot_be_put_back=st.lists(TEXT, max_size=2).map(tuple),
    releases_when_fixed=st.booleans(),
    approval=RULES,
    previous=st.none() | TEXT,
)


def backwards(value: Any) -> Any:
    """The same JSON with the members of every object in the opposite order."""
    if isinstance(value, dict):
        return {key: backwards(inner) for key, inner in reversed(value.items())}
    return [backwards(each) for each in value] if isinstance(value, list) else value


def test_no_two_steps_have_one_key() -> None:
    step = CreateSnapshots(target=a_target(), cases=("case-1",), volumes=("vol-1",))
    with pytest.raises(ValidationError, match="what came of one would count for both"):
        a_contain_plan().model_copy(update={"steps": (step, step)})


@settings(deadline=None)
@given(PLANS)
def test_a_plan_keeps_its_digest_on_every_way_through_json(plan: Plan) -> None:
    travelled = Plan.model_validate_json(plan.model_dump_json())
    reordered = Plan.model_validate_json(json.dumps(backwards(plan.model_dump(mode="json"))))
    assert travelled == reordered == plan
    assert travelled.digest == reordered.digest == plan.digest
    assert re.fullmatch(r"[0-9a-f]{64}", plan.digest)
    assert plan.short_digest == plan.digest[:12]


@settings(deadline=None)
@given(PLANS, PLANS)
def test_two_plans_have_one_digest_only_when_they_are_one(one: Plan, other: Plan) -> None:
    assert (one.digest == other.digest) is (one == other)


@settings(deadline=None)
@given(PLANS, PLANS, st.sampled_from(sorted(Plan.model_fields)))
def test_any_changed_field_gives_another_digest(plan: Plan, other: Plan, field: str) -> None:
    before = plan.digest
    changed = plan.model_copy(update={field: getattr(other, field)})
    assert (changed.digest == before) is (getattr(plan, field) == getattr(other, field))
    assert plan.digest == before


def test_a_change_deep_within_a_step_gives_another_digest() -> None:
    plan = a_contain_plan()
    swap = next(step for step in plan.steps if isinstance(step, SwapSecurityGroups))
    other_order = swap.model_copy(update={"expects": swap.expects[::-1]})
    changed = tuple(other_order if step is swap else step for step in plan.steps)
    assert plan.model_copy(update={"steps": changed}).digest != plan.digest


def test_a_plan_that_has_told_its_digest_equals_one_that_has_not() -> None:
    told, silent = a_contain_plan(), a_contain_plan()
    assert told.digest
    assert told == silent


def test_steps_keep_their_kind_and_order_through_json() -> None:
    plan = a_plan_of(*every_step())
    assert Plan.model_validate_json(plan.model_dump_json()).steps == every_step()


def test_a_step_of_an_unknown_kind_is_no_plan() -> None:
    text = a_contain_plan().model_dump_json().replace('"stop-instance"', '"x"')
    with pytest.raises(ValueError, match="does not match any of the expected tags"):
        Plan.model_validate_json(text.replace('"create-snapshots"', '"create-havoc"'))


# --- operations ------------------------------------------------------------------------------------------------------


def test_an_operation_is_named_by_plan_and_step_and_by_nothing_else() -> None:
    plan = a_contain_plan()
    other = a_contain_plan(revision=2)
    names = [each.operation(step) for each in (plan, other) for step in each.steps]
    assert len(set(names)) == len(names) == 2 * len(plan.steps)
    assert [a_contain_plan().operation(step) for step in plan.steps] == names[: len(plan.steps)]
    # EC2 takes client tokens of up to 64 characters, SSM comments of up to 100.
    assert all(re.fullmatch(r"rb-[0-9a-f]{24}", name) for name in names)


@given(st.tuples(TEXT, TEXT), st.tuples(TEXT, TEXT))
def test_operation_ids_of_different_acts_differ(one: tuple[str, str], other: tuple[str, str]) -> None:
    digests_and_keys = [(digest.encode().hex(), key) for digest, key in (one, other)]
    names = [operation_id(digest, key) for digest, key in digests_and_keys]
    assert (names[0] == names[1]) is (digests_and_keys[0] == digests_and_keys[1])


@pytest.mark.parametrize("number", [1, 3])
def test_every_step_of_a_generated_plan_has_a_key_of_its_own(number: int) -> None:
    everything = {"stop": True, "cut_connections": False}
    runbook = a_runbook(contain=everything)
    cases = assessments(number, runbook)
    contain = a_contain_plan(*cases, runbook=runbook)
    plans = (contain, a_remediate_plan(*cases), a_verify_plan(*cases), a_release_plan(contain))
    for plan in plans:
        keys = Counter(step.key for step in plan.steps)
        assert plan.steps
        assert set(keys.values()) == {1}, plan.phase


# --- stages ----------------------------------------------------------------------------------------------------------


@given(STEPS)
def test_stages_are_the_steps_in_their_order_cut_where_the_kind_changes(steps: tuple[AnyStep, ...]) -> None:
    stages = list(a_plan_of(*steps).stages())
    assert tuple(step for stage in stages for step in stage) == steps
    kinds = [{(step.kind, step.undoes) for step in stage} for stage in stages]
    assert all(len(each) == 1 for each in kinds)
    assert all(one != other for one, other in pairwise(kinds))


def test_a_kind_that_comes_back_later_is_a_stage_of_its_own() -> None:
    stops = [StopInstance(target=a_target(identifier=f"i-{number}"), cases=("c",)) for number in range(3)]
    snapshot = CreateSnapshots(target=a_target(), cases=("c",), volumes=("vol-1",))
    assert list(a_plan_of(stops[0], stops[1], snapshot, stops[2]).stages()) == [
        (stops[0], stops[1]),
        (snapshot,),
        (stops[2],),
    ]


def test_putting_back_and_changing_never_share_a_stage() -> None:
    swap = next(step for step in every_step() if isinstance(step, SwapSecurityGroups))
    back = SwapSecurityGroups.model_validate(swap.model_dump() | {"undoes": True, "target": a_target("eni", "eni-2")})
    assert list(a_plan_of(swap, back).stages()) == [(swap,), (back,)]


def test_a_rule_in_a_plan_is_told_from_a_rule_like_it() -> None:
    plan = a_contain_plan()
    group = plan.steps[0]
    wider = group.model_copy(update={"egress": (Rule(protocol="-1", peer="0.0.0.0/0"),)})
    assert plan.model_copy(update={"steps": (wider, *plan.steps[1:])}).digest != plan.digest
