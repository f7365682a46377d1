"""Which cases about images belong together, and which of them wait for nobody; and that the limits let them begin."""

from __future__ import annotations

from typing import Any

import pytest

from runbooks.case import CaseKey
from runbooks.facts import SUSPICION_TAG
from runbooks.grouping import GroupKey, group_key, is_hasty
from runbooks.limits import Room, exceeded
from runbooks.plan import Extent
from runbooks.planning.extents import extents
from tests.runbooks.builders import ACCOUNT, REGION
from tests.runbooks.image_builders import (
    RUNBOOK,
    a_repository,
    an_image_assessment,
    an_image_case,
    an_image_finding,
    an_image_key,
    an_image_runbook,
    an_os_package,
    digest,
    image_arn,
)

PLACE = f"{ACCOUNT}/{REGION}"


def key_of(number: int = 1, **changes: Any) -> GroupKey:
    finding = an_image_finding(number, of=digest(number), **changes)
    return group_key(CaseKey.of(finding, RUNBOOK), (finding,), an_image_runbook())


def test_digests_of_one_repository_with_the_same_packages_are_one_response() -> None:
    assert key_of(1) == key_of(2)
    assert key_of().remediation == "rebuild shop/checkout: libssl3 (OS)"


def test_another_repository_or_another_package_is_another_response() -> None:
    elsewhere = an_image_finding().resource.model_copy(update={"id": image_arn(repository="shop/basket")})
    others = (
        key_of(resource=elsewhere),
        key_of(packages=(an_os_package(name="curl"),)),
        key_of(packages=(an_os_package(manager="PIP"),)),
    )
    assert len({key_of().digest, *(other.digest for other in others)}) == 4


@pytest.mark.parametrize(
    ("in_use", "changes", "hasty"),
    [
        (3, {}, True),
        (0, {}, False),
        (None, {}, False),
        (3, {"exploit_available": None, "epss": 0.01}, False),
        (3, {"status": "CLOSED"}, False),
    ],
)
def test_an_exploitable_image_that_runs_waits_for_nobody(in_use: Any, changes: dict[str, Any], hasty: bool) -> None:
    finding = an_image_finding(**changes)
    details = {"awsEcrContainerImage": {"inUseCount": in_use}} if in_use is not None else {}
    finding = finding.model_copy(update={"resource": finding.resource.model_copy(update={"details": details})})
    assert is_hasty(finding, an_image_runbook()) is hasty


def test_what_is_suspected_of_being_compromised_waits_for_nobody() -> None:
    finding = an_image_finding(exploit_available=None, epss=None)
    tagged = finding.resource.model_copy(update={"tags": {SUSPICION_TAG: "jane"}})
    assert is_hasty(finding.model_copy(update={"resource": tagged}), an_image_runbook())


def test_an_image_is_a_share_of_nothing_and_its_environment_is_its_repositorys() -> None:
    runbook = an_image_runbook()
    assessment = an_image_assessment(runbook=runbook, repository=a_repository(tags={"environment": "staging"}))
    (extent,) = extents(runbook, [assessment])
    assert extent == Extent(
        case=assessment.case,
        place=PLACE,
        environment="staging",
        services={"shop/checkout": 4, "shop/basket": 2},
    )
    (untagged,) = extents(runbook, [an_image_assessment(runbook=runbook, repository=a_repository(tags={}))])
    assert untagged.environment == "unknown"


def test_a_few_digests_may_begin_together_under_the_shipped_limits() -> None:
    runbook = an_image_runbook()
    few = [an_image_assessment(an_image_case(of=digest(number)), runbook) for number in range(5)]
    assert exceeded(runbook.limits, extents(runbook, few)) is None
    room = Room(runbook.limits)
    room.take(extents(runbook, few))
    assert room.has_for(extents(runbook, [an_image_assessment(runbook=runbook)]))


def test_the_numbers_of_cases_hold_for_images_too() -> None:
    runbook = an_image_runbook(limits={"maximum_cases_at_once": 2})
    wanted = tuple(Extent(case=an_image_key(digest(number)).id, services={}) for number in range(3))
    assert "maximum_cases_at_once is 2" in str(exceeded(runbook.limits, wanted))


def test_an_image_that_is_gone_counts_as_what_nothing_is_known_of() -> None:
    runbook = an_image_runbook()
    gone = an_image_assessment(runbook=runbook, image=None)
    assert extents(runbook, [gone]) == (Extent(case=gone.case),)
