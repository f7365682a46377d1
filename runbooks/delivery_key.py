"""What a delivery is known by: one rule for every door, so that an event which comes in by two of them is one.

Nearly everything that arrives is an EventBridge event, and its id stands at its top. A door has to answer soon, so it
looks at that and no further: what the event holds is read when it is taken from the inbox, and set aside then where it
cannot be. Anything else is read whole at once.
"""

from __future__ import annotations

import hashlib

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from runbooks.event import read_payload

_LONGEST_EVENT_ID = 200
"""EventBridge's are 36 characters long."""


def delivery_key(body: bytes, otherwise: str | None = None) -> str:
    """The key of the delivery `body`: its event's id; without one, what its door knows it by, or else its bytes.

    Args:
        body: As it arrived.
        otherwise: What the door itself tells a repetition by.

    Raises:
        MalformedPayload: It is no event, and cannot be read; its door knows it by `otherwise` or its bytes.
    """
    try:
        event = _Event.model_validate_json(body).id
    except ValidationError:
        event = read_payload(body).event_id
    return f"event/{event}" if event and _is_id(event) else otherwise or body_key(body)


def body_key(body: bytes) -> str:
    """The key of what cannot be read: its bytes."""
    return f"body/{hashlib.sha256(body).hexdigest()}"


class _Object(BaseModel):
    """A JSON object, whatever it holds: nothing of that is kept."""

    model_config = ConfigDict(strict=True)


class _Event(_Object):
    """What tells an EventBridge event from everything else."""

    id: str
    source: str
    kind: str = Field(alias="detail-type")
    detail: _Object


def _is_id(event: str) -> bool:
    return len(event) <= _LONGEST_EVENT_ID and event.isascii() and event.isprintable()
