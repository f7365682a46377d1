"""What a delivery is known by: one rule for every door, so that an event which comes in by two of them is one."""

from __future__ import annotations

import hashlib

from runbooks.delivery import Delivery

_LONGEST_EVENT_ID = 200
"""EventBridge's are 36 characters long."""


def delivery_key(body: bytes, parsed: Delivery | None, otherwise: str | None = None) -> str:
    """The key of the delivery `body`: its event's id; without one, what its door knows it by, or else its bytes.

    Args:
        body: As it arrived.
        parsed: What was read in it; None where it could not be read.
        otherwise: What the door itself tells a repetition by.
    """
    event = parsed.event_id if parsed else None
    if event is not None and len(event) <= _LONGEST_EVENT_ID:
        return f"event/{event}"
    return otherwise or f"body/{hashlib.sha256(body).hexdigest()}"
