"""The plan that closes a way in: exactly the rule, on this instance alone where others share it, and what it breaks."""

from __future__ import annotations

import pytest

from runbooks.errors import LimitExceeded, Refused
from runbooks.plan import Phase, Plan
from runbooks.planning.closing import plan_closing
from runbooks.steps import EnsureClosedGroup, ReplaceGroupRules, SwapSecurityGroups
from tests.runbooks.builders import (
    INSTANCE_ID,
    RESPONSE,
    VPC,
    a_case_key,
    a_target_registration,
    an_auto_scaling_membership,
    an_instance,
    an_interface,
)
from tests.runbooks.network_builders import (
    BASE,
    OUT,
    WEB,
    a_group_rule,
    an_opening,
    another_instance,
    network_assessment,
    network_facts,
    network_runbook,
    tagged,
)

PRIVATE = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]
SHARED = {WEB: ("eni-of-another",)}


def planned(*each: object, **choices: object) -> Plan:
    runbook = network_runbook(**choices)
    return plan_closing(RESPONSE, runbook, each or (network_assessment(runbook=runbook),))  # type: ignore[arg-type]


def test_a_group_of_its_own_has_exactly_the_offending_rule_replaced() -> None:
    described = a_group_rule(description="for the migration", tags={"owner": "payments"})
    office = a_group_rule(peer="198.51.100.0/24")
    plan = planned(network_assessment(facts=network_facts(described, office, a_group_rule(443))))
    (step,) = plan.steps
    assert isinstance(step, ReplaceGroupRules)
    assert (step.target.id, step.removes) == (WEB, (described,))
    assert [(rule.words, rule.description, rule.tags) for rule in step.adds] == [
        (f"tcp/22 from {peer}", "for the migration", {"owner": "payments"}) for peer in PRIVATE
    ]
    assert (plan.phase, plan.approval.required) == (Phase.REMEDIATE, True)
    (lost,) = plan.cannot_be_put_back
    assert lost.startswith("the id of sgr-tcp-22-0.0.0.0/0: put back, the rule has the same content, description and")


def test_of_a_shared_group_a_copy_takes_its_place_on_the_interface_and_the_group_is_not_touched() -> None:
    facts = network_facts(a_group_rule(), a_group_rule(443), users=SHARED)
    plan = planned(network_assessment(facts=facts))
    copy, swap = plan.steps
    assert isinstance(copy, EnsureClosedGroup)
    assert isinstance(swap, SwapSecurityGroups)
    assert (copy.vpc, copy.source, copy.egress) == (VPC, WEB, (OUT.model_copy(update={"id": ""}),))
    assert [rule.words for rule in copy.ingress] == [
        "tcp/443 from 0.0.0.0/0",
        *(f"tcp/22 from {peer}" for peer in PRIVATE),
    ]
    assert (swap.expects, swap.leaves) == ((WEB, BASE), (f"@{copy.name}", BASE))
    assert "sg-0web (web) keeps its rules: eni-of-another stay as open as they are" in plan.not_covered
    assert plan.cannot_be_put_back == ()


def test_the_copys_name_follows_its_rules_and_the_group_it_is_of() -> None:
    def name(*rules: object, **choices: object) -> str:
        plan = planned(network_assessment(facts=network_facts(*rules, users=SHARED, **choices)))  # type: ignore[arg-type]
        return next(step.name for step in plan.steps if isinstance(step, EnsureClosedGroup))

    some = name(a_group_rule(), a_group_rule(443))
    assert some.startswith("remediation-closed-")
    assert some == name(a_group_rule(443), a_group_rule())
    assert some != name(a_group_rule(), a_group_rule(80))
    assert some != name(a_group_rule(), a_group_rule(443), inside=("203.0.112.0/22",))


def test_instances_that_share_a_group_share_its_copy_too() -> None:
    cases = []
    for number in (1, 2, 3):
        facts = network_facts(instance=another_instance(number), users=SHARED)
        case = a_case_key(f"i-{number:017x}", runbook="network-reachability").id
        cases.append(network_assessment(facts=facts, case=case))
    plan = planned(*cases)
    copies = [step for step in plan.steps if isinstance(step, EnsureClosedGroup)]
    swaps = [step for step in plan.steps if isinstance(step, SwapSecurityGroups)]
    assert [step.cases for step in copies] == [tuple(each.case for each in cases)]
    assert [step.leaves for step in swaps] == [(BASE, f"@{copies[0].name}")] * 3
    assert len({step.key for step in plan.steps}) == len(plan.steps)


