"""The contain plan: out of rotation, evidence protected, snapshots requested, then the network cut."""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbooks.errors import LimitExceeded, Refused
from runbooks.facts import CaseFacts
from runbooks.instance import Instance, InstanceFacts, SecurityGroup, Volume
from runbooks.plan import Plan
from runbooks.steps import (
    AnyStep,
    EnsureQuarantineGroup,
    SetDeleteOnTermination,
    SwapSecurityGroups,
)
from runbooks.triage import Assessment
from tests.runbooks.builders import (
    VPC,
    a_contain_plan,
    a_runbook,
    a_target_registration,
    an_assessment,
    an_auto_scaling_membership,
    an_instance,
    an_interface,
    assessments,
    case_facts,
    endpoints,
    instance_facts,
)

ORDER = (
    "ensure-quarantine-group",
    "detach-from-auto-scaling-group",
    "deregister-target",
    "set-instance-attribute",
    "set-delete-on-termination",
    "create-snapshots",
    "swap-security-groups",
    "stop-instance",
)


QUARANTINE_NAME = "remediation-quarantine-df42a650"
"""The group with the default case's ways out: the mirror, the S3 endpoint and those of Systems Manager."""


def a_case(number: int = 1, instance: Instance | None = None, **resource: Any) -> Assessment:
    """A case to be contained; its instance's id follows from its number."""
    chosen = instance or an_instance(f"i-{number:017x}", interfaces=(an_interface(id=f"eni-{number:017x}"),))
    facts = case_facts(case=f"case-{number}", resource=instance_facts(chosen, **resource))
    return an_assessment(facts)


def kinds(plan: Plan) -> list[str]:
    return [step.kind for step in plan.steps]


def steps_of(plan: Plan, kind: type[AnyStep]) -> list[Any]:
    return [step for step in plan.steps if isinstance(step, kind)]


# --- order -----------------------------------------------------------------------------------------------------------


def test_the_whole_of_a_plan_in_its_order() -> None:
    plan = a_contain_plan(runbook=a_runbook(contain={"stop": True}))
    ways_out = "tcp/80 to 10.0.9.0/24, tcp/443 to 10.0.9.0/24, tcp/443 to pl-0s3, tcp/443 to sg-0endpoints"
    assert kinds(plan) == list(ORDER)
    assert [step.describe() for step in plan.steps] == [
        f"Have security group {QUARANTINE_NAME} in {VPC}: nothing comes in; out: {ways_out}",
        "Detach i-0a1b2c3d4e5f60718 from Auto Scaling group checkout; the group launches a replacement",
        "Deregister i-0a1b2c3d4e5f60718:443 from target group checkout",
        "Set disableApiTermination of i-0a1b2c3d4e5f60718 to on",
        "Volumes of i-0a1b2c3d4e5f60718 when it is terminated: /dev/sda1: kept",
        "Snapshot every volume of i-0a1b2c3d4e5f60718 as evidence: vol-0000000000000000a",
        f"Interface eni-0000000000000000a: security groups [sg-0web, sg-0base] become [{QUARANTINE_NAME}]",
        "Stop i-0a1b2c3d4e5f60718",
    ]


def test_snapshots_come_before_the_network_is_cut_and_out_of_rotation_comes_before_both() -> None:
    found = kinds(a_contain_plan(*assessments(3)))
    last_out = max(
        found.index("detach-from-auto-scaling-group"), len(found) - 1 - found[::-1].index("deregister-target")
    )
    last_snapshot = len(found) - 1 - found[::-1].index("create-snapshots")
    assert last_out < found.index("create-snapshots")
    assert last_snapshot < found.index("swap-security-groups")


@pytest.mark.parametrize("number", [2, 7])
def test_many_cases_are_taken_kind_by_kind(number: int) -> None:
    plan = a_contain_plan(*assessments(number))
    stages = [kind for kind, _ in groupby(kinds(plan))]
    assert stages == list(ORDER[:-1])
    assert Counter(kinds(plan)) == {ORDER[0]: 1} | dict.fromkeys(ORDER[1:-1], number)
    assert len(list(plan.stages())) == len(ORDER) - 1


