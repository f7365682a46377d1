"""The right to act on resources, as the runs of responses hold it."""

from __future__ import annotations

from collections.abc import Iterable

from tasks.gateways.ledger import leasing
from tasks.gateways.ledger.journal import Journal
from tasks.gateways.ledger.leasing import SETTLE_SECONDS
from tasks.gateways.ledger.rows import Lease


class Leases(Journal):
    """The right to act, resource by resource."""

    def check(self, lease: Lease) -> None:
        """To be called immediately before a mutating call leaves.

        Raises:
            LeaseLost: A resource of it is another's by now, or the lease has run out.
        """
        with self._database.reading() as connection:
            leasing.require(connection, lease, self._now())

    def renew(self, lease: Lease, ttl_seconds: float) -> None:
        """Holds every resource of it for another while; also one that has run out and that nobody took since.

        Raises:
            LeaseLost: A resource of it is another's by now; nothing is renewed.
        """
        with self._database.writing() as connection:
            leasing.require(connection, lease)
            leasing.prolong(connection, lease.holder, leasing.later(self._now(), ttl_seconds))

    def release(self, lease: Lease) -> None:
        """Gives back what is still held of it; free at once. To be called when no call is on its way."""
        with self._database.writing() as connection:
            leasing.release(connection, lease.holder)

    def hold(self, resource: str, ttl_seconds: float, *, settle_seconds: float = SETTLE_SECONDS) -> Lease:
        """Takes a resource that is no response's, such as the right to remind of a question.

        Raises:
            LeaseLost: With the code `lease-held`: another holds it, or has not settled yet.
        """
        with self._database.writing() as connection:
            now, holder = self._now(), leasing.new_holder(resource, 0)
            until = leasing.later(now, ttl_seconds)
            epochs = leasing.acquire(connection, (resource,), holder, now, until, settle_seconds)
            return Lease(response_id=resource, attempt=0, holder=holder, epochs=epochs)

    def extend_lease(
        self, lease: Lease, resources: Iterable[str], ttl_seconds: float, *, settle_seconds: float = SETTLE_SECONDS
    ) -> Lease:
        """Takes further resources for the same holder, such as those a plan turned out to share.

        Raises:
            LeaseLost: The lease is lost, or (code `lease-held`) a resource is another's; nothing is taken.
        """
        with self._database.writing() as connection:
            now = self._now()
            leasing.require(connection, lease, now)
            more = [resource for resource in resources if resource not in lease.epochs]
            until = leasing.later(now, ttl_seconds)
            taken = leasing.acquire(connection, more, lease.holder, now, until, settle_seconds)
            return lease.model_copy(update={"epochs": {**lease.epochs, **taken}})
