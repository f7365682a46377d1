"""One rule for every door: what a delivery is known by, and what is looked at to know it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbooks.delivery_key import body_key, delivery_key
from runbooks.errors import MalformedPayload
from runbooks.event import read_payload
from tests.runbooks.test_event_hostile import JSON

EVENTS = Path(__file__).parents[1] / "events"
EVENT = (EVENTS / "ec2_package_event.json").read_bytes()
ID = json.loads(EVENT)["id"]


def changed(**members: Any) -> bytes:
    return json.dumps(json.loads(EVENT) | members).encode()


def digest(body: bytes) -> str:
    return f"body/{hashlib.sha256(body).hexdigest()}"


@pytest.mark.parametrize("otherwise", [None, "sns/1"])
def test_an_event_is_known_by_its_id_bare_or_in_the_message_of_a_topic(otherwise: str | None) -> None:
    wrapped = json.dumps({"Type": "Notification", "TopicArn": "t", "MessageId": "m", "Message": EVENT.decode()})
    assert delivery_key(EVENT, otherwise) == delivery_key(wrapped.encode(), otherwise) == f"event/{ID}"


def test_an_event_behind_a_byte_order_mark_is_the_same_event() -> None:
    assert delivery_key(b"\xef\xbb\xbf" + EVENT) == f"event/{ID}"


def test_without_an_event_the_door_knows_or_its_bytes_do() -> None:
    alone = json.dumps(json.loads(EVENT)["detail"]).encode()
    assert delivery_key(alone, "sns/1") == "sns/1"
    assert delivery_key(alone) == digest(alone)
    assert delivery_key(alone) != delivery_key(alone + b" ")


def test_what_cannot_be_read_is_known_by_its_bytes() -> None:
    assert body_key(EVENT) == digest(EVENT)


@pytest.mark.parametrize("file", sorted(EVENTS.glob("*.json")), ids=lambda file: file.stem)
def test_a_glance_finds_the_id_that_is_found_when_all_is_read(file: Path) -> None:
    body = file.read_bytes()
    event = read_payload(body).event_id
    assert delivery_key(body) == (f"event/{event}" if event else digest(body))


@pytest.mark.parametrize(
    "body",
    [
        changed(detail={}),
        changed(account=float("nan")),
        changed(detail=json.loads(EVENT)["detail"] | {"title": "\x00"}),
        EVENT.replace(b'"detail":', b'"detail": {}, "detail":', 1),
    ],
)
def test_what_is_wrong_within_an_event_is_for_whoever_takes_it_up(body: bytes) -> None:
    with pytest.raises(MalformedPayload):
        read_payload(body)
    assert delivery_key(body) == f"event/{ID}"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "not-json"),
        (EVENT[:-2], "not-json"),
        (EVENT + b"{}", "not-json"),
        (b"[1]", "not-an-object"),
        (changed(**{"detail-type": 7}), "malformed-event"),
        (changed(source=None), "malformed-event"),
        (changed(detail=[]), "malformed-event"),
    ],
)
def test_what_is_no_event_and_cannot_be_read_is_told_at_once(body: bytes, code: str) -> None:
    with pytest.raises(MalformedPayload) as refused:
        delivery_key(body)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("known_by", "known"),
    [("x" * 200, True), ("x" * 201, False), ("", False), ("a\nb", False), ("caf\u00e9", False), (7, False)],
)
def test_what_cannot_be_an_id_is_none(known_by: object, known: bool) -> None:
    body = changed(id=known_by)
    assert delivery_key(body) == (f"event/{known_by}" if known else digest(body))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_every_body_has_a_key_that_any_database_takes(body: bytes) -> None:
    try:
        key = delivery_key(body)
    except MalformedPayload:
        key = body_key(body)
    assert key == digest(body) or key.startswith("event/")
    assert key.isascii()
    assert key.isprintable()