CASES = st.lists(
    st.builds(
        lambda group, targets, volumes, lifecycle: (group, targets, volumes, lifecycle),
        st.booleans(),
        st.integers(0, 2),
        st.integers(0, 2),
        st.sampled_from(["on-demand", "spot"]),
    ),
    min_size=1,
    max_size=4,
)


@given(CASES)
def test_whatever_the_cases_have_the_kinds_keep_their_order_and_the_keys_are_unique(
    shapes: list[tuple[bool, int, int, str]],
) -> None:
    cases = [
        a_case(
            number,
            an_instance(
                f"i-{number:017x}",
                interfaces=(an_interface(id=f"eni-{number:017x}"),),
                auto_scaling=an_auto_scaling_membership() if group else None,
                targets=tuple(a_target_registration(port=port) for port in range(targets)),
                volumes=tuple(
                    Volume(id=f"vol-{each}", device=f"d{each}", delete_on_termination=True) for each in range(volumes)
                ),
                lifecycle=lifecycle,
            ),
        )
        for number, (group, targets, volumes, lifecycle) in enumerate(shapes)
    ]
    plan = a_contain_plan(*cases)
    order = [ORDER.index(kind) for kind in kinds(plan)]
    assert order == sorted(order)
    assert len({step.key for step in plan.steps}) == len(plan.steps)


def test_only_the_cases_that_call_for_it_are_contained() -> None:
    quiet = an_assessment(case_facts(case="quiet", resource=instance_facts(an_instance(interfaces=(), targets=()))))
    plan = a_contain_plan(quiet, a_case(1))
    assert plan.cases == ("case-1",)
    assert {case for step in plan.steps for case in step.cases} == {"case-1"}
    assert (a_contain_plan(quiet).cases, a_contain_plan(quiet).steps) == ((), ())


# --- the quarantine group --------------------------------------------------------------------------------------------


def test_one_quarantine_group_for_each_vpc_serves_every_case_in_it() -> None:
    elsewhere = an_instance("i-3", interfaces=(an_interface(id="eni-3", vpc="vpc-other"),))
    plan = a_contain_plan(a_case(1), a_case(2), a_case(3, elsewhere))
    groups = steps_of(plan, EnsureQuarantineGroup)
    assert [(group.vpc, group.cases) for group in groups] == [(VPC, ("case-1", "case-2")), ("vpc-other", ("case-3",))]
    assert [group.target.id for group in groups] == [
        f"{VPC}/{QUARANTINE_NAME}",
        f"vpc-other/{QUARANTINE_NAME}",
    ]


def test_containments_that_reach_other_endpoints_do_not_share_a_group() -> None:
    without_s3 = tuple(each for each in endpoints() if each.service != "s3")
    other_mirror = a_runbook(contain={"quarantine": {"package_mirrors": ("10.0.8.0/24",)}})
    plans = (
        a_contain_plan(a_case(1)),
        a_contain_plan(a_case(2, endpoints=without_s3)),
        a_contain_plan(a_case(3), runbook=other_mirror),
        a_contain_plan(a_case(4)),
    )
    names = [step.name for plan in plans for step in steps_of(plan, EnsureQuarantineGroup)]
    assert len(set(names)) == 3
    assert names[0] == names[3] == QUARANTINE_NAME
    assert [step.leaves for plan in plans for step in steps_of(plan, SwapSecurityGroups)] == [
        (f"@{name}",) for name in names
    ]


