"""Leases: who may act on a resource now. Whoever takes over raises the epoch, so that the one before cannot go on.

A lease that ran out, or was taken away, settles before it is given again: a call that left under it may still be on
its way. Checking refuses a lease that has run out, so a call that leaves right after a check ends within its own
timeout, and the settling time has to be longer than that timeout.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import uuid4

from sqlalchemy import Connection, bindparam, case, func, select, update

from runbooks.errors import LeaseLost
from tasks.gateways.ledger.database import upsert
from tasks.gateways.ledger.rows import Lease
from tasks.gateways.ledger.tables import leases

SETTLE_SECONDS = 26.0
"""More than any AWS call may take (25 s)."""


def new_holder(response_id: str, attempt: int) -> str:
    """A name for one take-over: two processes of one run never have the same."""
    return f"{response_id}/{attempt}/{uuid4().hex[:12]}"


def acquire(
    connection: Connection, resources: Iterable[str], holder: str, now: datetime, until: datetime, settle_seconds: float
) -> dict[str, int]:
    """Takes all of the resources or none, each under a higher epoch than any before.

    Raises:
        LeaseLost: With the code `lease-held`: one is held, or has not settled yet.
    """
    wanted = sorted(set(resources))
    rows = {row.resource: row for row in connection.execute(select(leases).where(leases.c.resource.in_(wanted)))}
    for resource, row in rows.items():
        if row.expires_at is not None and later(row.expires_at, settle_seconds) > now:
            state = f"is held by {row.holder}" if row.holder else "was taken away from its holder"
            reason = f"{resource} {state} and is free {settle_seconds:g} seconds after {row.expires_at.isoformat()}"
            raise LeaseLost(reason, code="lease-held")
    epochs = {resource: rows[resource].epoch + 1 if resource in rows else 1 for resource in wanted}
    held = [{"resource": name, "epoch": epoch, "holder": holder, "expires_at": until} for name, epoch in epochs.items()]
    upsert(connection, leases, held)
    return epochs


def release(connection: Connection, holder: str) -> None:
    """Frees everything the holder holds."""
    connection.execute(update(leases).where(leases.c.holder == holder).values(holder=None, expires_at=None))


def holder_of(connection: Connection, resource: str) -> str | None:
    """Who holds the resource now."""
    return connection.scalar(select(leases.c.holder).where(leases.c.resource == resource))


def take_away(connection: Connection, holder: str, now: datetime) -> None:
    """Ends the holder's lease; what it held settles from now, or from when it ran out."""
    ended = case((leases.c.expires_at < now, leases.c.expires_at), else_=now)
    connection.execute(update(leases).where(leases.c.holder == holder).values(holder=None, expires_at=ended))


def prolong(connection: Connection, holder: str, until: datetime) -> None:
    """Lets everything the holder holds last until then."""
    connection.execute(update(leases).where(leases.c.holder == holder).values(expires_at=until))


def require(connection: Connection, lease: Lease, now: datetime | None = None) -> None:
    """Sees that the lease is still the newest on each of its resources; with `now`, also that it has not run out.

    Raises:
        LeaseLost: It is not, or it has.
    """
    if _holds(connection, lease, now):
        return
    query = select(leases).where(leases.c.holder == lease.holder, leases.c.resource.in_(lease.resources))
    held = {row.resource: row for row in connection.execute(query)}
    for resource, epoch in lease.epochs.items():
        row = held.get(resource)
        if row is None or row.epoch != epoch:
            raise LeaseLost(f"{resource} is no longer held by {lease.holder}; another run has taken over")
        if now is not None and row.expires_at <= now:
            raise LeaseLost(f"the lease of {lease.holder} on {resource} ran out at {row.expires_at.isoformat()}")


def _holds(connection: Connection, lease: Lease, now: datetime | None) -> bool:
    """Whether all is well, told without reading every row: it is asked before each call, for hundreds of resources.

    A holder's name is one take-over's own, and an epoch only rises: as many rows with the same sum are the same rows.
    """
    found = connection.execute(_HELD, {"name": lease.holder}).one()
    alike = (found[0], found[1]) == (len(lease.epochs), sum(lease.epochs.values()))
    return alike and (now is None or (found[2] is not None and found[2] > now))


_HELD = select(func.count(), func.sum(leases.c.epoch), func.min(leases.c.expires_at)).where(
    leases.c.holder == bindparam("name")
)


def later(now: datetime, seconds: float) -> datetime:
    """That many seconds after `now`."""
    return now + timedelta(seconds=seconds)
