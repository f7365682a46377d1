"""Messages whose bodies hold what was sent: what a topic, a queue or a function's trigger wraps around an event.

Nothing is read here but the wrapper. Sources of the forms: "HTTP/HTTPS notification JSON format" (Amazon SNS developer
guide), ReceiveMessage (Amazon SQS API reference), "Using Lambda with Amazon SQS" and "... with Amazon SNS" (AWS Lambda
developer guide). What EventBridge gives up on comes as an SQS message with the event for its body and attributes that
say why ("Using dead-letter queues", Amazon EventBridge user guide); an API destination wraps nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from runbooks.errors import MalformedPayload
from runbooks.strict_json import entries_of, members_of


class Body(NamedTuple):
    """What one message holds."""

    place: str
    """JSON path of it in the wrapper."""
    value: object
    """JSON as a text; whatever else stands there, None where nothing does."""


class Envelope(NamedTuple):
    """A wrapper, and all that it holds."""

    kind: str
    """A stable word: sns-notification, sqs-messages, lambda-records."""
    bodies: tuple[Body, ...]


def envelope(members: Mapping[str, object]) -> Envelope | None:
    """The wrapper that an object with these members is; None for one that wraps nothing.

    An SNS confirmation wraps nothing: its message is a sentence for a person.

    Raises:
        MalformedPayload: (malformed-event) It has the list of a wrapper, which is not a list.
    """
    if {"TopicArn", "Message"} <= members.keys() and not is_confirmation(members):
        return Envelope("sns-notification", (Body("$.Message", members["Message"]),))
    if {"MessageId", "Body"} <= members.keys():
        return Envelope("sqs-messages", (Body("$.Body", members["Body"]),))
    if {"messageId", "body"} <= members.keys():
        return Envelope("lambda-records", (Body("$.body", members["body"]),))
    if "Messages" in members:
        return Envelope("sqs-messages", _each(members, "Messages"))
    if "Records" in members:
        return Envelope("lambda-records", _each(members, "Records"))
    return None


def is_confirmation(members: Mapping[str, object]) -> bool:
    """Whether it is SNS asking to confirm that a subscription begins, or telling that one ended."""
    return {"TopicArn", "SubscribeURL"} <= members.keys()


def _each(members: Mapping[str, object], name: str) -> tuple[Body, ...]:
    if not isinstance(members[name], list):
        raise MalformedPayload(
            f"$.{name} is not a list: send the messages as the queue gave them", code="malformed-event"
        )
    return tuple(_body(entry, f"$.{name}[{index}]") for index, entry in enumerate(entries_of(members[name])))


def _body(entry: object, place: str) -> Body:
    message = members_of(entry)
    for name in ("Body", "body"):
        if name in message:
            return Body(f"{place}.{name}", message[name])
    return Body(f"{place}.Sns.Message", members_of(message.get("Sns")).get("Message"))
