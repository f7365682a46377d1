"""A rule is split so that exactly the named ports are closed to the internet: nobody else loses or gains anything."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbooks.exposure import from_internet
from runbooks.group_rules import GroupRule, left_of, replacing
from runbooks.instance import Rule
from runbooks.ports import PortRange, ports_of

INSIDE = (
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "fc00::/7",
    "10.20.0.0/16",
    "203.0.112.0/22",
    "2600:1f18::/56",
)
"""As a runbook names it, and two VPCs: with a part of it, and with addresses that are public."""
EVERYBODY = ("0.0.0.0/0", "128.0.0.0/1", "::/0", "2000::/3")
NARROW = ("198.51.100.0/24", "203.0.113.0/24", "10.20.0.0/16", "2001:db8:1::/48", "pl-0offices", "sg-0web")
PEERS = (
    *("1.1.1.1", "185.199.108.153", "198.51.100.7", "203.0.113.7", "10.20.3.4", "172.31.0.9", "192.168.7.7"),
    *("255.255.255.255", "0.0.0.1", "2a00:1450:4001::1", "2001:db8:1::5", "fd12::1", "2600:1f18::9", "::1"),
)
PORTS = (0, 19, 20, 21, 22, 23, 30, 31, 443, 65535)


def a_rule(protocol: str = "tcp", begin: int | None = 22, end: int | None = None, peer: str = "0.0.0.0/0") -> GroupRule:
    last = begin if end is None else end
    return GroupRule(
        id=f"sgr-{protocol}-{begin}-{last}-{peer}", protocol=protocol, from_port=begin, to_port=last, peer=peer
    )


def tcp(begin: int, end: int | None = None) -> PortRange:
    return PortRange(protocol="tcp", begin=begin, end=begin if end is None else end)


def reaches(rules: list[GroupRule] | tuple[GroupRule, ...], protocol: str, port: int, peer: str) -> bool:
    """What EC2 makes of the rules, told anew."""
    for rule in rules:
        if "/" not in rule.peer or ip_address(peer) not in ip_network(rule.peer):
            continue
        if rule.protocol == "-1":
            return True
        if rule.protocol == protocol and (port < 0 or (rule.from_port or 0) <= port <= (rule.to_port or 0)):
            return True
    return False


def is_inside(peer: str) -> bool:
    return any(ip_address(peer) in ip_network(each) for each in INSIDE)


edges = st.sampled_from(PORTS)
spans = st.tuples(edges, edges).map(sorted)
rules = st.one_of(
    st.builds(
        lambda protocol, span, peer: a_rule(protocol, span[0], span[1], peer),
        st.sampled_from(["tcp", "udp"]),
        spans,
        st.sampled_from(EVERYBODY + NARROW),
    ),
    st.builds(lambda peer: a_rule("-1", None, None, peer), st.sampled_from(EVERYBODY + NARROW)),
)
closings = st.lists(
    st.builds(
        lambda protocol, span: PortRange.model_validate({"protocol": protocol, "begin": span[0], "end": span[1]}),
        st.sampled_from(["tcp", "udp"]),
        spans,
    ),
    min_size=1,
    max_size=3,
)


def opens(rule: GroupRule, closing: list[PortRange]) -> bool:
    """Whether it lets the internet at large reach one of the ports."""
    if "/" not in rule.peer or not from_internet(rule.peer, ip_network(rule.peer).version):
        return False
    own = [ports_of(rule, each.protocol) for each in closing]
    return any(one and one.begin <= each.end and each.begin <= one.end for one, each in zip(own, closing, strict=True))


@settings(max_examples=150, deadline=None)
@given(st.lists(rules, min_size=1, max_size=5, unique_by=lambda rule: rule.id), closings)
def test_reachable_is_what_was_without_the_closed_ports_from_the_internet(
    group: list[GroupRule], closing: list[PortRange]
) -> None:
    offending = [rule for rule in group if opens(rule, closing)]
    others = [rule for rule in group if rule not in offending]
    added = replacing(offending, group, closing, INSIDE)
    after = [*others, *added]
    for peer in PEERS:
        for protocol in ("tcp", "udp"):
            for port in PORTS:
                closed = any(each.protocol == protocol and each.begin <= port <= each.end for each in closing)
                kept = not closed or is_inside(peer) or reaches(others, protocol, port, peer)
                expected = reaches(group, protocol, port, peer) and kept
                assert reaches(after, protocol, port, peer) == expected, (peer, protocol, port)


@settings(max_examples=150, deadline=None)
@given(st.lists(rules, min_size=1, max_size=5, unique_by=lambda rule: rule.id), closings)
def test_nothing_is_added_twice_and_taking_it_out_again_leaves_what_was_there(
    group: list[GroupRule], closing: list[PortRange]
) -> None:
    offending = [rule for rule in group if opens(rule, closing)]
    added = replacing(offending, group, closing, INSIDE)
    there = [rule.bare for rule in group if rule not in offending]
    bare = [rule.bare for rule in added]
    assert len(set(bare)) == len(bare)
    assert not set(bare) & set(there)
    # The undo takes out what was added, by what it lets through, and puts the offending rules back as they were.
    after = [rule for rule in group if rule not in offending] + list(added)
    back = [rule for rule in after if rule.bare not in bare] + offending
    assert sorted(back, key=lambda rule: rule.id) == sorted(group, key=lambda rule: rule.id)


def test_ping_and_ipv6_neighbours_stay_with_a_rule_for_all_traffic() -> None:
    v4, v6 = a_rule("-1", None, None), a_rule("-1", None, None, "::/0")
    for rule, protocol in ((v4, "icmp"), (v6, "icmpv6")):
        left = left_of(rule, [tcp(22)], INSIDE)
        assert Rule(protocol=protocol, from_port=-1, to_port=-1, peer=rule.peer) in [each.bare for each in left]


def test_a_rule_for_one_port_is_left_to_those_inside_alone() -> None:
    left = left_of(a_rule(), [tcp(22)], ("10.0.0.0/8", "10.20.0.0/16", "fc00::/7"))
    assert [each.words for each in left] == ["tcp/22 from 10.0.0.0/8"]


def test_of_a_range_the_ports_on_both_sides_stay_open_to_everybody() -> None:
    left = left_of(a_rule("tcp", 20, 30), [tcp(22)], ("10.0.0.0/8",))
    assert [each.words for each in left] == [
        "tcp/20-21 from 0.0.0.0/0",
        "tcp/23-30 from 0.0.0.0/0",
        "tcp/22 from 10.0.0.0/8",
    ]


def test_what_takes_its_place_has_its_description_and_its_tags_and_no_id() -> None:
    rule = a_rule().model_copy(update={"description": "for the migration", "tags": {"owner": "payments"}})
    (left,) = left_of(rule, [tcp(22)], ("10.0.0.0/8",))
    assert (left.id, left.description, left.tags) == ("", "for the migration", {"owner": "payments"})


def test_what_the_group_has_already_is_not_added_again() -> None:
    there = a_rule(peer="10.0.0.0/8")
    assert replacing([a_rule()], [a_rule(), there], [tcp(22)], ("10.0.0.0/8", "192.168.0.0/16")) == (
        *left_of(a_rule(), [tcp(22)], ("192.168.0.0/16",)),
    )


@pytest.mark.parametrize("protocol", ["icmp", "47"])
def test_a_rule_without_ports_is_left_alone(protocol: str) -> None:
    rule = a_rule(protocol, -1, -1)
    assert left_of(rule, [tcp(0, 65535)], INSIDE) == (rule,)
