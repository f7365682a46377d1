"""What becomes of a way in: closed, accepted because its owner has said so, or for a person; each with its reasons."""

from __future__ import annotations

from typing import Any

import pytest

from runbooks.instance import InstanceFacts
from runbooks.network import NetworkFacts, opening_of
from runbooks.triage import triage
from tests.runbooks.builders import SUBNET, a_subnet, a_target_registration, an_instance, an_interface
from tests.runbooks.network_builders import (
    BASE,
    PATH,
    WEB,
    a_group_rule,
    an_opening,
    network_assessment,
    network_case,
    network_facts,
    network_runbook,
    tagged,
)
from tests.runbooks.test_exposure import DENY_REST, acl_entry

BALANCED = (PATH[0], ("AWS::ElasticLoadBalancingV2::LoadBalancer", "app/shop/1"), *PATH[1:])


def ended(*findings: object, **choices: object) -> tuple[str, str]:
    found = network_assessment(*findings, **choices).triage  # type: ignore[arg-type]
    return found.decision, found.code


def test_an_open_port_is_closed_and_the_whole_path_is_told() -> None:
    found = network_assessment().triage
    assert (found.decision, found.code, found.remediation, found.contain) == ("respond", "reachable", "close", False)
    assert found.reasons[0] == (
        "Inspector: tcp/22 can be reached from outside by igw-0feedc0de > acl-0feedc0de > sg-0web > "
        "eni-0000000000000000a > i-0a1b2c3d4e5f60718"
    )
    assert "the way in: 0.0.0.0/0 -> igw-0feedc0de -> 203.0.113.7 tcp/22 (sg-0web on eni-0000000000000000a)" in (
        found.reasons
    )
    assert (
        "sg-0web (web) lets it in by tcp/22 from 0.0.0.0/0 (sgr-tcp-22-0.0.0.0/0); no other interface carries it"
        in (found.reasons)
    )
    assert found.reasons[-1] == (
        "close tcp/22 to the internet: change the rules of sg-0web (web), which nobody else carries"
    )


def test_of_a_shared_group_a_copy_is_put_on_this_instance_alone() -> None:
    found = network_assessment(facts=network_facts(users={WEB: ("eni-1", "eni-2")})).triage
    assert any(reason.endswith("2 other interfaces carry it") for reason in found.reasons)
    assert found.reasons[-1].endswith("on this instance alone, for others carry it")


@pytest.mark.parametrize("value", ["22", "22/tcp", "443, 22", "20-30"])
def test_what_the_owner_has_declared_is_accepted(value: str) -> None:
    found = network_assessment(facts=network_facts(instance=tagged(value))).triage
    assert (found.decision, found.code) == ("nothing-to-do", "expected-exposure")
    assert found.reasons[-1] == (
        f"tcp/22 is meant to be open: its owner's tag remediation:expected-exposure={value} says so"
    )


def test_of_several_ports_only_what_nobody_has_declared_is_closed() -> None:
    openings = an_opening(443), an_opening(22, number=2)
    facts = network_facts(a_group_rule(443), a_group_rule(22), instance=tagged("443"))
    found = network_assessment(*openings, facts=facts).triage
    assert found.decision == "respond"
    assert [path.from_port for path in found.paths] == [22]
    assert "tcp/443 is meant to be open (remediation:expected-exposure); tcp/22 is not" in found.reasons


@pytest.mark.parametrize("value", ["", "ssh", "22/sctp"])
def test_a_declaration_that_cannot_be_read_accepts_nothing_and_closes_nothing(value: str) -> None:
    assert ended(facts=network_facts(instance=tagged(value))) == ("person", "unreadable")


def test_declared_for_udp_is_not_declared_for_tcp() -> None:
    assert ended(facts=network_facts(instance=tagged("22/udp"))) == ("respond", "reachable")


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ((("AWS::EC2::VPCPeeringConnection", "pcx-1"), *PATH[1:]), "a peering"),
        ((("AWS::EC2::VPNGateway", "vgw-1"), *PATH[1:]), "a VPN"),
        (BALANCED, "a load balancer"),
        ((), "none"),
    ],
)
def test_a_way_that_does_not_lead_straight_from_the_internet_is_for_a_person(
    path: tuple[tuple[str, str], ...], what: str
) -> None:
    assert ended(an_opening(path=path)) == ("person", "other-path"), what


