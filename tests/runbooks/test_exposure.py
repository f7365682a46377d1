"""From where the internet reaches an instance: every condition alone shuts it out, all of them together let it in."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbooks.exposure import InternetPath, acl_admits, from_internet, paths_from_internet
from runbooks.instance import AclEntry, InstanceFacts, Rule
from tests.runbooks.builders import (
    a_rule,
    a_security_group,
    a_subnet,
    a_target_registration,
    an_instance,
    an_interface,
    instance_facts,
)

GATEWAY = "igw-0feedc0de"


def acl_entry(number: int, *, allow: bool, egress: bool = False, **changes: object) -> AclEntry:
    values: dict[str, object] = {"protocol": "-1", "cidr": "0.0.0.0/0"}
    return AclEntry.model_validate({"number": number, "allow": allow, "egress": egress} | values | changes)


DENY_REST = (acl_entry(32767, allow=False), acl_entry(32767, allow=False, egress=True))
ANSWERS_LEAVE = acl_entry(100, allow=True, egress=True, protocol="tcp", from_port=1024, to_port=65535)


def exposed_by(*rules: Rule, acl: tuple[AclEntry, ...] = (), **interface: object) -> tuple[InternetPath, ...]:
    """The paths of an instance behind no load balancer, with one group of these rules."""
    facts = instance_facts(
        an_instance(targets=(), interfaces=(an_interface(groups=("sg-0web",), **interface),)),
        groups=(a_security_group("sg-0web", *rules),),
        subnets=(a_subnet(acl=acl),),
    )
    return paths_from_internet(facts)


def ports(paths: tuple[InternetPath, ...]) -> list[str]:
    return [path.ports for path in paths]


def test_a_public_address_an_internet_gateway_and_an_open_port_are_a_way_in() -> None:
    (path,) = exposed_by(a_rule(443))
    assert path == InternetPath(
        interface="eni-0000000000000000a",
        address="203.0.113.7",
        gateway=GATEWAY,
        group="sg-0web",
        protocol="tcp",
        from_port=443,
        to_port=443,
        source="0.0.0.0/0",
    )
    assert str(path) == f"0.0.0.0/0 -> {GATEWAY} -> 203.0.113.7 tcp/443 (sg-0web on eni-0000000000000000a)"


def test_a_public_address_without_a_route_to_an_internet_gateway_is_no_way_in() -> None:
    instance = an_instance(targets=())
    for subnet in (a_subnet(internet_gateway=None), a_subnet(internet_gateway=None, nat_gateway="nat-0a")):
        assert paths_from_internet(instance_facts(instance, subnets=(subnet,))) == ()


def test_an_internet_gateway_without_a_public_address_is_no_way_in() -> None:
    assert exposed_by(a_rule(443), public_address=None) == ()


def test_a_subnet_that_was_not_read_is_no_way_in() -> None:
    assert paths_from_internet(instance_facts(an_instance(targets=()), subnets=())) == ()


def test_an_instance_that_is_gone_is_not_exposed() -> None:
    assert paths_from_internet(InstanceFacts(instance=None)) == ()


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (a_rule(22), "tcp/22"),
        (Rule(protocol="tcp", from_port=8000, to_port=8100, peer="0.0.0.0/0"), "tcp/8000-8100"),
        (Rule(protocol="udp", from_port=53, to_port=53, peer="0.0.0.0/0"), "udp/53"),
        (a_rule(None), "every tcp port"),
        (a_rule(None, protocol="-1"), "every port"),
    ],
)
def test_a_path_names_its_port(rule: Rule, words: str) -> None:
    (path,) = exposed_by(rule)
    assert path.ports == words
    assert f" {words} (" in str(path)


@pytest.mark.parametrize("peer", ["0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "64.0.0.0/7"])
def test_half_of_the_internet_is_the_internet(peer: str) -> None:
    assert [path.source for path in exposed_by(a_rule(443, peer))] == [peer]


@pytest.mark.parametrize("peer", ["198.51.100.7/32", "198.51.100.0/24", "10.0.0.0/8", "sg-0base", "pl-0offices"])
def test_an_office_a_private_network_or_another_group_is_no_exposure(peer: str) -> None:
    assert exposed_by(a_rule(443, peer)) == ()


@pytest.mark.parametrize(
    ("peer", "version", "answer"),
    [
        ("::/0", 6, True),
        ("2000::/3", 6, True),
        ("2001:db8::/32", 6, False),
        ("fc00::/7", 6, False),
        ("::/0", 4, False),
        ("0.0.0.0/0", 6, False),
    ],
)
def test_an_ipv6_peer_counts_for_ipv6_only_and_only_where_it_is_public(peer: str, version: int, answer: bool) -> None:
    assert from_internet(peer, version) is answer


def test_an_ipv6_address_is_reached_by_its_own_route_and_rule() -> None:
    interface = an_interface(public_address=None, ipv6_addresses=("2600:1f18::7",), groups=("sg-0web",))
    facts = instance_facts(
        an_instance(targets=(), interfaces=(interface,)),
        groups=(a_security_group("sg-0web", a_rule(443), a_rule(22, "::/0")),),
    )
    assert paths_from_internet(facts) == ()
    routed = facts.model_copy(update={"subnets": (a_subnet(internet_gateway_ipv6="igw-06"),)})
    (path,) = paths_from_internet(routed)
    assert (path.address, path.gateway, path.ports, path.source) == ("2600:1f18::7", "igw-06", "tcp/22", "::/0")


def test_every_rule_of_every_group_on_every_interface_counts() -> None:
    first = an_interface(groups=("sg-0web", "sg-0base"))
    second = an_interface(id="eni-b", device_index=1, groups=("sg-0base",), public_address="203.0.113.8", elastic=True)
    facts = instance_facts(
        an_instance(targets=(), interfaces=(first, second)),
        groups=(a_security_group("sg-0web", a_rule(80), a_rule(443)), a_security_group("sg-0base", a_rule(22))),
    )
    found = [(path.interface, path.group, path.ports) for path in paths_from_internet(facts)]
    assert found == [
        (first.id, "sg-0web", "tcp/80"),
        (first.id, "sg-0web", "tcp/443"),
        (first.id, "sg-0base", "tcp/22"),
        ("eni-b", "sg-0base", "tcp/22"),
    ]


def test_a_group_that_was_not_read_opens_nothing() -> None:
    assert paths_from_internet(instance_facts(an_instance(targets=()), groups=())) == ()


def test_an_internet_facing_load_balancer_is_a_way_in_of_its_own() -> None:
    hidden = an_interface(public_address=None)
    outside = a_target_registration(internet_facing=True, port=8080)
    inside = a_target_registration(internet_facing=False, port=9090)
    detached = a_target_registration(internet_facing=True, load_balancer=None)
    facts = instance_facts(an_instance(interfaces=(hidden,), targets=(outside, inside, detached)))
    (path,) = paths_from_internet(facts)
    assert (path.gateway, path.address, path.ports) == (outside.load_balancer, "i-0a1b2c3d4e5f60718", "tcp/8080")


# --- network ACLs ----------------------------------------------------------------------------------------------------


def test_an_acl_that_lets_both_directions_pass_leaves_the_way_open() -> None:
    acl = (acl_entry(100, allow=True, protocol="tcp", from_port=443, to_port=443), ANSWERS_LEAVE, *DENY_REST)
    assert ports(exposed_by(a_rule(443), acl=acl)) == ["tcp/443"]
    assert exposed_by(a_rule(22), acl=acl) == ()


def test_a_deny_before_an_allow_shuts_the_port_and_one_after_it_does_not() -> None:
    allow = acl_entry(100, allow=True)
    for number, open_ports in ((90, []), (110, ["tcp/443"])):
        deny = acl_entry(number, allow=False, protocol="tcp", from_port=443, to_port=443)
        acl = (deny, allow, ANSWERS_LEAVE, *DENY_REST)
        assert ports(exposed_by(a_rule(443), acl=acl)) == open_ports, number
        assert ports(exposed_by(a_rule(443), acl=acl[::-1])) == open_ports, "their numbers decide, not their order"


def test_a_deny_of_some_ports_leaves_the_others_of_a_range_open() -> None:
    deny = acl_entry(90, allow=False, protocol="tcp", from_port=8000, to_port=8099)
    acl = (deny, acl_entry(100, allow=True), ANSWERS_LEAVE, *DENY_REST)
    wider = Rule(protocol="tcp", from_port=8000, to_port=8100, peer="0.0.0.0/0")
    within = Rule(protocol="tcp", from_port=8000, to_port=8099, peer="0.0.0.0/0")
    assert ports(exposed_by(wider, within, acl=acl)) == ["tcp/8000-8100"]


def test_without_a_way_out_for_the_answers_nobody_gets_in() -> None:
    acl = (acl_entry(100, allow=True), *DENY_REST)
    assert exposed_by(a_rule(443), acl=acl) == ()


def test_answers_may_leave_by_a_part_of_the_ephemeral_ports() -> None:
    linux = acl_entry(100, allow=True, egress=True, protocol="tcp", from_port=32768, to_port=60999)
    web_only = acl_entry(100, allow=True, egress=True, protocol="tcp", from_port=80, to_port=443)
    incoming = acl_entry(100, allow=True)
    assert ports(exposed_by(a_rule(443), acl=(incoming, linux, *DENY_REST))) == ["tcp/443"]
    assert exposed_by(a_rule(443), acl=(incoming, web_only, *DENY_REST)) == ()


def test_an_acl_that_denies_ping_does_not_shut_a_group_that_is_open_for_everything() -> None:
    no_ping = acl_entry(50, allow=False, protocol="icmp")
    no_udp = acl_entry(60, allow=False, protocol="udp")
    acl = (no_ping, no_udp, acl_entry(100, allow=True), acl_entry(100, allow=True, egress=True), *DENY_REST)
    assert ports(exposed_by(a_rule(None, protocol="-1"), acl=acl)) == ["every port"]


def test_an_acl_that_lets_only_the_office_or_the_vpc_in_shuts_the_internet_out() -> None:
    for cidr in ("198.51.100.7/32", "10.0.0.0/8"):
        acl = (acl_entry(100, allow=True, cidr=cidr), acl_entry(100, allow=True, egress=True), *DENY_REST)
        assert exposed_by(a_rule(443), acl=acl) == (), cidr


def test_a_deny_for_one_troublemaker_does_not_shut_the_internet_out() -> None:
    troublemaker = acl_entry(10, allow=False, cidr="198.51.100.7/32")
    acl = (troublemaker, acl_entry(100, allow=True), acl_entry(100, allow=True, egress=True), *DENY_REST)
    assert ports(exposed_by(a_rule(443), acl=acl)) == ["tcp/443"]


def test_a_deny_for_the_other_half_of_the_internet_says_nothing_of_this_half() -> None:
    other_half = acl_entry(10, allow=False, cidr="128.0.0.0/1")
    acl = (other_half, acl_entry(100, allow=True), acl_entry(100, allow=True, egress=True), *DENY_REST)
    assert ports(exposed_by(a_rule(443, "0.0.0.0/1"), acl=acl)) == ["tcp/443"]


def test_an_ipv4_entry_says_nothing_of_ipv6() -> None:
    acl = (acl_entry(100, allow=True), acl_entry(100, allow=True, egress=True), *DENY_REST)
    assert not acl_admits(a_subnet(acl=acl), a_rule(443, "::/0"))
    opened = (*acl, acl_entry(101, allow=True, cidr="::/0"), acl_entry(101, allow=True, egress=True, cidr="::/0"))
    assert acl_admits(a_subnet(acl=opened), a_rule(443, "::/0"))


NUMBERS = st.integers(1, 65535)
RULES = st.builds(
    lambda low, high, protocol: Rule(
        protocol=protocol, from_port=min(low, high), to_port=max(low, high), peer="0.0.0.0/0"
    ),
    NUMBERS,
    NUMBERS,
    st.sampled_from(["tcp", "udp"]),
)
ENTRIES = st.lists(
    st.builds(
        lambda number, allow, egress, low, high, protocol: acl_entry(
            number, allow=allow, egress=egress, protocol=protocol, from_port=min(low, high), to_port=max(low, high)
        ),
        st.integers(1, 30000),
        st.booleans(),
        st.booleans(),
        NUMBERS,
        NUMBERS,
        st.sampled_from(["tcp", "udp", "-1"]),
    ),
    max_size=6,
    unique_by=lambda entry: (entry.number, entry.egress),
)


@settings(deadline=None, max_examples=60)
@given(rule=RULES, entries=ENTRIES)
def test_trying_only_the_edges_of_an_acl_finds_what_trying_every_port_finds(
    rule: Rule, entries: list[AclEntry]
) -> None:
    in_order = sorted(entries, key=lambda each: each.number)

    def passes(ports: range, egress: bool) -> bool:
        left = set(ports)
        for entry in in_order:
            if entry.egress == egress and entry.protocol in (rule.protocol, "-1"):
                matched = left.intersection(range(entry.from_port or 0, (entry.to_port or 0) + 1))
                if matched and entry.allow:
                    return True
                left -= matched
        return False

    comes_in = passes(range(rule.from_port or 0, (rule.to_port or 0) + 1), False)
    expected = comes_in and passes(range(1024, 65536), True)
    assert acl_admits(a_subnet(acl=(*entries, *DENY_REST)), rule) is expected


@given(peer=st.ip_addresses(v=4), length=st.integers(0, 32))
def test_a_narrower_peer_is_never_more_of_the_internet_than_a_wider_one(peer: object, length: int) -> None:
    narrow = ip_network(f"{peer}/{length}", strict=False)
    wide = narrow.supernet() if length else narrow
    assert not from_internet(str(narrow), 4) or from_internet(str(wide), 4)
