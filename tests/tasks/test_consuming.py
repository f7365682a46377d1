"""A message leaves the queue only after it is in the inbox, and is one delivery however often it comes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from deployments.sandbox.faults import Fault, FaultKind
from deployments.sandbox.server import Sandbox
from runbooks.delivery_key import delivery_key
from runbooks.errors import InvalidSetting, LedgerError, Outside
from runbooks.steps.base import Role
from tasks.consuming import Consumed, consume, pauses, queue_of
from tasks.gateways.aws_session import AwsSessions
from tasks.gateways.ledger import Ledger
from tasks.gateways.queue import place_of
from tasks.services import Services
from tasks.settings import Settings
from tests.tasks.gateways.aws_world import ACCOUNT, REGION, ROLE_ARN, an_event

EVENTS = Path(__file__).parents[1] / "events"
VISIBILITY_SECONDS = 1
WAIT_SECONDS = 2
"""Longer than the queue hides what was taken: who waits so long is given it again."""


@dataclass(frozen=True)
class Far:
    """The queue as its sender sees it, and the consumer that is tried on it."""

    sandbox: Sandbox
    client: Any
    url: str
    have: Services

    def send(self, *bodies: str | bytes) -> None:
        for body in bodies:
            self.client.send_message(QueueUrl=self.url, MessageBody=body if isinstance(body, str) else body.decode())

    def consume(self) -> Consumed:
        return consume(self.have, queue_of(self.have.settings))

    @property
    def left(self) -> int:
        """Messages in the queue, seen or not."""
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        told = self.client.get_queue_attributes(QueueUrl=self.url, AttributeNames=list(names))["Attributes"]
        return sum(int(told[name]) for name in names)

    @property
    def kept(self) -> list[tuple[str, str, str, bytes]]:
        """The inbox, oldest first."""
        found = reversed(self.have.ledger.deliveries())
        return [(each.key, each.source, each.state, each.body) for each in found]

    def fail(self, operation: str, kind: FaultKind, times: int) -> None:
        with self.sandbox.cloud.lock:
            self.sandbox.cloud.faults.inject(Fault(operation, kind, times))


@pytest.fixture
def far(tmp_path: Path, executor_aws: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Far]:
    monkeypatch.setenv("AWS_ENDPOINT_URL", executor_aws.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    executor_aws.reset()
    client = AwsSessions(ROLE_ARN, session_name="sender").client("sqs", ACCOUNT, REGION, Role.READ)
    attributes = {"VisibilityTimeout": str(VISIBILITY_SECONDS)}
    url = client.create_queue(QueueName="findings", Attributes=attributes)["QueueUrl"]
    chosen = Settings(home=tmp_path, queue_url=url, queue_wait_seconds=WAIT_SECONDS)
    have = Services(chosen)
    vars(have)["ledger"] = Ledger.open(chosen.ledger, wait_seconds=0.2)
    yield Far(executor_aws, client, url, have)
    have.ledger.close()


def an_event_body(number: int) -> bytes:
    return json.dumps(an_event(number=number) | {"id": f"event-{number:02d}"}).encode()


def digest(body: bytes) -> str:
    return f"body/{hashlib.sha256(body).hexdigest()}"


def test_what_was_in_the_queue_is_in_the_inbox_and_not_in_the_queue(far: Far) -> None:
    bodies = [an_event_body(number) for number in range(12)]
    far.send(*bodies)
    batches = [far.consume(), far.consume(), far.consume()]
    assert [(each.taken, each.new, each.left) for each in batches] == [(10, 10, ()), (2, 2, ()), (0, 0, ())]
    assert sorted(far.kept) == [(f"event/event-{n:02d}", "sqs", "pending", body) for n, body in enumerate(bodies)]
    assert far.left == 0
    (first, *_) = [call for call in far.sandbox.cloud.record.calls() if call["operation"] == "ReceiveMessage"]
    assert first["account"] == ACCOUNT


def test_the_same_event_by_webhook_by_queue_and_by_topic_is_one_delivery(far: Far) -> None:
    body = an_event_body(1)
    far.have.ledger.receive(delivery_key(body), "webhook", body)
    by_topic = json.dumps({"Type": "Notification", "MessageId": "1", "TopicArn": "t", "Message": body.decode()})
    far.send(body, body, by_topic)
    assert (far.consume(), far.left) == (Consumed(taken=3, new=0), 0)
    assert far.kept == [("event/event-01", "webhook", "pending", body)]


def test_a_finding_without_an_event_is_known_by_its_bytes(far: Far) -> None:
    alone = json.dumps(an_event()["detail"]).encode()
    far.send(alone, alone, alone + b" ")
    assert far.consume().new == 2
    assert sorted(key for key, *_ in far.kept) == sorted([digest(alone), digest(alone + b" ")])


def test_a_message_that_nobody_can_read_is_set_aside_and_leaves_the_queue_with_the_others(far: Far) -> None:
    good, bad = an_event_body(1), b'{"detail-type": 7'
    far.send(bad, good)
    assert (far.consume(), far.left) == (Consumed(taken=2, new=2, set_aside=1), 0)
    assert sorted(far.kept) == [(digest(bad), "sqs", "set-aside", bad), ("event/event-01", "sqs", "pending", good)]
    (aside,) = far.have.ledger.deliveries("set-aside")
    assert aside.code == "not-json"
    far.send(bad)
    assert far.consume() == Consumed(taken=1, new=0)
    assert len(far.have.ledger.entries("system")) == 1


def test_every_shape_that_aws_sends_leaves_the_queue_and_is_in_the_inbox(far: Far) -> None:
    bodies = {file.read_bytes() for file in EVENTS.glob("*.json")}
    far.send(*bodies)
    batches = [far.consume() for _ in range(-(-len(bodies) // 10))]
    assert (sum(each.taken for each in batches), far.left) == (len(bodies), 0)
    kept = {body: (key, state) for key, _, state, body in far.kept}
    unknown = {body for body in bodies if body not in kept}
    # The same event bare, in SNS and in SQS is one: what is not there by its bytes is there by its id.
    assert all(delivery_key(body) in {key for key, _ in kept.values()} for body in unknown)
    assert {state for _, state in kept.values()} == {"pending"}


def test_while_the_ledger_cannot_be_written_nothing_is_deleted_and_it_comes_again(far: Far) -> None:
    body = an_event_body(1)
    far.send(body, b"{")
    holder = Ledger.open(far.have.settings.ledger)
    with holder._database.writing(), pytest.raises(LedgerError):
        far.consume()
    holder.close()
    assert (far.left, far.kept) == (2, [])
    assert (far.consume().new, far.left) == (2, 0)
    assert sorted(each[3] for each in far.kept) == sorted([body, b"{"])


_KILLED = """
import os, signal
from tasks.consuming import consume, queue_of
from tasks.gateways.queue import Queue
from tasks.services import Services
from tasks.settings import settings