def test_an_instance_in_two_vpcs_goes_to_the_group_of_each_and_each_has_its_own_rules() -> None:
    elsewhere = an_interface(id="eni-b", vpc="vpc-other", device_index=1)
    both = a_case(1, an_instance(interfaces=(an_interface(), elsewhere)), endpoints=())
    plan = a_contain_plan(both, a_case(2))
    names = {step.vpc: step.name for step in steps_of(plan, EnsureQuarantineGroup)}
    assert len(set(names.values())) == 2
    swaps = steps_of(plan, SwapSecurityGroups)
    assert [(swap.vpc, swap.leaves) for swap in swaps] == [(swap.vpc, (f"@{names[swap.vpc]}",)) for swap in swaps]


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_the_group_lets_out_what_any_of_its_cases_needs(order: tuple[int, int]) -> None:
    without_s3 = tuple(each for each in endpoints() if each.service != "s3")
    cases = {1: a_case(1, endpoints=without_s3), 2: a_case(2)}
    (group,) = steps_of(a_contain_plan(*(cases[number] for number in order)), EnsureQuarantineGroup)
    peers = [(rule.peer, rule.from_port) for rule in group.egress]
    assert peers == [("10.0.9.0/24", 80), ("10.0.9.0/24", 443), ("pl-0s3", 443), ("sg-0endpoints", 443)]


def test_every_interface_is_swapped_from_its_own_groups() -> None:
    second = an_interface(id="eni-b", device_index=1, groups=("sg-0base",))
    plan = a_contain_plan(a_case(1, an_instance(interfaces=(an_interface(), second))))
    swaps = [(swap.target.id, swap.expects, swap.leaves, swap.via) for swap in steps_of(plan, SwapSecurityGroups)]
    assert swaps == [
        ("eni-0000000000000000a", ("sg-0web", "sg-0base"), (f"@{QUARANTINE_NAME}",), None),
        ("eni-b", ("sg-0base",), (f"@{QUARANTINE_NAME}",), None),
    ]


KNOWN = {
    "sg-0q": QUARANTINE_NAME,
    "sg-0earlier": "remediation-quarantine-0123abcd",
    "sg-0open": "remediation-quarantine-open",
    "sg-0theirs": "remediation-quarantine",
}


@pytest.mark.parametrize(
    ("groups", "swapped"),
    [
        (("sg-0q",), False),
        (("sg-0earlier",), False),
        (("sg-0open",), True),
        (("sg-0theirs",), True),
        (("sg-0q", "sg-0web"), True),
        (("sg-0q", "sg-0earlier"), True),
        (("sg-0q", "sg-0unread"), True),
        (("sg-0unread",), True),
        ((), True),
    ],
)
def test_only_an_interface_that_carries_nothing_but_a_quarantine_is_not_swapped_again(
    groups: tuple[str, ...], swapped: bool
) -> None:
    instance = an_instance(interfaces=(an_interface(groups=groups),))
    quarantines = (SecurityGroup(id=each, name=name, vpc=VPC) for each, name in KNOWN.items())
    known = (*instance_facts().groups, *quarantines)
    facts = case_facts(resource=instance_facts(instance, groups=known), suspected="a detection")
    plan = a_contain_plan(an_assessment(facts))
    assert bool(steps_of(plan, SwapSecurityGroups)) is swapped


# --- what there is to protect ----------------------------------------------------------------------------------------


def test_nothing_to_protect_is_no_step() -> None:
    bare = an_instance(
        auto_scaling=None,
        targets=(),
        termination_protection=True,
        volumes=(Volume(id="vol-1", device="/dev/sda1", delete_on_termination=False),),
    )
    assert kinds(a_contain_plan(a_case(1, bare))) == [ORDER[0], "create-snapshots", "swap-security-groups"]
    diskless = bare.model_copy(update={"volumes": ()})
    assert kinds(a_contain_plan(a_case(1, diskless))) == [ORDER[0], "swap-security-groups"]


