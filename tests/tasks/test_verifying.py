"""Verifying: AWS may show a world that is gone, and what speaks against a remediation is looked at again.

And what triage left nothing to do about wants no verdict, unless it is contained.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runbooks.plan import Phase
from runbooks.verdict import VerdictKind
from tasks.looking import NOT_BELIEVED, SHOWS_WITHIN
from tasks.run import current
from tasks.triage import rightly_left_alone
from tests.tasks.conftest import OpenHouse
from tests.tasks.contained import OTHER, furnished
from tests.tasks.gateways.aws_world import ACCOUNT, INSTANCE, REGION, an_event
from tests.tasks.network_story import story
from tests.tasks.playing import prefect_alone
from tests.tasks.ward import Ward


@pytest.fixture(scope="module", autouse=True)
def prefect() -> Iterator[None]:
    with prefect_alone():
        yield


def test_that_it_does_not_help_is_believed_only_some_seconds_after_the_last_change(
    open_house: OpenHouse, tmp_path: Path
) -> None:
    playing = story(open_house, tmp_path)
    assert playing.phase(Phase.REMEDIATE).result == "done"
    way_in = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIp": "0.0.0.0/0"}
    playing.house.client("ec2").authorize_security_group_ingress(GroupId=playing.house.built[0]["group_id"], **way_in)

    at_once = playing.looked()
    assert (at_once.kind, at_once.words) == (None, NOT_BELIEVED)

    playing.advance(SHOWS_WITHIN.total_seconds())
    assert playing.looked().kind is VerdictKind.NOT_FIXED


def test_an_instance_that_is_gone_wants_no_verdict_and_one_that_is_contained_does(
    open_house: OpenHouse, tmp_path: Path
) -> None:
    house = furnished(open_house)
    house.furnish(an_event(OTHER, 2, in_group=False))
    cases = {row.key.resource_id: row.id for row in house.ledger.cases("open")}
    ward = Ward(house, tmp_path)
    assert ward.contain(cases[INSTANCE]).result == "done"
    for finding in house.sandbox.cloud.world(ACCOUNT, REGION).findings.values():
        finding.status = "CLOSED"
    house.client("ec2").terminate_instances(InstanceIds=[OTHER])

    ward.respond(*cases.values())

    triaged = {each.case: (each.triage.decision, each.triage.code) for each in ward.run.assessments()}
    assert triaged == {
        cases[INSTANCE]: ("nothing-to-do", "finding-closed"),
        cases[OTHER]: ("nothing-to-do", "instance-gone"),
    }
    with ward.running():
        over = rightly_left_alone(current(), house.history())
    assert over == {
        cases[OTHER]: "the instance is gone: nothing is left to contain or patch (and nothing was fixed)",
    }