def test_a_rule_for_one_office_alone_is_for_a_person() -> None:
    facts = network_facts(a_group_rule(peer="198.51.100.0/24"))
    assert ended(facts=facts) == ("person", "narrow-source")
    assert (
        "198.51.100.0/24 (rule sgr-tcp-22-198.51.100.0/24 of sg-0web)"
        in network_assessment(facts=facts).triage.reasons[-1]
    )


def test_a_prefix_list_may_hold_anything_and_is_for_a_person() -> None:
    assert ended(facts=network_facts(a_group_rule(peer="pl-0offices"))) == ("person", "narrow-source")


@pytest.mark.parametrize("peer", ["10.0.0.0/8", "sg-0base"])
def test_what_only_lets_in_who_is_inside_is_closed_already(peer: str) -> None:
    assert ended(facts=network_facts(a_group_rule(peer=peer))) == ("nothing-to-do", "already-closed")


OFFICE_ALONE = (
    acl_entry(90, allow=True, protocol="tcp", from_port=22, to_port=22, cidr="198.51.100.0/24"),
    acl_entry(100, allow=True, egress=True),
    *DENY_REST,
)
DENIED = (
    acl_entry(90, allow=False, protocol="tcp", from_port=22, to_port=22),
    acl_entry(100, allow=True),
    acl_entry(100, allow=True, egress=True),
    *DENY_REST,
)
OPEN_TO_ALL = "tcp/22 is open to 0.0.0.0/0 by sgr-tcp-22-0.0.0.0/0 of sg-0web (web), but "
BY_ACL = f"the network ACL of {SUBNET} keeps the internet at large out"


@pytest.mark.parametrize(
    ("changes", "seen"),
    [
        ({"subnets": (a_subnet(acl=OFFICE_ALONE),)}, BY_ACL),
        ({"subnets": (a_subnet(acl=DENIED),)}, BY_ACL),
        (
            {"subnets": (a_subnet(internet_gateway=None, nat_gateway="vpce-0firewall"),)},
            f"the default route of {SUBNET} leads to vpce-0firewall",
        ),
        (
            {"subnets": (a_subnet(internet_gateway=None),)},
            f"the default route of {SUBNET} leads to no internet gateway",
        ),
        ({"subnets": ()}, f"{SUBNET} of eni-0000000000000000a could not be read"),
        (
            {"instance": an_instance(targets=(), interfaces=(an_interface(public_address=None),))},
            "eni-0000000000000000a has no public address",
        ),
    ],
    ids=["acl for an office", "acl that denies", "firewall endpoint", "other routes", "not read", "no address"],
)
def test_a_way_that_inspector_sees_and_we_do_not_is_for_a_person_while_a_rule_lets_everybody_in(
    changes: dict[str, Any], seen: str
) -> None:
    facts = network_facts(**changes)
    assert ended(facts=facts) == ("person", "unseen-path")
    assert network_assessment(facts=facts).triage.reasons[-1] == (
        f"Inspector reports a way to tcp/22, and none is seen here: {OPEN_TO_ALL}{seen}; a person finds out who gets in"
    )


def test_an_office_beside_everybody_does_not_hide_that_everybody_is_let_in() -> None:
    facts = network_facts(
        a_group_rule(), a_group_rule(peer="198.51.100.0/24"), subnets=(a_subnet(internet_gateway=None),)
    )
    assert ended(facts=facts) == ("person", "unseen-path")


def test_a_rule_for_all_of_ipv6_is_told_by_the_way_of_ipv6() -> None:
    facts = network_facts(a_group_rule(peer="::/0"))
    assert ended(facts=facts) == ("person", "unseen-path")
    assert "but eni-0000000000000000a has no IPv6 address;" in network_assessment(facts=facts).triage.reasons[-1]
    addressed = an_instance(targets=(), interfaces=(an_interface(ipv6_addresses=("2600:1f18::7",)),))
    facts = network_facts(a_group_rule(peer="::/0"), instance=addressed, subnets=(a_subnet(nat_gateway="nat-0a"),))
    assert (
        f"but the default route of {SUBNET} leads to no internet gateway;"
        in (network_assessment(facts=facts).triage.reasons[-1])
    )


