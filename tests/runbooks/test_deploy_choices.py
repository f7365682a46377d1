"""What a runbook chooses of a deployment, and that it can end in the time that the runbook gives it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from runbooks.deploy_choices import Deploy, minutes_of
from tests.runbooks.image_builders import an_image_runbook


@pytest.mark.parametrize(
    ("choice", "minutes"),
    [
        ({"strategy": "as-it-is"}, 0),
        ({"strategy": "ROLLING"}, 30),
        ({"strategy": "BLUE_GREEN"}, 30),
        ({"strategy": "CANARY"}, 60),
        ({"strategy": "LINEAR", "canary_percent": 25}, 120),
        ({"strategy": "LINEAR", "canary_percent": 30}, 120),
        ({"strategy": "LINEAR", "canary_percent": 3}, 1020),
    ],
)
def test_a_deployment_that_cannot_end_in_time_is_refused_when_the_runbook_is_loaded(
    choice: dict[str, Any], minutes: int
) -> None:
    choice = {"bake_minutes": 30, **choice}
    assert Deploy(**choice).minutes == minutes
    given = minutes or 1
    assert an_image_runbook(deploy=choice, remediate={"timeout_minutes": given + 1})
    if minutes:
        with pytest.raises(ValidationError) as refused:
            an_image_runbook(deploy=choice, remediate={"timeout_minutes": given})
        words = f"a deployment waits {minutes} minutes in all, and must end before remediate.timeout_minutes ({given})"
        assert f"deploy.bake_minutes: {words}" in str(refused.value)


def test_a_service_that_keeps_its_own_way_waits_as_its_configuration_says() -> None:
    assert minutes_of({}) == 0
    assert minutes_of({"strategy": "ROLLING", "bakeTimeInMinutes": 4}) == 4
    linear = {"stepPercent": 40.0, "stepBakeTimeInMinutes": 6}
    assert minutes_of({"strategy": "LINEAR", "bakeTimeInMinutes": 4, "linearConfiguration": linear}) == 16
    # What is left over of another strategy takes no time.
    assert minutes_of({"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 4, "linearConfiguration": linear}) == 4
