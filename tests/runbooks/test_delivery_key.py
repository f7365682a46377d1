"""One rule for every door: what a delivery is known by."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from runbooks.delivery_key import delivery_key
from runbooks.event import read_payload

EVENTS = Path(__file__).parents[1] / "events"
EVENT = (EVENTS / "ec2_package_event.json").read_bytes()
DIGEST = f"body/{hashlib.sha256(EVENT).hexdigest()}"


def of(body: bytes, otherwise: str | None = None) -> str:
    return delivery_key(body, read_payload(body), otherwise)


@pytest.mark.parametrize("otherwise", [None, "sns/1"])
def test_an_event_is_known_by_its_id_bare_or_in_the_message_of_a_topic(otherwise: str | None) -> None:
    wrapped = json.dumps({"Type": "Notification", "TopicArn": "t", "MessageId": "m", "Message": EVENT.decode()})
    assert of(EVENT, otherwise) == of(wrapped.encode(), otherwise) == f"event/{json.loads(EVENT)['id']}"


def test_without_an_event_the_door_knows_or_its_bytes_do() -> None:
    alone = json.dumps(json.loads(EVENT)["detail"]).encode()
    assert of(alone, "sns/1") == "sns/1"
    assert of(alone) == f"body/{hashlib.sha256(alone).hexdigest()}"
    assert of(alone) != of(alone + b" ")


def test_what_cannot_be_read_is_known_by_its_bytes() -> None:
    assert delivery_key(EVENT, None) == DIGEST


@pytest.mark.parametrize(("length", "known"), [(200, True), (201, False)])
def test_an_id_that_is_too_long_to_be_one_is_none(length: int, known: bool) -> None:
    body = json.dumps(json.loads(EVENT) | {"id": "x" * length}).encode()
    assert of(body).startswith("event/") is known