@pytest.mark.parametrize(
    ("changes", "attributes"),
    [
        ({}, ["disableApiTermination"]),
        ({"shutdown_behavior": "terminate"}, ["disableApiTermination", "instanceInitiatedShutdownBehavior"]),
        ({"termination_protection": True}, []),
        ({"lifecycle": "spot", "shutdown_behavior": "terminate"}, []),
    ],
)
def test_protection_is_set_where_it_is_missing_and_never_on_a_spot_instance(
    changes: dict[str, Any], attributes: list[str]
) -> None:
    plan = a_contain_plan(a_case(1, an_instance(**changes)))
    found = [step for step in plan.steps if step.kind == "set-instance-attribute"]
    assert [step.attribute for step in found] == attributes
    assert all((step.expects, step.leaves) in ((False, True), ("terminate", "stop")) for step in found)


def test_every_volume_is_kept_and_the_step_names_those_alone_that_were_not() -> None:
    volumes = (
        Volume(id="vol-1", device="/dev/sda1", delete_on_termination=True),
        Volume(id="vol-2", device="/dev/sdb", delete_on_termination=False),
    )
    (step,) = steps_of(a_contain_plan(a_case(1, an_instance(volumes=volumes))), SetDeleteOnTermination)
    assert step.expects == {"/dev/sda1": True}
    assert step.leaves == {"/dev/sda1": False}


@pytest.mark.parametrize(
    ("choice", "missing"),
    [
        ({"protect_evidence": False}, {"set-instance-attribute", "set-delete-on-termination"}),
        ({"snapshots": False}, {"create-snapshots"}),
    ],
)
def test_the_runbook_chooses_what_is_protected(choice: dict[str, Any], missing: set[str]) -> None:
    runbook = a_runbook(contain=choice)
    assert set(ORDER[:-1]) - set(kinds(a_contain_plan(runbook=runbook))) == missing


def test_an_instance_that_does_not_run_is_not_stopped() -> None:
    runbook = a_runbook(contain={"stop": True})
    assert "stop-instance" not in kinds(a_contain_plan(a_case(1, an_instance(state="stopped")), runbook=runbook))


# --- limits ----------------------------------------------------------------------------------------------------------


def test_more_cases_than_the_runbook_allows_are_refused() -> None:
    runbook = a_runbook(limits={"maximum_cases": 2})
    assert len(a_contain_plan(*assessments(2), runbook=runbook).cases) == 2
    with pytest.raises(LimitExceeded, match=r"3 cases to contain, and ec2-high-severity-cve allows 2"):
        a_contain_plan(*assessments(3), runbook=runbook)


def test_an_instance_with_more_interfaces_than_the_runbook_allows_is_refused() -> None:
    runbook = a_runbook(limits={"maximum_interfaces": 1})
    two = an_instance(interfaces=(an_interface(), an_interface(id="eni-b", device_index=1)))
    with pytest.raises(LimitExceeded, match="has 2 interfaces, and ec2-high-severity-cve allows 1"):
        a_contain_plan(a_case(1, two), runbook=runbook)


def test_cutting_connections_is_refused_while_the_internet_reaches_the_instance() -> None:
    runbook = a_runbook(contain={"cut_connections": True})
    with pytest.raises(Refused, match="which would open i-0a1b2c3d4e5f60718 to the internet for a moment") as refused:
        a_contain_plan(runbook=runbook)
    assert refused.value.code == "open-to-the-internet"


def test_cutting_connections_passes_an_open_group_where_nobody_gets_in() -> None:
    hidden = an_instance(interfaces=(an_interface(public_address=None),), targets=())
    case = an_assessment(case_facts(resource=instance_facts(hidden), suspected="a detection"))
    (swap,) = steps_of(a_contain_plan(case, runbook=a_runbook(contain={"cut_connections": True})), SwapSecurityGroups)
    assert swap.via == "@remediation-quarantine-open"


def test_a_case_whose_instance_is_gone_is_left_out() -> None:
    gone = a_case(1)
    facts = CaseFacts(case=gone.case, findings=gone.facts.findings, resource=InstanceFacts(instance=None))
    assert a_contain_plan(gone.model_copy(update={"facts": facts})).steps == ()
