"""The executor closes a way in: each call leaves once, whatever dies at it, and the end is the same."""

from __future__ import annotations

from typing import Any

import pytest

from runbooks.plan import ApprovalRule, Phase, Plan
from runbooks.planning.closing import plan_closing
from runbooks.steps.base import Role
from runbooks.triage import assess
from tasks.looking import SHOWS_WITHIN
from tasks.network_facts import read_network_facts
from tests.runbooks.signatures import made
from tests.tasks.conftest import OpenHouse
from tests.tasks.halts import as_far_as_it_goes, halt, once, resume, services, woken
from tests.tasks.harness import House, Run
from tests.tasks.network_story import furnished, rules_of
from tests.tasks.shaky import Blow, Died, Shaky
from tests.tasks.test_image_steps import Striking

ALONE = ["ec2:AuthorizeSecurityGroupIngress", "ec2:RevokeSecurityGroupIngress"]
COPY = "remediation-closed-"
"""What the name of a copy begins with; eight hex digits follow, which go by the id of the group it is of."""
SHARED = ["ec2:CreateSecurityGroup", "ec2:AuthorizeSecurityGroupIngress", "ec2:ModifyNetworkInterfaceAttribute"]


def begun(open_house: OpenHouse, **options: Any) -> tuple[House, Run, Plan]:
    """A house with one open port, and the approved plan that closes it."""
    house = furnished(open_house, **options)
    return house, *planned(house)


def planned(house: House) -> tuple[Run, Plan]:
    run = house.start()
    seen = {case: house.ledger.case_findings(case) for case in run.cases}
    facts = read_network_facts(house.sessions, run.keys, seen, house.runbook)
    plan = plan_closing(house.response, house.runbook, [assess(each, house.runbook) for each in facts.values()])
    run.journal.write(made(plan))
    return run.approved(plan), plan


def undoing(run: Run, plan: Plan) -> Plan:
    """The plan that puts back what this one changed, which nobody is asked about."""
    undo = plan.model_copy(
        update={
            "phase": Phase.VERIFY,
            "revision": 2,
            "steps": tuple(_named(run, plan, undo) for step in reversed(plan.steps) if (undo := step.undo)),
            "approval": ApprovalRule(required=False),
        }
    )
    run.journal.write(made(undo))
    return undo


def world(house: House) -> dict[str, Any]:
    """All that the steps change: the groups of every interface, and what each group lets through, by name."""
    ec2 = house.client("ec2")
    names = {
        raw["GroupId"]: raw["GroupName"].split(COPY)[0] or COPY
        for raw in ec2.describe_security_groups()["SecurityGroups"]
    }
    interfaces = ec2.describe_network_interfaces()["NetworkInterfaces"]
    return {
        "interfaces": [[names[one["GroupId"]] for one in raw["Groups"]] for raw in interfaces],
        "groups": sorted((name, str(rules_of(house, group))) for group, name in names.items() if name != "default"),
    }


@pytest.mark.parametrize("blow", ["dies before the call", "dies after the call", "answer lost"])
@pytest.mark.parametrize(("shared", "calls"), [(0, ALONE), (2, SHARED)])
def test_whatever_call_it_dies_at_each_is_sent_once_and_the_end_is_the_same(
    open_house: OpenHouse, blow: Blow, shared: int, calls: list[str]
) -> None:
    house, run, plan = begun(open_house, shared=shared)
    assert set(run.carry_out(plan).values()) == {"done"}
    assert house.mutating_calls() == calls
    undisturbed = world(house)
    for name in calls:
        house, run, plan = begun(open_house, shared=shared)
        shaky = house.shake(Striking(blow=blow, at=name))
        try:
            run.carry_out(plan)
        except Died:
            house.shake(Shaky())
            run = house.take_over(after_a_death=True)
            run.carry_out(plan)
        assert shaky.struck == name
        outcomes = house.history().step_outcomes(plan)
        assert {key: outcome.status for key, outcome in outcomes.items()} == {step.key: "done" for step in plan.steps}
        assert house.mutating_calls() == calls, name
        assert world(house) == undisturbed


@pytest.mark.parametrize("options", [{}, {"shared": 2}, {"ipv6": True}, {"all_traffic": True}], ids=str)
def test_undone_everything_is_as_it_was_but_for_a_copy_that_nobody_carries(
    open_house: OpenHouse, options: dict[str, Any]
) -> None:
    house, run, plan = begun(open_house, **options)
    before = world(house)
    run.carry_out(plan)
    undo = undoing(run, plan)
    assert set(run.approved(undo).carry_out(undo).values()) == {"done"}
    after = world(house)
    after["groups"] = [each for each in after["groups"] if each[0] != COPY]
    assert after == before


def test_a_halt_in_the_middle_of_an_undo_opens_nothing_more_until_it_is_resumed(open_house: OpenHouse) -> None:
    house = furnished(open_house, ipv6=True)
    # Rules of other tags are put back by another call.
    ec2 = house.client("ec2", Role.CONTAIN)
    (rule,) = [
        raw["SecurityGroupRuleId"]
        for raw in ec2.describe_security_group_rules()["SecurityGroupRules"]
        if raw["SecurityGroupRuleId"] in house.built[0]["rules"] and raw.get("CidrIpv6") == "::/0"
    ]
    ec2.create_tags(Resources=[rule], Tags=[{"Key": "owner", "Value": "shop"}])
    have, before = services(house.ledger), world(house)
    run, plan = planned(house)
    run.carry_out(plan)
    undo = undoing(run, plan)
    run = run.approved(undo)
    house.sandbox.cloud.record.clear()
    house.sessions.shaky.then[ALONE[0]] = lambda: halt(have)

    progress = as_far_as_it_goes(have, run, undo)

    assert progress is not None
    assert (progress.held, house.mutating_calls()) == ("halted", ALONE[:1])
    half = world(house)
    run = woken(run, progress)
    house.sandbox.advance(SHOWS_WITHIN.total_seconds())
    assert once(have, run, undo, undo.steps).held == "halted"
    assert (house.mutating_calls(), world(house)) == (ALONE[:1], half)

    resume(have)
    assert as_far_as_it_goes(have, woken(run, progress), undo) is None
    assert house.mutating_calls() == [ALONE[0], *ALONE]
    assert world(house) == before


def _named(run: Run, plan: Plan, undo: Any) -> Any:
    """As the release plans it: an interface's groups by the ids that they turned out to have."""
    groups = [outcome.result.get("groups") for outcome in run.journal.history().step_outcomes(plan).values()]
    known = next((tuple(each) for each in groups if each), None)
    return undo.model_copy(update={"expects": known}) if known and undo.kind == "swap-security-groups" else undo
