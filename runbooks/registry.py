"""Who may say yes now: the approvers' stream, added up, believing nothing in it that this system did not sign.

A record is signed for its place in the stream, so that a genuine one cannot be taken out, moved or written a second
time without showing. What was registered before a record that does not verify is in doubt, all of it: the record may
stand where a revocation stood. Whoever is in doubt is added again; what came before is only counted then.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from runbooks.approvers import Approver
from runbooks.case import APPROVERS_STREAM
from runbooks.chain import Entry
from runbooks.records import ApproverAdded, ApproverRevoked, ApproverUnlocked, CodeTried
from runbooks.signing import Signer

MOST_WRONG_CODES = 5
"""Wrong codes in a row after which an approver is locked."""

RegistryRecord = ApproverAdded | ApproverRevoked | ApproverUnlocked | CodeTried


@dataclass(frozen=True)
class Standing:
    """One approver as they stand now."""

    approver: Approver
    revoked: bool = False
    doubtful: bool = False
    """A record after their registration does not verify."""
    wrong_codes: int = 0
    """In a row, since the last right one."""
    last_timecode: int = -1
    """The 30 second step of the last code that was accepted; it and earlier ones are used up."""

    @property
    def locked(self) -> bool:
        return self.wrong_codes >= MOST_WRONG_CODES

    @property
    def believed(self) -> bool:
        """Whether a yes of theirs may count: registered, not revoked, not in doubt."""
        return not self.revoked and not self.doubtful


@dataclass
class Registry:
    """Everyone who was ever registered. Built by `read`; read only."""

    standings: dict[str, Standing] = field(default_factory=dict[str, Standing])
    """By name, whatever its case: nobody is registered twice as Jane and jane."""
    forged: tuple[int, ...] = ()
    """Places in the stream where something stands, or is missing, that this system did not write so."""
    head: int = 0
    """The place of the stream's last entry."""

    @classmethod
    def read(cls, entries: Iterable[Entry], signer: Signer, head: int = 0) -> Registry:
        """The registry that the stream's entries, in order, add up to.

        Args:
            head: the number of its last entry, as kept apart from the entries: one that is missing was cut off.
        """
        registry = cls()
        for entry in entries:
            record = entry.record()
            registry._miss(up_to=entry.sequence - 1)
            in_place = entry.stream == APPROVERS_STREAM and entry.sequence == registry.head + 1
            registry.head = max(entry.sequence, registry.head)
            if in_place and isinstance(record, RegistryRecord) and signer.verifies(_place(entry.sequence), record):
                registry._take(record)
            else:
                registry._doubt(entry.sequence)
        registry._miss(up_to=head)
        return registry

    def named(self, name: str) -> Standing | None:
        """The standing of this name; None where it was never registered."""
        return self.standings.get(_key(name))

    def of_slack(self, user: str, team: str) -> Standing | None:
        """The approver with this Slack identity; None where there is none, or where it is not clear which."""
        found = [
            each
            for each in self.standings.values()
            if (each.approver.slack_user, each.approver.slack_team) == (user, team) and not each.revoked
        ]
        return found[0] if len(found) == 1 else None

    @property
    def able(self) -> tuple[str, ...]:
        """The names of those who can say yes now."""
        return tuple(each.approver.name for each in self.standings.values() if each.believed and not each.locked)

    def signed_next(self, signer: Signer, *records: RegistryRecord) -> tuple[RegistryRecord, ...]:
        """The records, each signed for its place behind the stream's end."""
        return tuple(signer.signed(_place(self.head + number), record) for number, record in enumerate(records, 1))

    def _take(self, record: RegistryRecord) -> None:
        match record:
            case ApproverAdded(approver=approver):
                before = self.named(approver.name)
                # A code stays used, whatever is registered anew.
                used = before.last_timecode if before else -1
                self.standings[_key(approver.name)] = Standing(approver, last_timecode=used)
            case ApproverRevoked(name=name):
                self._change(name, revoked=True)
            case ApproverUnlocked(name=name):
                self._change(name, wrong_codes=0)
            case CodeTried(name=name, accepted=True, timecode=timecode):
                standing = self.named(name)
                used = max(standing.last_timecode if standing else -1, -1 if timecode is None else timecode)
                self._change(name, wrong_codes=0, last_timecode=used)
            case CodeTried(name=name):
                standing = self.named(name)
                self._change(name, wrong_codes=standing.wrong_codes + 1 if standing else 1)

    def _change(self, name: str, **changes: bool | int) -> None:
        if (standing := self.named(name)) is not None:
            self.standings[_key(name)] = replace(standing, **changes)  # type: ignore[arg-type]

    def _miss(self, up_to: int) -> None:
        """Places without an entry: what stood there may have been a revocation."""
        if up_to > self.head:
            self._doubt(self.head + 1)
            self.head = up_to

    def _doubt(self, sequence: int) -> None:
        self.forged += (sequence,)
        self.standings = {key: replace(each, doubtful=True) for key, each in self.standings.items()}


def _key(name: str) -> str:
    return name.strip().casefold()


def _place(sequence: int) -> str:
    return f"{APPROVERS_STREAM}/{sequence}"
