"""What a message of SNS says before anything of it is believed. That it is signed is tried at its door."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbooks.errors import MalformedPayload
from runbooks.sns import read_message, topic_of

MESSAGE = {
    "Type": "Notification",
    "MessageId": "1",
    "TopicArn": "arn:aws:sns:eu-west-1:123456789012:findings",
    "Message": "two\nlines",
    "Timestamp": "2026-03-06T20:00:26.893Z",
    "SignatureVersion": "2",
    "Signature": "AA==",
    "SigningCertURL": "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0a.pem",
}


def signed(**members: object) -> str:
    return read_message(json.dumps(MESSAGE | members).encode()).signed


def test_a_notification_is_signed_by_line_with_its_subject_where_it_has_one() -> None:
    rest = f"Timestamp\n2026-03-06T20:00:26.893Z\nTopicArn\n{MESSAGE['TopicArn']}\nType\nNotification\n"
    assert signed() == signed(Subject=None) == f"Message\ntwo\nlines\nMessageId\n1\n{rest}"
    assert signed(Subject="") == f"Message\ntwo\nlines\nMessageId\n1\nSubject\n\n{rest}"
    assert signed(Token="x", SubscribeURL="x") == signed()


@pytest.mark.parametrize("kind", ["SubscriptionConfirmation", "UnsubscribeConfirmation"])
def test_a_confirmation_is_signed_with_its_address_and_token(kind: str) -> None:
    assert signed(Type=kind, Token="t", SubscribeURL="u", Subject="left out") == (
        "Message\ntwo\nlines\nMessageId\n1\nSubscribeURL\nu\nTimestamp\n2026-03-06T20:00:26.893Z\nToken\nt\n"
        f"TopicArn\n{MESSAGE['TopicArn']}\nType\n{kind}\n"
    )


@pytest.mark.parametrize("name", [*MESSAGE])
def test_every_member_is_needed_and_is_a_text(name: str) -> None:
    for given_value in (None, 7, ["x"], {}):
        with pytest.raises(MalformedPayload) as refused:
            signed(**{name: given_value})
        assert refused.value.code == "malformed-sns-message"


@pytest.mark.parametrize(
    ("arn", "host", "names"),
    [
        (
            "arn:aws:sns:eu-west-1:1:t",
            "sns.eu-west-1.amazonaws.com",
            ("sns.amazonaws.com", "sns-signing.eu-west-1.amazonaws.com"),
        ),
        (
            "arn:aws-us-gov:sns:us-gov-east-1:1:t",
            "sns.us-gov-east-1.amazonaws.com",
            ("sns-us-gov-west-1.amazonaws.com",),
        ),
        (
            "arn:aws-cn:sns:cn-north-1:1:t",
            "sns.cn-north-1.amazonaws.com.cn",
            ("sns-cn-north-1.amazonaws.com.cn",),
        ),
    ],
)
def test_each_region_has_its_host_and_the_names_of_its_certificates(arn: str, host: str, names: tuple[str]) -> None:
    assert (topic_of(arn).host, topic_of(arn).names) == (host, names)


_JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3))


@given(st.binary() | st.dictionaries(st.sampled_from([*MESSAGE, "Token", "Subject"]), _JSON))
def test_nothing_crashes_the_reader(given_value: bytes | dict[str, object]) -> None:
    body = given_value if isinstance(given_value, bytes) else json.dumps(MESSAGE | given_value).encode()
    try:
        assert read_message(body).signed.endswith("\n")
    except MalformedPayload as error:
        assert error.code in ("not-json", "malformed-event", "malformed-sns-message")
