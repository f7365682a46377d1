"""What a quarantined interface may still reach, and whether its instance can be patched there: each no with its why."""

from __future__ import annotations

import hashlib
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbooks.definition import Quarantine
from runbooks.instance import Endpoint, InstanceFacts, ManagedNode, Rule
from runbooks.quarantine import (
    egress_rules,
    is_quarantine_group,
    patchable_under_quarantine,
    quarantine_group_name,
)
from tests.runbooks.builders import an_instance, endpoints, instance_facts

MIRROR = "10.0.9.0/24"


def tcp(port: int, peer: str) -> Rule:
    return Rule(protocol="tcp", from_port=port, to_port=port, peer=peer)


def spoken(rules: tuple[Rule, ...]) -> list[str]:
    return [f"{rule.protocol}/{rule.from_port} {rule.peer}" for rule in rules]


def test_only_the_endpoints_and_the_mirrors_stay_within_reach() -> None:
    assert egress_rules(instance_facts(), Quarantine(package_mirrors=(MIRROR,))) == (
        tcp(80, MIRROR),
        tcp(443, MIRROR),
        tcp(443, "pl-0s3"),
        tcp(443, "sg-0endpoints"),
    )


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"allow_systems_manager": False}, ["tcp/443 pl-0s3"]),
        ({"allow_package_source": False}, ["tcp/443 sg-0endpoints"]),
        ({"allow_package_source": False, "package_mirrors": (MIRROR,)}, ["tcp/443 sg-0endpoints"]),
        ({"allow_systems_manager": False, "allow_package_source": False}, []),
    ],
)
def test_the_runbook_chooses_what_stays_within_reach(choice: dict[str, Any], expected: list[str]) -> None:
    assert spoken(egress_rules(instance_facts(), Quarantine(**choice))) == expected


def test_a_vpc_without_endpoints_gives_a_group_without_any_way_out() -> None:
    assert egress_rules(instance_facts(endpoints=()), Quarantine()) == ()


def test_an_s3_interface_endpoint_is_reached_by_its_groups_and_a_strange_endpoint_is_not() -> None:
    private_s3 = Endpoint(id="vpce-0s3i", service="s3", kind="Interface", groups=("sg-0b", "sg-0a"))
    strange = Endpoint(id="vpce-0kms", service="kms", kind="Interface", groups=("sg-0kms",))
    rules = egress_rules(instance_facts(endpoints=(private_s3, strange)), Quarantine())
    assert spoken(rules) == ["tcp/443 sg-0a", "tcp/443 sg-0b"]


def test_the_order_in_which_aws_lists_the_endpoints_does_not_change_the_rules() -> None:
    expected = egress_rules(instance_facts(), Quarantine())
    for order in permutations(endpoints()):
        assert egress_rules(instance_facts(endpoints=order), Quarantine()) == expected


@given(
    systems_manager=st.booleans(),
    package_source=st.booleans(),
    mirrors=st.lists(st.sampled_from([MIRROR, "10.1.0.0/16", "10.2.3.4/32"])),
    which=st.lists(st.sampled_from(endpoints())),
)
def test_rules_are_sorted_unique_and_only_to_ports_80_and_443(
    systems_manager: bool, package_source: bool, mirrors: list[str], which: list[Endpoint]
) -> None:
    choice = Quarantine(
        allow_systems_manager=systems_manager, allow_package_source=package_source, package_mirrors=tuple(mirrors)
    )
    rules = egress_rules(instance_facts(endpoints=tuple(which)), choice)
    peers = [(rule.peer, rule.from_port or 0) for rule in rules]
    assert peers == sorted(set(peers))
    assert {(rule.protocol, rule.from_port, rule.to_port) for rule in rules} <= {("tcp", 80, 80), ("tcp", 443, 443)}


# --- its name --------------------------------------------------------------------------------------------------------


def test_the_groups_name_follows_its_rules() -> None:
    text = (
        '[{"from_port":80,"peer":"10.0.9.0/24","protocol":"tcp","to_port":80},'
        '{"from_port":443,"peer":"pl-0s3","protocol":"tcp","to_port":443}]'
    )
    ending = hashlib.sha256(text.encode()).hexdigest()[:8]
    assert quarantine_group_name(Quarantine(), (tcp(80, MIRROR), tcp(443, "pl-0s3"))) == (
        f"remediation-quarantine-{ending}"
    )


