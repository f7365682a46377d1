"""Inspector loses sight of an instance whose case was fixed, or is open: in the end its verdict is unverifiable."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deployments.sandbox.server import Sandbox
from flows.rescan_verify import _playbook as look
from flows.response_run import LookAgain
from runbooks.case import case_stream
from runbooks.records import CoverageLost, ResponseEnded
from runbooks.verdict import VerdictKind
from tasks.intake import drain
from tasks.run import running
from tasks.services import use
from tasks.sweeping.coverage import follow_coverage
from tasks.sweeping.looking_again import look_again
from tasks.sweeping.swept import Swept
from tasks.verdicts import newest_verdict
from tests.kinds_page import EVENTS
from tests.tasks.gateways.aws_world import ACCOUNT, INSTANCE, REGION, ROLE_ARN, an_event
from tests.tasks.playing import prefect_alone
from tests.tasks.sweep_house import SweepHouse, sweep_house


@pytest.fixture(scope="module", autouse=True)
def prefect() -> Iterator[None]:
    with prefect_alone():
        yield


@dataclass
class Story:
    """An instance in the sandbox, its case, and the parts of a sweep that look after it."""

    house: SweepHouse
    sandbox: Sandbox

    def pass_by(self, hours: float) -> None:
        self.sandbox.advance(hours * 3600)
        self.house.clock.now = self.sandbox.cloud.clock.now()

    def sweep(self) -> list[str]:
        """The looks that are started."""
        drain(self.house.ledger, self.house.catalog)
        swept = Swept()
        asyncio.run(follow_coverage(self.house, self.house.now(), swept))
        asyncio.run(look_again(self.house, self.house.now(), swept))
        return swept.looked_again

    def play(self) -> ResponseEnded | None:
        """The newest response's run; None where it waits for what it cannot see yet."""
        row = self.house.newest(INSTANCE)
        with use(self.house), running(row.id, 0, "run") as run:
            try:
                return asyncio.run(look())
            except LookAgain as pause:
                self.house.ledger.wait(row.id, pause.phase, pause.reason, pause.at, lease=run.lease)
                return None

    def verdict(self) -> VerdictKind:
        found = newest_verdict(self.house, self.house.case_on(INSTANCE).id)
        assert found is not None
        return found.kind


@pytest.fixture
def story(tmp_path: Path, executor_aws: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Story]:
    monkeypatch.setenv("AWS_ENDPOINT_URL", executor_aws.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    executor_aws.reset()
    with sweep_house(tmp_path, role_arn=ROLE_ARN, short_wait_seconds=0) as house:
        story = Story(house, executor_aws)
        story.pass_by(0)
        executor_aws.furnish(an_event())
        house.deliver()
        drain(house.ledger, house.catalog)
        yield story


def lose_sight(story: Story) -> None:
    """The agent stops, and Inspector says so."""
    story.sandbox.cloud.world(ACCOUNT, REGION).nodes[INSTANCE].registered_at = None
    event = json.loads(EVENTS["coverage_event"].read_text()) | {"resources": [INSTANCE]}
    story.house.ledger.receive("lost", "webhook", json.dumps(event).encode())


@pytest.mark.parametrize(
    ("kind", "close"), [(VerdictKind.FIXED, True), (VerdictKind.FIXED, False), (VerdictKind.NOT_FIXED, False)]
)
def test_its_question_is_open_again_and_the_verdict_is_unverifiable(
    story: Story, kind: VerdictKind, close: bool
) -> None:
    house = story.house
    house.take_over(house.newest(INSTANCE).id)
    house.end(house.newest(INSTANCE).id, str(kind), kind, close=close)
    story.pass_by(1)
    lose_sight(story)

    assert story.sweep() == [house.newest(INSTANCE).id]
    case = house.case_on(INSTANCE)
    (lost,) = [entry.record() for entry in house.ledger.entries_of(case_stream(case.id), "coverage-lost")]
    assert isinstance(lost, CoverageLost)
    assert (case.status, lost.reason, lost.reopens) == ("open", "UNMANAGED_EC2_INSTANCE", close)

    assert story.play() is None, "it may come back with its next inventory"
    story.pass_by(house.catalog.named(case.key.runbook).verify.timeout_minutes / 60 + 0.1)
    ended = story.play()
    assert ended is not None
    assert (ended.result, story.verdict()) == ("unverifiable", VerdictKind.UNVERIFIABLE)
    assert "does not scan" in ended.reason
    assert house.case_on(INSTANCE).status == "open"

    assert story.sweep() == []
    story.pass_by(6)
    assert story.sweep() == [house.newest(INSTANCE).id], "it is looked at again, as every unverifiable one"
