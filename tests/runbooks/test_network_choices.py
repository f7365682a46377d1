"""What a runbook may choose about ways in: nothing that would close nothing, and no containment beside it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from runbooks.definition import Runbook
from tests.runbooks.network_builders import network_runbook


def chosen(section: str, **values: Any) -> Runbook:
    runbook = network_runbook().model_dump()
    runbook[section] |= values
    return Runbook.model_validate(runbook)


@pytest.mark.parametrize("cidr", ["0.0.0.0/0", "128.0.0.0/1", "::/0", "2000::/3"])
def test_the_internet_cannot_be_inside(cidr: str) -> None:
    with pytest.raises(ValidationError, match="is the internet itself"):
        chosen("network", inside=(cidr,))


@pytest.mark.parametrize("cidr", ["198.51.100.7", "10.0.0.1/8", "office"])
def test_who_is_inside_is_written_as_ec2_keeps_it(cidr: str) -> None:
    with pytest.raises(ValidationError):
        chosen("network", inside=(cidr,))


def test_an_office_may_be_inside() -> None:
    assert chosen("network", inside=("203.0.113.0/24",)).network.inside == ("203.0.113.0/24",)


def test_a_way_in_is_closed_and_never_contained() -> None:
    with pytest.raises(ValidationError, match="there is nothing to contain"):
        chosen("contain", when=(("exposed",),))
