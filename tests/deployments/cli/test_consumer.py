"""`runbooks consumer`, on a queue of the sandbox."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deployments.cli.consumer import _for_ever
from deployments.cli.serving import Told
from runbooks.errors import Outside
from runbooks.steps.base import Role
from tasks.gateways.ledger import Ledger
from tasks.gateways.queue import Message, Queue
from tasks.services import Services
from tasks.settings import Settings
from tests.deployments.cli.conftest import Run
from tests.tasks.gateways.aws_world import ACCOUNT, REGION, AwsWorld, an_event

pytestmark = pytest.mark.usefixtures("safe")


@pytest.fixture
def queue(aws: AwsWorld, monkeypatch: pytest.MonkeyPatch) -> Far:
    """Sends to the queue, and tells how many messages it has."""
    client = aws.sessions.client("sqs", ACCOUNT, REGION, Role.READ)
    url = client.create_queue(QueueName="findings")["QueueUrl"]
    monkeypatch.setenv("RUNBOOKS_QUEUE_URL", url)
    monkeypatch.setenv("RUNBOOKS_QUEUE_WAIT_SECONDS", "0")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    return Far(client, url)


@dataclass(frozen=True)
class Far:
    client: Any
    url: str

    def send(self, number: int) -> None:
        body = json.dumps(an_event(number=number) | {"id": f"event-{number}"})
        self.client.send_message(QueueUrl=self.url, MessageBody=body)

    @property
    def left(self) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        told = self.client.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return sum(int(count) for count in told.values())


def keys(ledger: Ledger) -> list[str]:
    return [each.key for each in ledger.pending()]


def test_one_batch_is_taken_and_told(run: Run, ledger: Ledger, queue: Far) -> None:
    queue.send(1)
    queue.send(2)
    taken, nothing = run("consumer", "--once"), run("consumer", "--once")
    assert (taken.code, taken.err.partition("  ")[2]) == (0, "messages: 2; new: 2\n")
    assert (nothing.code, nothing.err.partition("  ")[2]) == (0, "no messages\n")
    assert (sorted(keys(ledger)), queue.left) == (["event/event-1", "event/event-2"], 0)


def test_without_a_queue_it_does_not_start(run: Run) -> None:
    ran = run("consumer", "--once")
    assert (ran.code, ran.err.partition(": ")[2]) == (
        2,
        "invalid-setting: RUNBOOKS_QUEUE_URL is not set: there is no queue to take messages from\n",
    )


def test_a_queue_that_is_not_there_is_outside(run: Run, queue: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNBOOKS_QUEUE_URL", queue.url.replace("findings", "another"))
    ran = run("consumer", "--once")
    assert (ran.code, "NonExistentQueue" in ran.err) == (3, True)


def test_it_goes_on_until_it_is_told_to_end(home: Path, ledger: Ledger, queue: Far) -> None:
    queue.send(1)
    command = (sys.executable, "-m", "deployments.cli.main", "consumer")
    environment = {**os.environ, "RUNBOOKS_HOME": str(home), "RUNBOOKS_QUEUE_WAIT_SECONDS": "20"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        watchdog = threading.Timer(120, process.kill)
        watchdog.start()
        assert process.stderr is not None
        first = process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
        watchdog.cancel()
    assert (process.returncode, first.partition("  ")[2], rest) == (0, "messages: 1; new: 1\n", "")
    assert (keys(ledger), queue.left) == (["event/event-1"], 0)


class TroubledQueue(Queue):
    """It cannot be read for a while, is empty once, and then the consumer is told to end."""

    def __init__(self) -> None:
        self.times = 0

    def take(self, wait_seconds: int) -> tuple[Message, ...]:
        self.times += 1
        if self.times == 1:
            raise Outside("no", code="unreachable")
        if self.times == 3:
            raise Told
        return ()


def test_a_trouble_is_told_and_tried_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    queue = TroubledQueue()
    with pytest.raises(Told):
        _for_ever(Services(Settings(home=tmp_path)), queue)
    (told,) = capsys.readouterr().err.splitlines()
    assert (told.partition("  ")[2], queue.times) == ("trouble: unreachable: no", 3)
