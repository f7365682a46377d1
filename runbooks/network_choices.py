"""What a runbook chooses about networks: CIDRs, and which ways in from the internet are meant to be there."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from runbooks.exposure import from_internet
from runbooks.model import Model


def _network(text: str) -> str:
    """As EC2 keeps it: a host part or another spelling would be another rule than the plan's ever after."""
    if "/" not in text:
        raise ValueError("a CIDR has a prefix length, such as 10.0.9.0/24")
    return str(ipaddress.ip_network(text))


Cidr = Annotated[str, AfterValidator(_network)]


def _not_the_internet(text: str) -> str:
    if from_internet(text, ipaddress.ip_network(text).version):
        raise ValueError(f"{text} is the internet itself: nothing would be closed")
    return text


class Network(Model):
    """Which ways in from the internet are meant to be there, and how the others are closed."""

    expected_exposure_tag: Annotated[str, Field(min_length=1, max_length=128)] = "remediation:expected-exposure"
    """The instance tag that lists the ports which the internet is meant to reach, such as `443, 8000-8100/tcp`."""
    inside: tuple[Annotated[Cidr, AfterValidator(_not_the_internet)], ...] = (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"),
    )
    """Who is not the internet: they keep what a rule for everybody gave them, and so do the VPC's own addresses."""
    group_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9 ._\-:/()#,@+=&;{}!$*]{1,246}$")] = "remediation-closed"
    """What the names of copies of shared groups begin with; a dash and eight characters follow."""
    when_referenced: Literal["person", "swap"] = "person"
    """What becomes of one in a shared group that other rules name: swapped out of it, they let it in no more."""
