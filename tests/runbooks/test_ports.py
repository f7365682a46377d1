"""Ranges of ports: taken from each other without a port too many or too few, and read as people write them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbooks.errors import BadInput
from runbooks.instance import Rule
from runbooks.ports import PortRange, in_words, merged, narrowed, ports_of, read_ports, without

LAST = 40
"""Few ports, so that they meet."""


def a_range(begin: int, end: int | None = None, protocol: str = "tcp") -> PortRange:
    return PortRange.model_validate({"protocol": protocol, "begin": begin, "end": begin if end is None else end})


ranges = st.lists(
    st.builds(
        lambda some, other, protocol: a_range(min(some, other), max(some, other), protocol),
        st.integers(0, LAST),
        st.integers(0, LAST),
        st.sampled_from(["tcp", "udp"]),
    ),
    max_size=5,
)


def ports(several: list[PortRange] | tuple[PortRange, ...]) -> set[tuple[str, int]]:
    return {(each.protocol, port) for each in several for port in range(each.begin, each.end + 1)}


@given(ranges, ranges)
def test_what_is_left_is_what_was_there_without_what_was_taken(some: list[PortRange], taken: list[PortRange]) -> None:
    assert ports(without(some, taken)) == ports(some) - ports(taken)


@given(ranges)
def test_joined_they_are_the_same_ports_in_ranges_that_do_not_touch(some: list[PortRange]) -> None:
    joined = merged(some)
    assert ports(joined) == ports(some)
    assert all(one.protocol != other.protocol or one.end + 1 < other.begin for one, other in pairwise(joined))


@pytest.mark.parametrize(
    ("rule", "begin", "end"),
    [
        (Rule(protocol="-1", peer="0.0.0.0/0"), 0, 65535),
        (Rule(protocol="tcp", from_port=-1, to_port=-1, peer="0.0.0.0/0"), 0, 65535),
        (Rule(protocol="6", from_port=20, to_port=30, peer="0.0.0.0/0"), 20, 30),
    ],
)
def test_a_rule_is_about_these_ports(rule: Rule, begin: int, end: int) -> None:
    assert ports_of(rule, "tcp") == a_range(begin, end)


def test_a_rule_of_another_protocol_is_about_none() -> None:
    rule = Rule(protocol="udp", from_port=53, to_port=53, peer="0.0.0.0/0")
    assert ports_of(rule, "tcp") is None
    assert narrowed(rule, a_range(53)) is None
    assert ports_of(Rule(protocol="icmp", from_port=-1, to_port=-1, peer="0.0.0.0/0"), "udp") is None


def test_a_rule_as_if_it_were_about_fewer_ports() -> None:
    rule = Rule(protocol="-1", peer="0.0.0.0/0")
    assert narrowed(rule, a_range(22)) == Rule(protocol="tcp", from_port=22, to_port=22, peer="0.0.0.0/0")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("443", "tcp/443"),
        ("443,80", "tcp/80 and tcp/443"),
        ("443, 8000-8100/tcp  53/udp", "tcp/443, tcp/8000-8100 and udp/53"),
        ("80+81", "tcp/80-81"),
    ],
)
def test_what_a_person_lists_is_read(text: str, words: str) -> None:
    assert in_words(read_ports(text)) == words


@pytest.mark.parametrize("text", ["", " , ", "https", "22-", "70000", "30-20", "443/sctp", "4 4 3-x", "٢٢"])
def test_what_is_no_list_of_ports_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(BadInput, match=r"write such as|lower one first"):
        read_ports(text)
