"""Amazon SQS: the messages of one queue, taken by ten, and deleted once they are safe elsewhere.

What is taken and not deleted comes again when the queue's visibility timeout is over (SQS Developer Guide, "Amazon SQS
visibility timeout"): nothing here gives anything back.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from runbooks.errors import InvalidSetting
from tasks.gateways.aws_errors import reads

MOST = 10
"""Messages in one request (SQS API reference, ReceiveMessage, DeleteMessageBatch)."""

_REGION = re.compile(r"(?:^|\.)sqs(?:-fips)?\.([a-z]{2}(?:-[a-z]+)+-\d+)\.", re.ASCII)


class Message(NamedTuple):
    """One message, as it was taken this time."""

    id: str
    receipt: str
    """Good for deleting it until the visibility timeout is over."""
    body: bytes


class Place(NamedTuple):
    """Where a queue is."""

    account: str
    region: str


class Queue:
    """One queue."""

    def __init__(self, client: Any, url: str) -> None:
        self._client = client
        self._url = url

    @reads()
    def take(self, wait_seconds: int) -> tuple[Message, ...]:
        """Up to ten messages; none when none came within the time."""
        answer = self._client.receive_message(
            QueueUrl=self._url, MaxNumberOfMessages=MOST, WaitTimeSeconds=wait_seconds
        )
        # Half of a surrogate pair is no text: kept as it is, and said to be unreadable by whoever reads it.
        return tuple(
            Message(each["MessageId"], each["ReceiptHandle"], each["Body"].encode("utf-8", "surrogatepass"))
            for each in answer.get("Messages", ())
        )

    @reads()
    def delete(self, messages: Sequence[Message]) -> tuple[str, ...]:
        """Deletes up to ten messages; why any of them is still there. Deleting one again does no harm."""
        if not messages:
            return ()
        entries = [{"Id": str(number), "ReceiptHandle": each.receipt} for number, each in enumerate(messages)]
        answer = self._client.delete_message_batch(QueueUrl=self._url, Entries=entries)
        return tuple(
            f"{messages[int(each['Id'])].id}: {each['Code']}: {each.get('Message', '')}"
            for each in answer.get("Failed", ())
        )


def place_of(url: str, otherwise: str | None) -> Place:
    """The account and the region in a queue's address.

    Args:
        otherwise: the region, where the address names none.

    Raises:
        InvalidSetting: neither names one.
    """
    parts = urlsplit(url)
    named = _REGION.search(parts.hostname or "")
    region = named[1] if named else otherwise
    if region is None:
        raise InvalidSetting("RUNBOOKS_QUEUE_URL names no region; set AWS_DEFAULT_REGION to that of the queue")
    return Place(parts.path.split("/")[1], region)
