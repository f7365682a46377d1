"""The journal of one run: what a response's ledger says, and the one way to write an act down before doing it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

from runbooks.case import response_stream
from runbooks.chain import Entry, UnknownRecord
from runbooks.errors import AnswerLost
from runbooks.history import Dated, ResponseHistory, fold
from runbooks.records import Admitted, Intent, Outcome, Record
from runbooks.steps.base import operation_id
from tasks.gateways.ledger import Lease, Ledger
from tasks.gateways.ledger.admissions import Judge
from tasks.gateways.ledger.journal import Known


class Journal:
    """One run's access to its response in the ledger. Nothing is written without a lease that still holds."""

    def __init__(self, ledger: Ledger, response: str, lease: Lease, stream: str = "") -> None:
        """`stream`: where it is kept, for what is no response."""
        self.ledger = ledger
        self.response = response
        self.stream = stream or response_stream(response)
        self.lease = lease
        self._known: Known = {}
        self._dated: dict[int, tuple[Entry, list[Dated]]] = {}

    def history(self) -> ResponseHistory:
        """The state of the response now. An entry that stands as it was read before is not read anew."""
        entries = self.ledger.entries(self.stream, self._known)
        return fold(each for entry in entries for each in self._read(entry))

    def _read(self, entry: Entry) -> list[Dated]:
        before, known = self._dated.get(entry.sequence, (None, list[Dated]()))
        if before is not entry:
            known = dated([entry])
            self._dated[entry.sequence] = (entry, known)
        return known

    def write(self, *records: Record) -> None:
        """Append to the response's stream; refused with LeaseLost once another run has taken over."""
        self.ledger.append(self.stream, *records, lease=self.lease)

    def admit(self, admitted: Admitted, judge: Judge) -> str | None:
        """Let a plan begin; why not, in words, where `judge` says no."""
        return self.ledger.admit(self.response, admitted, judge, lease=self.lease)

    def intend(
        self, operation: str, action: str, subject: str, original: Mapping[str, Any], digest: str | None = None
    ) -> Intent:
        return Intent(
            operation=operation,
            action=action,
            subject=subject,
            digest=digest,
            epoch=self.lease.epoch,
            original=dict(original),
        )

    def once(
        self,
        action: str,
        subject: str,
        *,
        find: Callable[[str], Mapping[str, Any] | None],
        act: Callable[[str], Mapping[str, Any]],
        unseen_since: datetime | None = None,
    ) -> dict[str, Any]:
        """Do something outside AWS (a message, a ticket) once for ever, and give what it made.

        An intent without an outcome means that an earlier run may have done it: it is looked for before it is done.

        Args:
            unseen_since: what was begun after this moment may have been done and not be found yet; it is not done
                again for now. None where everything is found at once.

        Raises:
            AnswerLost: it was begun since then, and is not found.
        """
        operation = operation_id(self.response, f"{action}/{subject}")
        history = self.history()
        outcome = history.outcomes.get(operation)
        if outcome is not None and outcome.status in ("done", "already-done"):
            return outcome.result
        if operation in history.intents:
            if (found := find(operation)) is not None:
                self._done(operation, action, subject, "already-done", found)
                return dict(found)
            if unseen_since is not None:
                if history.begun[operation] > unseen_since:
                    raise AnswerLost(f"{action} of {subject} was begun a moment ago and is not found yet")
                self.write(self.intend(operation, action, subject, {}))
        else:
            self.write(self.intend(operation, action, subject, {}))
        made = act(operation)
        self._done(operation, action, subject, "done", made)
        return dict(made)

    def _done(
        self,
        operation: str,
        action: str,
        subject: str,
        status: Literal["done", "already-done"],
        result: Mapping[str, Any],
    ) -> None:
        self.write(Outcome(operation=operation, action=action, subject=subject, status=status, result=dict(result)))


def read_history(ledger: Ledger, response: str) -> ResponseHistory:
    """The state of a response, from its entries alone."""
    return fold(dated(ledger.entries(response_stream(response))))


def dated(entries: Iterable[Entry]) -> list[Dated]:
    """The entries' records with their times; what a newer version wrote is passed over here, and kept in the ledger."""
    known = ((entry.at, entry.record()) for entry in entries)
    return [Dated(at=at, record=record) for at, record in known if not isinstance(record, UnknownRecord)]
