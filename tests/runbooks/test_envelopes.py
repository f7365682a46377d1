"""An event is the same one whatever messages it came wrapped in."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from runbooks.errors import MalformedPayload
from runbooks.event import Delivery, parse, read_payload

EVENTS = Path(__file__).parents[1] / "events"
EVENT = json.loads((EVENTS / "ec2_package_event.json").read_bytes())
OTHER = json.loads((EVENTS / "ecr_package_event.json").read_bytes())
AZURE = json.loads((EVENTS / "azure_vm_event.json").read_bytes())
TOPIC = "arn:aws:sns:eu-west-1:210987654321:findings"

Wrap = Callable[[object], dict[str, Any]]


def sns(value: object) -> dict[str, Any]:
    return {"Type": "Notification", "MessageId": "m", "TopicArn": TOPIC, "Message": json.dumps(value)}


def sqs_message(value: object) -> dict[str, Any]:
    return {"MessageId": "m", "ReceiptHandle": "r", "Body": json.dumps(value)}


def sqs(*values: object) -> dict[str, Any]:
    return {"Messages": [sqs_message(value) for value in values]}


def dead_letter(value: object) -> dict[str, Any]:
    why = {"RULE_ARN": {"StringValue": "arn"}, "ERROR_CODE": {"StringValue": "SDK_CLIENT_ERROR"}}
    return {"Messages": [sqs_message(value) | {"MessageAttributes": why}]}


def record(value: object) -> dict[str, Any]:
    return {"messageId": "m", "eventSource": "aws:sqs", "body": json.dumps(value)}


def records(*values: object) -> dict[str, Any]:
    return {"Records": [record(value) for value in values]}


def sns_records(*values: object) -> dict[str, Any]:
    return {"Records": [{"EventSource": "aws:sns", "Sns": sns(value)} for value in values]}


def within(outermost: Wrap, *wraps: Wrap) -> Wrap:
    """The wrappers one in the other."""

    def wrapped(value: object) -> dict[str, Any]:
        for wrap in reversed(wraps):
            value = wrap(value)
        return outermost(value)

    return wrapped


WRAPS = {
    "SNS": sns,
    "an SQS message": sqs_message,
    "an SQS result": sqs,
    "a dead letter": dead_letter,
    "one record": record,
    "SQS records": records,
    "SNS records": sns_records,
    "SNS in SQS": within(sqs, sns),
    "SNS in SQS records": within(records, sns),
    "a dead letter of SNS": within(dead_letter, sns),
    "four deep": within(records, sqs, sns, sns),
}


@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
@pytest.mark.parametrize("name", ["ec2_package_event", "security_hub_event", "security_hub_ocsf_event", "scan_event"])
def test_an_event_delivers_the_same_in_any_wrapper(wrap: Wrap, name: str) -> None:
    alone = parse(json.loads((EVENTS / f"{name}.json").read_bytes()))
    wrapped = read_payload(json.dumps(wrap(json.loads((EVENTS / f"{name}.json").read_bytes()))))

    assert wrapped.findings == alone.findings
    assert (wrapped.event_id, wrapped.event_time) == (alone.event_id, datetime(2026, 3, 2, 9, 15, 31, tzinfo=UTC))
    aside = [(each.code, each.kind, each.resource) for each in wrapped.set_aside]
    assert aside == [(each.code, each.kind, each.resource) for each in alone.set_aside]


@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
def test_a_bare_finding_and_a_list_come_wrapped_too(wrap: Wrap) -> None:
    listed = json.loads((EVENTS / "list_findings.json").read_bytes())

    assert parse(wrap(EVENT["detail"])).findings == parse(EVENT).findings
    assert parse(wrap(listed)) == parse(listed)


def test_a_body_that_was_made_an_object_on_its_way_is_read_as_one() -> None:
    assert parse({"Records": [{"messageId": "m", "body": EVENT}]}) == parse(EVENT)


@pytest.mark.parametrize("several", [sqs, records, sns_records])
def test_several_bodies_give_all_their_findings_in_order_and_no_event_of_their_own(
    several: Callable[..., dict[str, Any]],
) -> None:
    delivery = parse(several(EVENT, OTHER))

    assert delivery == Delivery(findings=(*parse(EVENT).findings, *parse(OTHER).findings))


def test_one_unreadable_body_among_several_is_set_aside_with_its_place() -> None:
    messages = sqs(EVENT, {}, sns([]), AZURE, OTHER)
    messages["Messages"][1]["Body"] = "not JSON"
    messages["Messages"].append({"MessageId": "empty"})

    delivery = parse(messages)

    assert delivery.findings == (*parse(EVENT).findings, *parse(OTHER).findings)
    aside = [(each.code, each.kind, each.reason.partition(":")[0]) for each in delivery.set_aside]
    assert aside == [
        ("malformed-message", "sqs-messages", "in $.Messages[1].Body"),
        ("malformed-message", "sqs-messages", "in $.Messages[2].Body"),
        ("other-cloud", "inspector-finding", "in $.Messages[3].Body"),
        ("malformed-message", "sqs-messages", "in $.Messages[5].Sns.Message"),
    ]
    assert "in $.Messages[2].Body: in $.Message: the payload is not an object at $" in delivery.set_aside[1].reason


@pytest.mark.parametrize(
    ("payload", "code", "says"),
    [
        (sns([]), "not-an-object", "in $.Message: the payload is not an object"),
        (sns({}) | {"Message": "hello"}, "not-json", "in $.Message: the payload is not JSON"),
        (sqs(EVENT | {"detail": {}}), "malformed-finding", "in $.Messages[0].Body: not an Inspector finding: $.detail"),
        (records({"detail-type": 7}), "malformed-event", "in $.Records[0].body: $.source is missing"),
        (within(sqs, sns)([]), "not-an-object", "in $.Messages[0].Body: in $.Message: the payload"),
        ({"Records": [{"eventSource": "aws:s3", "s3": {}}]}, "not-an-object", "in $.Records[0].Sns.Message: "),
        ({"Messages": {}}, "malformed-event", "$.Messages is not a list"),
        ({"Records": None}, "malformed-event", "$.Records is not a list"),
    ],
)
def test_the_only_body_that_cannot_be_read_is_refused_with_what_and_where(
    payload: dict[str, Any], code: str, says: str
) -> None:
    with pytest.raises(MalformedPayload) as refused:
        parse(payload)

    assert refused.value.code == code
    assert says in refused.value.detail


def test_messages_within_messages_are_not_followed_for_ever() -> None:
    deep = within(sqs, sns, sqs, sns, sqs)(EVENT)

    (aside,) = parse(deep).set_aside
    assert (aside.code, aside.kind) == ("wrapped", "sqs-messages")
    assert aside.reason.startswith("in $.Messages[0].Body: in $.Message: ")


@pytest.mark.parametrize("name", ["Messages", "Records"])
def test_a_wrapper_with_nothing_in_it_is_set_aside(name: str) -> None:
    assert [(each.code, each.reason) for each in parse({name: []}).set_aside] == [
        ("not-a-finding", "there is no message in it")
    ]


@pytest.mark.parametrize("kind", ["SubscriptionConfirmation", "UnsubscribeConfirmation"])
def test_a_confirmation_is_no_wrapper_also_inside_one(kind: str) -> None:
    confirmation = json.loads((EVENTS / "sns_confirmation.json").read_bytes()) | {"Type": kind}
    confirmation["Message"] = json.dumps(EVENT)

    for payload in (confirmation, sqs(confirmation)):
        delivery = parse(payload)
        assert delivery.findings == ()
        assert [(each.code, each.kind) for each in delivery.set_aside] == [("not-a-finding", "sns-confirmation")]