def test_both_kinds_of_groups_on_one_interface_are_closed_each_in_its_way() -> None:
    facts = network_facts(base=(a_group_rule(0, 1024, id="sgr-base"),), users=SHARED)
    plan = planned(network_assessment(facts=facts))
    assert [type(step) for step in plan.steps] == [EnsureClosedGroup, SwapSecurityGroups, ReplaceGroupRules]
    edit = plan.steps[2]
    assert isinstance(edit, ReplaceGroupRules)
    assert edit.target.id == BASE
    assert [rule.words for rule in edit.adds][:2] == ["tcp/0-21 from 0.0.0.0/0", "tcp/23-1024 from 0.0.0.0/0"]


def test_an_interface_that_the_internet_does_not_reach_keeps_its_shared_group() -> None:
    inner = an_interface(id="eni-inner", device_index=1, public_address=None)
    instance = an_instance(targets=(), auto_scaling=None, interfaces=(an_interface(), inner))
    plan = planned(network_assessment(facts=network_facts(instance=instance, users=SHARED)))
    assert [step.target.id for step in plan.steps if isinstance(step, SwapSecurityGroups)] == [an_interface().id]


def test_what_is_meant_to_be_open_stays_so_within_the_very_rule_that_is_split() -> None:
    facts = network_facts(a_group_rule(None, protocol="-1", id="sgr-all"), instance=tagged("443"))
    plan = planned(network_assessment(an_opening(0, 65535), facts=facts))
    (step,) = plan.steps
    assert isinstance(step, ReplaceGroupRules)
    assert [rule.words for rule in step.adds] == [
        *(f"all traffic from {peer}" for peer in PRIVATE),
        "tcp/443 from 0.0.0.0/0",
        "udp/0-65535 from 0.0.0.0/0",
        "every icmp from 0.0.0.0/0",
    ]
    assert any(words.startswith("sgr-all lets in all traffic, and a rule cannot say") for words in plan.not_covered)


def test_the_runbook_says_who_is_inside() -> None:
    plan = planned(inside=("198.18.0.0/15",))
    (step,) = plan.steps
    assert isinstance(step, ReplaceGroupRules)
    assert [rule.peer for rule in step.adds] == ["10.20.0.0/16", "198.18.0.0/15"]


def test_what_else_breaks_and_what_stays_open_is_said() -> None:
    balanced = a_target_registration(port=443, internet_facing=True, load_balancer="shop")
    instance = an_instance(targets=(balanced,), auto_scaling=an_auto_scaling_membership())
    rules = a_group_rule(), a_group_rule(peer="198.51.100.0/24"), a_group_rule(peer="pl-0offices")
    facts = network_facts(*rules, instance=instance, users=SHARED, references={WEB: ("sg-0db",)})
    runbook = network_runbook(when_referenced="swap")
    plan = plan_closing(RESPONSE, runbook, [network_assessment(facts=facts, runbook=runbook)])
    said = "\n".join(plan.not_covered)
    for words in (
        f"whoever reaches tcp/22 of {INSTANCE_ID} over the internet does so no more",
        "connections that are already established may live on",
        "198.51.100.0/24 still reaches tcp/22 by sgr-tcp-22-198.51.100.0/24 of sg-0web",
        "pl-0offices still reaches tcp/22",
        "what reaches port 443 through the load balancer shop goes on to do so",
        "checkout launches instances with the groups of its template: they are open again",
        f"rules of sg-0db let members of sg-0web in; {INSTANCE_ID} is none any more",
    ):
        assert words in said, words


def test_what_is_for_a_person_is_not_planned_for() -> None:
    for_a_person = network_assessment(facts=network_facts(a_group_rule(peer="198.51.100.0/24")))
    with pytest.raises(Refused, match="without a person"):
        planned(for_a_person)
    assert planned(for_a_person, network_assessment()).cases == (network_assessment().case,)


def test_more_cases_than_the_runbook_allows_are_refused() -> None:
    values = network_runbook().model_dump()
    values["limits"]["maximum_cases"] = 1
    runbook = type(network_runbook()).model_validate(values)
    cases = [network_assessment(case=f"case-{number:012x}") for number in (1, 2)]
    with pytest.raises(LimitExceeded, match="2 cases to close"):
        plan_closing(RESPONSE, runbook, cases)


def test_waves_are_planned_as_for_others_and_each_makes_what_it_needs_first() -> None:
    values = network_runbook().model_dump() | {"waves": (1, "100%")}
    runbook = type(network_runbook()).model_validate(values)
    cases = []
    for number in (1, 2):
        facts = network_facts(instance=another_instance(number), users=SHARED)
        case = a_case_key(f"i-{number:017x}", runbook="network-reachability").id
        cases.append(network_assessment(facts=facts, case=case, runbook=runbook))
    plan = plan_closing(RESPONSE, runbook, cases)
    assert plan.waves == ((cases[0].case,), (cases[1].case,))
    assert [(type(step), plan.wave_of(step)) for step in plan.steps] == [
        (EnsureClosedGroup, 0),
        (SwapSecurityGroups, 0),
        (SwapSecurityGroups, 1),
    ]
