"""What one sweep did, for the log and for the state of its run."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass, field

from runbooks.errors import LeaseLost, RunbooksError


@dataclass
class Swept:
    """What one pass has done so far."""

    deliveries: int = 0
    started: list[str] = field(default_factory=list[str])
    restarted: dict[str, str] = field(default_factory=dict[str, str])
    expired: list[str] = field(default_factory=list[str])
    reminded: list[str] = field(default_factory=list[str])
    looked_again: list[str] = field(default_factory=list[str])
    judged: list[str] = field(default_factory=list[str])
    """Images that the gate has looked at because they were scanned."""
    over: list[str] = field(default_factory=list[str])
    """Cases that were ended, because Inspector reports nothing of them any more."""
    asked: list[str] = field(default_factory=list[str])
    """Resources of which Inspector was asked whether it scans them still."""
    noticed: list[str] = field(default_factory=list[str])
    """What people were told of that belongs to no case."""
    missed: int = 0
    """Findings that Inspector listed and that no delivery had brought."""
    troubles: list[str] = field(default_factory=list[str])

    async def guarded(self, what: str, work: Awaitable[None]) -> None:
        """Do it; a trouble is written down, and what comes after it is done all the same."""
        try:
            await work
        except LeaseLost:
            return  # Another sweep is doing, or has done, this very thing.
        except RunbooksError as error:
            self.trouble(what, error)

    def trouble(self, what: str, error: RunbooksError) -> None:
        self.troubles.append(f"{what}: {error.code}: {error.detail}")

    @property
    def words(self) -> str:
        """One line of what was done; empty when there was nothing to do."""
        parts = {
            "deliveries": str(self.deliveries or ""),
            "started": ", ".join(each for each in self.started if each not in self.restarted),
            "restarted": ", ".join(f"{response} ({why})" for response, why in self.restarted.items()),
            "approval expired": ", ".join(self.expired),
            "reminded": ", ".join(self.reminded),
            "looking again": ", ".join(self.looked_again),
            "shown to the gate": ", ".join(self.judged),
            "reported no more": ", ".join(self.over),
            "asked about coverage": ", ".join(self.asked),
            "told people of": ", ".join(self.noticed),
            "findings that no delivery brought": str(self.missed or ""),
            "trouble": "; ".join(self.troubles),
        }
        return "; ".join(f"{what}: {which}" for what, which in parts.items() if which)
