"""Which ways in belong together: the same ports, opened by the same groups; and what of a finding is news."""

from __future__ import annotations

from typing import Any

from runbooks.case import CaseKey
from runbooks.grouping import GroupKey, gist, group_key, is_hasty
from tests.runbooks.builders import a_resource
from tests.runbooks.network_builders import PATH, an_opening, network_runbook

ANOTHER = (PATH[0], PATH[1], ("AWS::EC2::SecurityGroup", "sg-0other"), *PATH[3:])


def key_of(*args: Any, **changes: Any) -> GroupKey:
    finding = an_opening(*args, **changes)
    return group_key(CaseKey.of(finding, "network-reachability"), (finding,), network_runbook())


def test_instances_whose_port_is_open_by_the_same_group_are_one_response() -> None:
    assert key_of(22) == key_of(22, resource=a_resource("i-0another"))
    assert key_of(22).remediation == "close tcp/22 in sg-0web"


def test_another_port_another_protocol_or_another_group_is_another_response() -> None:
    keys = [key_of(22), key_of(3389), key_of(22, protocol="UDP"), key_of(22, path=ANOTHER)]
    assert len({key.digest for key in keys}) == 4


def test_sent_again_with_the_same_ports_it_is_an_echo_and_with_others_it_is_news() -> None:
    assert gist(an_opening(22)) == gist(an_opening(22, title="said otherwise"))
    assert gist(an_opening(22)) != gist(an_opening(20, 30))


def test_nobody_hurries_for_a_port_unless_the_host_is_suspected() -> None:
    assert not is_hasty(an_opening(22), network_runbook())
    suspected = a_resource(tags={"remediation:compromise-suspected": "a detection"})
    assert is_hasty(an_opening(22, resource=suspected), network_runbook())
