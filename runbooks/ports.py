"""Ranges of ports: what of one is left without another, and how a person writes them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from runbooks.errors import BadInput
from runbooks.instance import Rule
from runbooks.model import Model

Protocol = Literal["tcp", "udp"]
LAST_PORT = 65535
_NUMBERS: dict[str, Protocol] = {"tcp": "tcp", "6": "tcp", "udp": "udp", "17": "udp"}
_WRITTEN = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp))?", re.ASCII)


class PortRange(Model):
    """Ports of one protocol, both ends included."""

    protocol: Protocol
    begin: Annotated[int, Field(ge=0, le=LAST_PORT)]
    end: Annotated[int, Field(ge=0, le=LAST_PORT)]

    @model_validator(mode="after")
    def _begins_before_it_ends(self) -> Self:
        if self.begin > self.end:
            raise ValueError(f"a range of ports begins before it ends: {self.begin}-{self.end}")
        return self

    def __str__(self) -> str:
        return f"{self.protocol}/{self.begin}" + (f"-{self.end}" if self.end != self.begin else "")


def port_protocol(rule: Rule) -> Protocol | None:
    """The protocol of a rule that is about ports; None for all traffic, and for protocols without ports."""
    return _NUMBERS.get(rule.protocol)


def ports_of(rule: Rule, protocol: Protocol) -> PortRange | None:
    """The ports of that protocol which the rule lets through; None where it is about another one."""
    if rule.protocol == "-1":
        return PortRange(protocol=protocol, begin=0, end=LAST_PORT)
    if port_protocol(rule) != protocol:
        return None
    begin, end = rule.from_port, rule.to_port
    if begin is None or end is None or begin < 0:
        return PortRange(protocol=protocol, begin=0, end=LAST_PORT)
    return PortRange(protocol=protocol, begin=begin, end=end)


def shared(some: PortRange, other: PortRange) -> PortRange | None:
    """The ports that are in both."""
    begin, end = max(some.begin, other.begin), min(some.end, other.end)
    if some.protocol != other.protocol or begin > end:
        return None
    return PortRange(protocol=some.protocol, begin=begin, end=end)


def without(ranges: Iterable[PortRange], taken: Iterable[PortRange]) -> tuple[PortRange, ...]:
    """What is left of the ranges, in order and with nothing twice."""
    left = merged(ranges)
    for away in taken:
        left = tuple(piece for each in left for piece in _around(each, away))
    return left


def merged(ranges: Iterable[PortRange]) -> tuple[PortRange, ...]:
    """The same ports in as few ranges as can be, by protocol and port."""
    found: list[PortRange] = []
    for each in sorted(ranges, key=lambda one: (one.protocol, one.begin, one.end)):
        last = found[-1] if found else None
        if last is not None and last.protocol == each.protocol and each.begin <= last.end + 1:
            found[-1] = last.model_copy(update={"end": max(last.end, each.end)})
        else:
            found.append(each)
    return tuple(found)


def narrowed(rule: Rule, ports: PortRange) -> Rule | None:
    """The rule as if it were about these ports alone; None where it lets none of them through."""
    own = ports_of(rule, ports.protocol)
    both = shared(own, ports) if own else None
    if both is None:
        return None
    return Rule(protocol=both.protocol, from_port=both.begin, to_port=both.end, peer=rule.peer)


def read_ports(text: str) -> tuple[PortRange, ...]:
    """What a person lists: `443`, `443, 8000-8100/tcp`, `53/udp`; TCP where nothing else is said.

    Raises:
        BadInput: it is no such list.
    """
    parts = [part for part in re.split(r"[\s,;+]+", text) if part]
    if not parts:
        raise BadInput("no port is named; write such as 443, 8000-8100/tcp")
    return merged(_read_one(part) for part in parts)


def in_words(ranges: Sequence[PortRange]) -> str:
    """`tcp/22 and tcp/8000-8100`."""
    names = [str(each) for each in ranges]
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def _read_one(part: str) -> PortRange:
    match = _WRITTEN.fullmatch(part)
    if match is None:
        raise BadInput(f"{part!r} is no port; write such as 443 or 8000-8100/tcp")
    begin, end = int(match[1]), int(match[2] or match[1])
    if begin > end or end > LAST_PORT:
        raise BadInput(f"{part!r} is no range of ports: they are 0 to {LAST_PORT}, the lower one first")
    return PortRange(protocol=_NUMBERS[match[3] or "tcp"], begin=begin, end=end)


def _around(each: PortRange, away: PortRange) -> tuple[PortRange, ...]:
    both = shared(each, away)
    if both is None:
        return (each,)
    before = (each.model_copy(update={"end": both.begin - 1}),) if both.begin > each.begin else ()
    after = (each.model_copy(update={"begin": both.end + 1}),) if both.end < each.end else ()
    return (*before, *after)
