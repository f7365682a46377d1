"""Consuming: from the SQS queue into the inbox. A message leaves the queue only after it is on disk here.

Whatever happens in between, it comes again when the queue's visibility timeout is over, and is known by its key.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from runbooks.delivery_key import body_key, delivery_key
from runbooks.errors import InvalidSetting, MalformedPayload
from runbooks.steps.base import Role
from tasks.gateways.ledger import Ledger
from tasks.gateways.queue import Message, Queue, place_of
from tasks.services import Services
from tasks.settings import Settings

SOURCE = "sqs"
ROLE = "inbox"
"""What the queue is emptied as, in its own account."""
LONGEST_PAUSE_SECONDS = 60.0

_ANSWER_SECONDS = 10
"""How long an answer may take beyond the time that the queue was told to wait."""


@dataclass(frozen=True)
class Consumed:
    """What became of one batch."""

    taken: int = 0
    new: int = 0
    set_aside: int = 0
    """Those of them that nobody could read."""
    left: tuple[str, ...] = ()
    """Why what is in the inbox is in the queue still; it comes again, and is not new."""

    @property
    def words(self) -> str:
        """One line; empty when nothing came."""
        parts = {
            "messages": str(self.taken or ""),
            "new": str(self.new) if self.taken else "",
            "set aside": str(self.set_aside or ""),
            "not deleted": "; ".join(self.left),
        }
        return "; ".join(f"{what}: {which}" for what, which in parts.items() if which)


def queue_of(chosen: Settings) -> Queue:
    """The queue of the settings, under the role `inbox` of its account.

    Raises:
        InvalidSetting: there is none, or nothing says which region it is in.
    """
    import boto3

    from tasks.gateways.aws_session import AwsSessions
    from tasks.gateways.inspector import partition_of

    if not chosen.queue_url:
        raise InvalidSetting("RUNBOOKS_QUEUE_URL is not set: there is no queue to take messages from")
    place = place_of(chosen.queue_url, boto3.Session().region_name)
    sessions = AwsSessions(
        chosen.role_arn.replace("{role}", ROLE),
        partition_of(place.region),
        session_name="consumer",
        external_id=chosen.external_id,
        read_timeout_seconds=chosen.queue_wait_seconds + _ANSWER_SECONDS,
    )
    return Queue(sessions.client("sqs", place.account, place.region, Role.READ), chosen.queue_url)


def consume(have: Services, queue: Queue) -> Consumed:
    """One batch: taken, kept, deleted.

    Raises:
        LedgerError: it could not be kept; nothing of it was deleted.
        Outside: the queue did not answer; what is kept comes again, and is not new.
    """
    messages = queue.take(have.settings.queue_wait_seconds)
    if not messages:
        return Consumed()
    ledger, unreadable = have.ledger, dict[str, MalformedPayload]()
    receipts = ledger.receive_all([(key, SOURCE, each.body) for key, each in _readable(messages, unreadable)])
    aside = [_set_aside(ledger, each, unreadable[each.id]) for each in messages if each.id in unreadable]
    left = queue.delete(messages)
    return Consumed(len(messages), sum(each.new for each in receipts) + sum(aside), sum(aside), left)


def pauses() -> Iterator[float]:
    """Seconds to wait after a first trouble, a second, and so on: ever longer, up to a bound."""
    pause = 1.0
    while True:
        yield pause
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


def _readable(messages: tuple[Message, ...], unreadable: dict[str, MalformedPayload]) -> Iterator[tuple[str, Message]]:
    """Those that can be read, with their keys; why the others cannot goes by their ids."""
    for message in messages:
        try:
            yield delivery_key(message.body), message
        except MalformedPayload as error:
            unreadable[message.id] = error


def _set_aside(ledger: Ledger, message: Message, error: MalformedPayload) -> bool:
    return ledger.receive_set_aside(body_key(message.body), SOURCE, message.body, error.code, error.detail).new
