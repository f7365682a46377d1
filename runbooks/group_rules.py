"""Security group rules one by one, and what is left of one when some ports are closed to the internet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Network, IPv6Network, collapse_addresses

from pydantic import Field

from runbooks.exposure import from_internet
from runbooks.instance import Rule
from runbooks.ports import LAST_PORT, PortRange, Protocol, port_protocol, ports_of, shared, without

EVERY_TRAFFIC = "-1"
_PORT_PROTOCOLS: tuple[Protocol, ...] = ("tcp", "udp")


class GroupRule(Rule):
    """One rule of one security group as EC2 lists it: it can be taken out alone, and put back as it was."""

    id: str = ""
    """`sgr-...`; empty where it is yet to be made. EC2 gives a rule that is put back another one."""
    egress: bool = False
    description: str | None = None
    tags: dict[str, str] = Field(default_factory=dict)
    peer_account: str | None = None
    """The account of a group that is named as the peer."""

    @property
    def bare(self) -> Rule:
        """What it lets through: what makes it the same rule to EC2."""
        return Rule(protocol=self.protocol, from_port=self.from_port, to_port=self.to_port, peer=self.peer)

    @property
    def words(self) -> str:
        return f"{ports_in_words(self)} {'to' if self.egress else 'from'} {self.peer}"


def ports_in_words(rule: Rule) -> str:
    """`tcp/22`, `tcp/20-30`, `all traffic`, `every icmp`."""
    protocol = port_protocol(rule)
    if rule.protocol == EVERY_TRAFFIC:
        return "all traffic"
    found = ports_of(rule, protocol) if protocol else None
    return str(found) if found else f"every {rule.protocol}"


def is_everybody(peer: str) -> bool:
    """Whether a rule's peer means the internet at large."""
    return from_internet(peer, 6 if ":" in peer else 4)


def is_inside(peer: str, inside: Iterable[str]) -> bool:
    """Whether a rule's peer is wholly among these CIDRs. A group is; a prefix list may hold anything, and is not."""
    if peer.startswith("sg-"):
        return True
    return "/" in peer and _within(peer, inside) == (peer,)


def left_of(rule: GroupRule, closing: Sequence[PortRange], inside: Iterable[str]) -> tuple[GroupRule, ...]:
    """The rules that take the place of one: these ports are closed to the internet, all else stays as it was.

    A rule for all traffic cannot say "all but one port": for the internet TCP, UDP and ICMP of it stay, and what has
    neither ports nor ICMP (GRE, ESP and the like) does not; for who is inside all of it stays.

    Args:
        inside: CIDRs that are not the internet, and keep what the rule gave them.
    """
    within = _within(rule.peer, inside)
    if rule.protocol == EVERY_TRAFFIC:
        kept = (_changed(rule, peer=peer) for peer in within)
        return (*kept, *_of_all_traffic(rule, closing))
    protocol = port_protocol(rule)
    own = ports_of(rule, protocol) if protocol else None
    if own is None:
        return (rule,)
    pieces = [_with_ports(rule, piece) for piece in without([own], closing)]
    closed = [both for each in closing if (both := shared(own, each))]
    return (*pieces, *(_with_ports(rule, ports, peer) for ports in closed for peer in within))


def replacing(
    offending: Sequence[GroupRule], group: Iterable[GroupRule], closing: Sequence[PortRange], inside: Iterable[str]
) -> tuple[GroupRule, ...]:
    """What is to be added to the group before these of its rules are taken out: nothing that it has already."""
    around = tuple(inside)
    there = [each.bare for each in group if not each.egress and each not in offending]
    found: list[GroupRule] = []
    for each in (left for rule in offending for left in left_of(rule, closing, around)):
        if each.bare not in there:
            found.append(each)
            there.append(each.bare)
    return tuple(found)


def _of_all_traffic(rule: GroupRule, closing: Sequence[PortRange]) -> Iterator[GroupRule]:
    for protocol in _PORT_PROTOCOLS:
        whole = PortRange(protocol=protocol, begin=0, end=LAST_PORT)
        yield from (_with_ports(rule, piece) for piece in without([whole], closing))
    yield _changed(rule, protocol="icmpv6" if ":" in rule.peer else "icmp", from_port=-1, to_port=-1)


def _with_ports(rule: GroupRule, ports: PortRange, peer: str | None = None) -> GroupRule:
    return _changed(rule, protocol=ports.protocol, from_port=ports.begin, to_port=ports.end, peer=peer or rule.peer)


def _changed(rule: GroupRule, **values: object) -> GroupRule:
    """With the description and the tags of the rule whose place it takes, and no id yet."""
    return rule.model_copy(update={"id": "", **values})


def _within(peer: str, inside: Iterable[str]) -> tuple[str, ...]:
    """The parts of a CIDR that are inside, each once."""
    if ":" in peer:
        outer6 = IPv6Network(peer, strict=False)
        own6 = collapse_addresses(IPv6Network(each, strict=False) for each in inside if ":" in each)
        return tuple(str(min(each, outer6, key=_size)) for each in own6 if each.overlaps(outer6))
    outer4 = IPv4Network(peer, strict=False)
    own4 = collapse_addresses(IPv4Network(each, strict=False) for each in inside if ":" not in each)
    return tuple(str(min(each, outer4, key=_size)) for each in own4 if each.overlaps(outer4))


def _size(network: IPv4Network | IPv6Network) -> int:
    """Of two networks that overlap the smaller one is in the other."""
    return network.num_addresses