def test_other_rules_are_another_group_and_the_same_rules_the_same() -> None:
    rules = [(), (tcp(80, MIRROR),), (tcp(443, MIRROR),), (tcp(80, MIRROR), tcp(443, MIRROR))]
    names = [quarantine_group_name(Quarantine(group_name="q"), each) for each in (*rules, *rules)]
    assert len(set(names)) == len(rules)
    assert all(is_quarantine_group(Quarantine(group_name="q"), name) for name in names)


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("web.(prod)-0123abcd", True),
        ("web.(prod)-df42a650", True),
        ("web.(prod)-open", False),
        ("web.(prod)", False),
        ("web.(prod)-0123abc", False),
        ("web.(prod)-0123abcde", False),
        ("web.(prod)-0123ABCD", False),
        ("web.(prod)-0123abcd-open", False),
        ("webx(prod)-0123abcd", False),
        ("a-web.(prod)-0123abcd", False),
        ("web.(prod)-0123abcd\n", False),
    ],
)
def test_a_quarantine_group_is_known_by_its_name_whatever_rules_it_was_made_for(name: str, is_one: bool) -> None:
    assert is_quarantine_group(Quarantine(group_name="web.(prod)"), name) is is_one


def test_the_longest_name_still_fits_ec2() -> None:
    longest = Quarantine(group_name="q" * 246)
    assert len(quarantine_group_name(longest, ())) == 255


# --- patching under quarantine ---------------------------------------------------------------------------------------


def without(*services: str) -> tuple[Endpoint, ...]:
    return tuple(endpoint for endpoint in endpoints() if endpoint.service not in services)


WITH_MIRROR = Quarantine(package_mirrors=(MIRROR,))


@pytest.mark.parametrize(
    ("facts", "choice", "reason"),
    [
        (InstanceFacts(instance=None), WITH_MIRROR, "the instance has no instance profile"),
        (instance_facts(an_instance(profile=None)), WITH_MIRROR, "the instance has no instance profile"),
        (instance_facts(node=None), WITH_MIRROR, "it is not a managed node"),
        (
            instance_facts(node=ManagedNode(ping_status="ConnectionLost")),
            WITH_MIRROR,
            "the SSM agent is not online (ping status ConnectionLost)",
        ),
        (
            instance_facts(),
            Quarantine(allow_systems_manager=False),
            "the runbook's quarantine cuts Systems Manager off",
        ),
        (instance_facts(endpoints=without("ec2messages")), WITH_MIRROR, "no interface endpoint for ec2messages"),
        (instance_facts(endpoints=()), WITH_MIRROR, "no interface endpoint for ssm, ssmmessages, ec2messages"),
    ],
)
def test_without_a_way_to_command_it_an_instance_cannot_be_patched(
    facts: InstanceFacts, choice: Quarantine, reason: str
) -> None:
    answer = patchable_under_quarantine(facts, choice)
    assert (answer.control_path.ok, answer.ok) == (False, False)
    assert reason in answer.control_path.reason
    assert answer.reasons[0] == answer.control_path.reason


@pytest.mark.parametrize(
    ("changes", "choice", "reason"),
    [
        ({}, Quarantine(allow_package_source=False), "the runbook's quarantine cuts the package source off"),
        (
            {"endpoints": without("s3")},
            WITH_MIRROR,
            "the VPC has no S3 endpoint, from which the list of packages is read",
        ),
        ({}, Quarantine(), "UBUNTU_22_04 needs a package mirror, and the runbook names none"),
        ({"platform": ""}, Quarantine(), "this platform needs a package mirror, and the runbook names none"),
        (
            {"platform": "AMAZON_LINUX_2023", "endpoints": without("s3")},
            WITH_MIRROR,
            "the VPC has no S3 endpoint, from which the list of packages is read",
        ),
    ],
)
def test_without_a_way_to_its_packages_an_instance_cannot_be_patched(
    changes: dict[str, Any], choice: Quarantine, reason: str
) -> None:
    answer = patchable_under_quarantine(instance_facts(**changes), choice)
    assert (answer.control_path.ok, answer.package_source.ok, answer.ok) == (True, False, False)
    assert answer.package_source.reason == reason


def test_ubuntu_is_patched_from_the_runbooks_mirror_and_amazon_linux_from_s3() -> None:
    ubuntu = patchable_under_quarantine(instance_facts(), WITH_MIRROR)
    amazon = patchable_under_quarantine(instance_facts(platform="AMAZON_LINUX_2023"), Quarantine())
    assert (ubuntu.ok, amazon.ok) == (True, True)
    assert ubuntu.package_source.reason == f"packages come from the runbook's mirrors ({MIRROR}), which stay reachable"
    assert amazon.package_source.reason.startswith("Amazon Linux packages come from S3")
    assert "ssm, ssmmessages and ec2messages" in ubuntu.control_path.reason
