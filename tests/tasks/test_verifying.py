"""Verifying: AWS may show a world that is gone, and what speaks against a remediation is looked at again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runbooks.plan import Phase
from runbooks.verdict import VerdictKind
from tasks.looking import NOT_BELIEVED, SHOWS_WITHIN
from tests.tasks.conftest import OpenHouse
from tests.tasks.network_story import story
from tests.tasks.playing import prefect_alone


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
