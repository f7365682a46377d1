"""The ledger: the append-only record of everything, and the tables of what must be unique or quick to ask.

`Ledger.open(url)` is all there is to know. Each of its methods is one transaction: what belongs together is written
together or not at all. The parts are classes of their own, each on top of the ones it needs:

    Journal     entries in streams, verifying them, making the tables anew
    Inbox       deliveries, and Settling many of them
    Cases       cases and findings
    Leases      who may act
    Responses   responses and their runs
    Approvals   questions and decisions
    Admissions  what the limits count
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Self

from tasks.gateways.ledger.admissions import Admissions
from tasks.gateways.ledger.approvals import Approvals
from tasks.gateways.ledger.database import Database
from tasks.gateways.ledger.journal import Sign, unsigned
from tasks.gateways.ledger.rows import (
    AdmissionRow,
    ApprovalRow,
    CaseRow,
    Delivery,
    Lease,
    Receipt,
    ResponseRow,
    Settlement,
    Sighting,
    Taken,
    Unanswered,
    Verification,
)
from tasks.gateways.ledger.schema import upgrade
from tasks.gateways.ledger.settling import Settling

__all__ = [
    "AdmissionRow",
    "ApprovalRow",
    "CaseRow",
    "Delivery",
    "Lease",
    "Ledger",
    "Receipt",
    "ResponseRow",
    "Settlement",
    "Sighting",
    "Taken",
    "Unanswered",
    "Verification",
]


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Ledger(Settling, Approvals, Admissions):
    """The ledger at one database. Synchronous, and safe to share between threads."""

    @classmethod
    def open(
        cls,
        url: str,
        *,
        clock: Callable[[], datetime] = _utc_now,
        wait_seconds: float = 10.0,
        sign: Sign = unsigned,
    ) -> Self:
        """The ledger at `url` (`sqlite:///var/ledger.db`, `postgresql://user@host/name`), its tables up to date.

        Args:
            url: A SQLAlchemy database URL of SQLite or PostgreSQL.
            clock: Gives the time of every entry, lease and expiry.
            wait_seconds: How long to wait for another writer before giving up.
            sign: Signs what the ledger itself begins: responses.

        Raises:
            InvalidSetting: The address is not one of those.
            LedgerError: It cannot be read or written.
        """
        database = Database(url, wait_seconds=wait_seconds)
        try:
            upgrade(database)
        except BaseException:
            database.close()
            raise
        return cls(database, clock, sign)
