"""A function that runs a container image: rebuilt by the step that rebuilds any image, examined, and brought over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployments.sandbox.furnish_function import furnish_function
from deployments.sandbox.furnish_function_options import FunctionOptions
from deployments.sandbox.furnish_image import ImageOptions, furnish_image
from runbooks.case import CaseKey
from runbooks.errors import Refused
from runbooks.plan import Phase
from runbooks.planning.functions.rebuilding import is_rebuilt
from runbooks.records import CandidateExamined
from runbooks.steps import PublishVersion, RebuildImage, ShiftAlias, UpdateFunctionImage
from runbooks.verdict import NotYet, VerdictKind
from tasks.examining import examine_candidate
from tasks.gateways.inspector import InspectorGateway
from tests.tasks.conftest import OpenHouse
from tests.tasks.function_story import FunctionStory, a_runbook, world
from tests.tasks.gateways.aws_world import ACCOUNT, REGION
from tests.tasks.harness import House
from tests.tasks.playing import prefect_alone

WORKER = "checkout-worker"
NO_ALARM_NEEDED = a_runbook(deploy={"bake_minutes": 0, "without_alarms": "deploy"}, contain={"when": ()})


@pytest.fixture(scope="module", autouse=True)
def prefect() -> Iterator[None]:
    with prefect_alone():
        yield


def furnished(open_house: OpenHouse, **options: Any) -> House:
    """A function whose image has a vulnerable dependency; alias live serves its version 1."""
    house = open_house(runbook=NO_ALARM_NEEDED)
    place = {"account": ACCOUNT, "region": REGION}
    image = ImageOptions.model_validate(place | {"language": True, "project": "shop-checkout-build"} | options)
    built = furnish_image(house.sandbox.cloud, image)
    role = furnish_function(house.sandbox.cloud, FunctionOptions.model_validate(place))["role_arn"]
    client = house.client("lambda")
    client.create_function(FunctionName=WORKER, PackageType="Image", Code={"ImageUri": built["image"]}, Role=role)
    house.sandbox.advance(20)
    client.publish_version(FunctionName=WORKER)
    house.sandbox.advance(20)
    client.create_alias(FunctionName=WORKER, Name="live", FunctionVersion="1", Description="the queue's")
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{WORKER}:$LATEST"
    for finding in InspectorGateway(house.sessions).findings_of(ACCOUNT, REGION, arn):
        house.ledger.take_finding(CaseKey.of(finding, house.runbook.name), finding, "webhook")
    house.built.append(built | {"bucket": "none"})
    return house


def examined(playing: FunctionStory) -> CandidateExamined:
    for _ in range(20):
        with playing.running():
            found = examine_candidate()
        if not isinstance(found, NotYet):
            return found
        playing.run.wait()
    raise AssertionError("it was never scanned")


def test_its_image_is_rebuilt_examined_put_in_published_shifted_and_proven(open_house: OpenHouse, tmp_path: Path):
    playing = FunctionStory(furnished(open_house), tmp_path)
    house = playing.house
    before = world(house, WORKER)
    (assessment,) = playing.triaged.acting
    assert is_rebuilt(assessment), assessment.triage.reasons

    assert playing.phase(Phase.REBUILD).result == "done"
    (rebuild,) = playing.asked
    assert [type(step) for step in rebuild.steps] == [RebuildImage]
    found = examined(playing)
    assert found.passed, found.reasons
    assert world(house, WORKER) == before

    assert playing.phase(Phase.REMEDIATE).result == "done"
    plan = playing.asked[-1]
    assert [type(step) for step in plan.steps] == [UpdateFunctionImage, PublishVersion, ShiftAlias]
    updated = {"code": found.candidate.removeprefix("sha256:"), "aliases": {"live": ("2", {}, "the queue's")}}
    assert world(house, WORKER) == before | updated
    assert playing.phase(Phase.VERIFY).result == "not-needed"
    while (verified := playing.looked()).kind is None:
        playing.run.wait()
    assert verified.kind is VerdictKind.FIXED, verified.words
    assert house.mutating_calls() == [
        "codebuild:StartBuild",
        "lambda:UpdateFunctionCode",
        "lambda:PublishVersion",
        "lambda:UpdateAlias",
        "lambda:UpdateAlias",
    ]


def test_an_image_that_is_as_vulnerable_as_before_is_not_put_in(open_house: OpenHouse, tmp_path: Path):
    playing = FunctionStory(furnished(open_house, build="keeps_packages"), tmp_path)
    house = playing.house
    assert playing.phase(Phase.REBUILD).result == "done"
    assert not examined(playing).passed
    with pytest.raises(Refused, match="was not examined, or did not pass"):
        playing.phase(Phase.REMEDIATE)
    assert house.mutating_calls() == ["codebuild:StartBuild"]
