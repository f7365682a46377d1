"""What is not Slack's, or nothing that Slack sends, is refused at its door, and nothing of it is believed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from slack_sdk.signature import SignatureVerifier

from deployments.sandbox.slack_interactions import SIGNING_SECRET
from runbooks.strict_json import MAX_BYTES
from runbooks.telling.answering import APPROVE
from tests.deployments.receiver.conftest import ALICE, House
from tests.deployments.receiver.presses import payload, told

Forgery = Callable[[House], httpx.Response]
OTHERS = SignatureVerifier("the-secret-of-another-application")


def signed_by_another(house: House) -> httpx.Response:
    body = urlencode({"payload": json.dumps(payload(house))}).encode()
    at = str(int(time.time()))
    return house.send(body, at=at, x_slack_signature=OTHERS.generate_signature(timestamp=at, body=body) or "")


def changed_after_signing(house: House) -> httpx.Response:
    body = urlencode({"payload": json.dumps(payload(house))}).encode()
    at = str(int(time.time()))
    signature = SignatureVerifier(SIGNING_SECRET).generate_signature(timestamp=at, body=body) or ""
    return house.send(body.replace(b"U0ALICE", b"U0BOBBY"), at=at, x_slack_signature=signature)


@pytest.mark.parametrize(
    ("forge", "status", "code"),
    [
        pytest.param(signed_by_another, 401, "wrong-signature", id="another application's secret"),
        pytest.param(changed_after_signing, 401, "wrong-signature", id="changed after signing"),
        pytest.param(lambda h: h.send(payload(h), x_slack_signature="v0=00"), 401, "wrong-signature", id="guessed"),
        pytest.param(lambda h: h.send(b"\xff\xfe", x_slack_signature="v0=00"), 401, "wrong-signature", id="no text"),
        pytest.param(lambda h: h.send(payload(h), x_slack_signature=""), 401, "not-signed", id="no signature"),
        pytest.param(lambda h: h.send(payload(h), x_slack_request_timestamp=""), 401, "not-signed", id="no timestamp"),
        pytest.param(lambda h: h.send(payload(h), at=int(time.time()) - 301), 401, "stale-request", id="old"),
        pytest.param(lambda h: h.send(payload(h), at=int(time.time()) + 600), 401, "stale-request", id="early"),
        pytest.param(lambda h: h.send(payload(h), at="soon"), 401, "stale-request", id="junk timestamp"),
        pytest.param(lambda h: h.send(payload(h), at="1" * 400), 401, "stale-request", id="endless timestamp"),
        pytest.param(lambda h: h.send(payload(h), at="-1"), 401, "stale-request", id="negative timestamp"),
        pytest.param(
            lambda h: h.send(json.dumps(payload(h)).encode(), content_type="application/json"),
            415,
            "not-a-form",
            id="not a form",
        ),
    ],
)
def test_a_forged_request_is_refused_and_nothing_of_it_is_believed(
    house: House, forge: Forgery, status: int, code: str
) -> None:
    answer = forge(house)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert [(record.code, record.what, record.delivery) for record in house.set_aside()] == [
        (code, "a request to /slack/interactions", None)
    ]
    assert (house.answers(), house.decision(), told(house)) == ([], None, [])
    assert "U0" not in "".join(record.model_dump_json() for record in house.set_aside())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"payload",
        b"payload=%7B",
        b"payload=%5B%5D&payload=%5B%5D",
        b"payload=%FF",
        b"other=1",
        b"a=1&" * 20 + b"payload=%7B%7D",
        {"type": "block_actions"},
        {"type": "view_submission", "user": {"id": ALICE}},
    ],
)
def test_what_slack_never_sends_is_refused_though_it_is_signed(house: House, body: Any) -> None:
    answer = house.send(body)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed-interaction")
    assert [record.code for record in house.set_aside()] == ["malformed-interaction"]
    assert house.answers() == []


def test_a_button_that_does_not_say_what_it_is_about_is_refused(house: House) -> None:
    statuses = [
        house.send(payload(house, actions=[{"action_id": APPROVE, "value": value}])).status_code
        for value in ("", "yes", f"{house.plan.response}|{house.plan.short_digest}")
    ]
    unknown = house.send(payload(house, actions=[{"action_id": APPROVE, "value": f"nothing|{house.plan.digest}"}]))
    assert (statuses, unknown.status_code) == ([400] * 3, 400)
    assert {record.code for record in house.set_aside()} == {"malformed-interaction", "no-such-response"}
    assert (house.answers(), house.decision()) == ([], None)


def test_a_body_that_is_too_large_is_refused(house: House) -> None:
    answer = house.send(b"payload=" + b"x" * MAX_BYTES)
    assert (answer.status_code, answer.json()["code"]) == (413, "too-large")
    assert house.answers() == []
