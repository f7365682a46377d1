"""Raising a notice: what belongs to no case, and people are told of once. The sweep tells them."""

from __future__ import annotations

from contextlib import suppress
from typing import Literal

from runbooks.case import notice_stream
from runbooks.errors import Overtaken
from runbooks.records import NoticeRaised
from tasks.gateways.ledger import Ledger


def raise_notice(
    ledger: Ledger, topic: Literal["unknown-kind", "coverage-gap"], subject: str, detail: str, delivery: str | None
) -> None:
    """Write it down, unless it was before: there is one notice about a subject, for ever."""
    record = NoticeRaised(topic=topic, subject=subject, detail=detail, delivery=delivery)
    stream = notice_stream(topic, subject)
    if ledger.head(stream) == 0:
        with suppress(Overtaken):
            ledger.append_after({stream: 0}, {stream: (record,)})
