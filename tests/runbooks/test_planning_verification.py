"""The verify plan: one run of the inventory association for each account and region, and no question asked."""

from __future__ import annotations

from typing import Any

from runbooks.instance import InstanceFacts
from runbooks.plan import ApprovalRule, Phase
from runbooks.planning.verification import plan_verification
from runbooks.steps import CollectInventory, Target
from runbooks.triage import Assessment
from tests.runbooks.builders import RESPONSE, a_runbook, an_assessment, an_instance, case_facts, instance_facts


def a_case(number: int, **instance: Any) -> Assessment:
    facts = case_facts(case=f"case-{number}", resource=instance_facts(an_instance(f"i-{number}", **instance)))
    return an_assessment(facts)


HERE, THERE = "210987654321/eu-west-1", "210987654321/us-east-1"


def test_one_association_run_serves_all_cases_of_an_account_and_region() -> None:
    cases = [a_case(1), a_case(2, region="us-east-1"), a_case(3)]
    plan = plan_verification(RESPONSE, a_runbook(), cases, {HERE: "assoc-1", THERE: "assoc-2"}, previous="d" * 64)
    assert plan.steps == (
        CollectInventory(
            target=Target(account="210987654321", region="eu-west-1", type="association", id="assoc-1"),
            cases=("case-1", "case-3"),
            association="assoc-1",
        ),
        CollectInventory(
            target=Target(account="210987654321", region="us-east-1", type="association", id="assoc-2"),
            cases=("case-2",),
            association="assoc-2",
        ),
    )
    assert (plan.phase, plan.cases, plan.previous) == (Phase.VERIFY, ("case-1", "case-2", "case-3"), "d" * 64)


def test_it_asks_nobody_for_it_only_reads() -> None:
    plan = plan_verification(RESPONSE, a_runbook(), [a_case(1)], {HERE: "assoc-1"})
    assert plan.approval == ApprovalRule(required=False)
    assert [step.undo for step in plan.steps] == [None]


def test_where_there_is_no_association_or_no_instance_there_is_no_step() -> None:
    gone = a_case(1)
    facts = gone.facts.model_copy(update={"resource": InstanceFacts(instance=None)})
    for cases, places in (
        ([a_case(1)], {}),
        ([a_case(1)], {THERE: "a"}),
        ([gone.model_copy(update={"facts": facts})], {HERE: "a"}),
    ):
        plan = plan_verification(RESPONSE, a_runbook(), cases, places)
        assert (plan.steps, plan.cases) == ((), ("case-1",))


def test_verifying_another_remediation_is_another_plan() -> None:
    plans = [plan_verification(RESPONSE, a_runbook(), [a_case(1)], {HERE: "a"}, previous=each) for each in ("a", "b")]
    assert plans[0].operation(plans[0].steps[0]) != plans[1].operation(plans[1].steps[0])