class Deadly(Queue):
    def delete(self, messages):
        os.kill(os.getpid(), signal.SIGKILL)

queue = queue_of(settings())
queue.__class__ = Deadly
consume(Services(settings()), queue)
"""


def test_killed_between_keeping_and_deleting_it_comes_again_and_is_one_delivery(far: Far) -> None:
    body = an_event_body(1)
    far.send(body)
    environment = {
        **os.environ,
        "RUNBOOKS_HOME": str(far.have.settings.home),
        "RUNBOOKS_QUEUE_URL": far.url,
        "RUNBOOKS_QUEUE_WAIT_SECONDS": "0",
    }
    died = subprocess.run((sys.executable, "-c", _KILLED), env=environment, check=False, timeout=120)
    assert died.returncode == -9
    assert (far.left, far.kept) == (1, [("event/event-01", "sqs", "pending", body)])
    assert (far.consume(), far.left) == (Consumed(taken=1, new=0), 0)
    assert far.kept == [("event/event-01", "sqs", "pending", body)]


def test_a_queue_that_does_not_answer_the_deletion_brings_nothing_twice(far: Far) -> None:
    far.send(an_event_body(1))
    far.fail("sqs:DeleteMessageBatch", FaultKind.TIMEOUT_BEFORE, 5)
    with pytest.raises(Outside):
        far.consume()
    assert (far.left, len(far.kept)) == (1, 1)
    assert (far.consume(), far.left, len(far.kept)) == (Consumed(taken=1, new=0), 0, 1)


def test_a_message_that_alone_is_not_deleted_is_named(far: Far) -> None:
    far.send(an_event_body(1), an_event_body(2))
    queue = queue_of(far.have.settings)
    first, second = queue.take(0)
    (left,) = queue.delete([first._replace(receipt="none of this queue"), second])
    assert left.startswith(f"{first.id}: ReceiptHandleIsInvalid: ")
    assert far.left == 1
    assert queue.delete([]) == ()


def test_the_pause_after_a_trouble_grows_up_to_a_minute() -> None:
    assert list(islice(pauses(), 8)) == [1, 2, 4, 8, 16, 32, 60, 60]


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("sqs.eu-west-1.amazonaws.com", "eu-west-1"),
        ("sqs.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("sqs-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("vpce-0a-1b.sqs.ap-southeast-2.vpce.amazonaws.com", "ap-southeast-2"),
        ("queue.example", "us-east-1"),
    ],
)
def test_the_region_is_that_of_the_address(host: str, region: str) -> None:
    assert place_of(f"https://{host}/{ACCOUNT}/findings", "us-east-1") == (ACCOUNT, region)


def test_without_a_queue_or_its_region_there_is_no_consumer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    with pytest.raises(InvalidSetting, match="RUNBOOKS_QUEUE_URL is not set"):
        queue_of(Settings())
    with pytest.raises(InvalidSetting, match="AWS_DEFAULT_REGION"):
        queue_of(Settings(queue_url=f"http://127.0.0.1:5000/{ACCOUNT}/findings"))