def test_a_network_acl_that_denies_a_part_leaves_the_rest_to_be_closed() -> None:
    facts = network_facts(a_group_rule(0, 65535), subnets=(a_subnet(acl=DENIED),))
    assert ended(an_opening(20, 30), facts=facts) == ("respond", "reachable")


def test_closed_already_is_only_the_one_of_two_ways_and_the_other_is_for_a_person() -> None:
    facts = network_facts(a_group_rule(peer="10.0.0.0/8"), a_group_rule(80))
    behind = an_opening(80, path=BALANCED, number=2)
    assert ended(an_opening(22), behind, facts=facts) == ("person", "other-path")
    assert (
        "Inspector's path to tcp/80 does not lead straight from an internet gateway"
        in (network_assessment(an_opening(22), behind, facts=facts).triage.reasons[-1])
    )
    declared = network_facts(a_group_rule(peer="10.0.0.0/8"), a_group_rule(80), instance=tagged("80"))
    assert ended(an_opening(22), behind, facts=declared) == ("nothing-to-do", "already-closed")


def test_what_is_closed_beside_another_path_leaves_that_one_to_a_person() -> None:
    found = network_assessment(
        an_opening(22),
        an_opening(80, path=BALANCED, number=2),
        facts=network_facts(a_group_rule(22), a_group_rule(80)),
    ).triage
    assert (found.decision, found.code) == ("respond", "reachable")
    assert "tcp/80 leads through more than an internet gateway: a person decides" in found.reasons
    assert found.reasons[-1].startswith("close tcp/22 to the internet")


def test_what_does_not_run_cannot_be_evaluated() -> None:
    without_address = an_interface(public_address=None)
    stopped = an_instance(state="stopped", targets=(), auto_scaling=None, interfaces=(without_address,))
    assert ended(facts=network_facts(instance=stopped)) == ("person", "not-running")


def test_a_shared_group_that_others_name_is_for_a_person_unless_the_runbook_says_swap() -> None:
    facts = network_facts(users={WEB: ("eni-1",)}, references={WEB: ("sg-0db",)})
    assert ended(facts=facts) == ("person", "referenced")
    assert "rules of sg-0db let its members in" in network_assessment(facts=facts).triage.reasons[-1]
    assert ended(facts=facts, runbook=network_runbook(when_referenced="swap")) == ("respond", "reachable")


def test_that_others_name_a_group_of_its_own_does_not_matter() -> None:
    assert ended(facts=network_facts(references={WEB: ("sg-0db",)})) == ("respond", "reachable")


@pytest.mark.parametrize(("status", "code"), [("CLOSED", "finding-closed"), ("SUPPRESSED", "finding-suppressed")])
def test_what_inspector_has_closed_or_an_owner_has_accepted_is_left_alone(status: str, code: str) -> None:
    assert ended(an_opening(status=status)) == ("nothing-to-do", code)


def test_what_is_gone_is_left_alone() -> None:
    gone = NetworkFacts(host=InstanceFacts(instance=None))
    assert ended(facts=gone) == ("nothing-to-do", "instance-gone")
    nothing = network_case(facts=gone).model_copy(update={"findings": ()})
    assert triage(nothing, network_runbook()).code == "finding-gone"


def test_a_protected_instance_is_for_a_person() -> None:
    protected = an_instance(targets=(), auto_scaling=None, tags={"remediation": "never"})
    assert ended(facts=network_facts(instance=protected)) == ("person", "protected")


def test_a_finding_that_does_not_say_which_ports_is_for_a_person() -> None:
    assert ended(an_opening(extra={})) == ("person", "unreadable")
    assert opening_of(an_opening(30, 20)) is None
    assert opening_of(an_opening(protocol="SCTP")) is None


def test_a_second_group_that_opens_the_port_is_closed_as_well() -> None:
    facts = network_facts(base=(a_group_rule(0, 1024),))
    found = network_assessment(facts=facts).triage
    assert [(path.group, path.ports) for path in found.paths] == [(WEB, "tcp/22"), (BASE, "tcp/0-1024")]


def test_what_a_load_balancer_lets_in_beside_is_told_and_left() -> None:
    target = a_target_registration(port=22, internet_facing=True)
    facts = network_facts(instance=an_instance(targets=(target,), auto_scaling=None))
    assert [path.balanced for path in network_assessment(facts=facts).triage.paths] == [False]
