"""Intake: from what lies in the inbox to open cases, and to what is to be judged, is asked about or set aside.

A pass that is killed anywhere loses nothing: a delivery is settled last, and taken again it is no news.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from runbooks.case import CaseKey
from runbooks.catalog import Catalog
from runbooks.delivery import Aside, CoverageChange, ScannedImage
from runbooks.errors import BadInput, Refused
from runbooks.event import read_payload
from runbooks.finding import Finding, FindingStatus, FindingType, ResourceType
from runbooks.grouping import COMMAND, is_command, is_hasty
from runbooks.telling.words import listed
from tasks.coverage import Resting, report
from tasks.gateways.ledger import Delivery, Ledger, Settlement, Sighting, Taken
from tasks.raising import raise_notice
from tasks.recurrence import Watch
from tasks.responding import respond

__all__ = ["COMMAND", "Drained", "drain", "latecomers"]

Gate = Callable[[str, str], object]
"""Writes down that the image of this ARN, which a delivery of this id says was scanned, is to be judged."""

NO_RUNBOOK = "no-runbook"
_TYPES, _RESOURCES = frozenset(FindingType), frozenset(ResourceType)
BATCH = 100
"""Deliveries that are taken in one commit: a tenth of a second, in which nobody else writes."""
_MOST_TOLD = 10
"""Parts of one delivery, of each kind, that are named in the inbox; the others are counted."""
MOST = 5_000
"""Deliveries of one pass: what comes after it in a sweep does not wait for ever."""


@dataclass(frozen=True)
class Drained:
    """What one pass over the inbox did."""

    deliveries: int = 0
    responses: tuple[str, ...] = ()
    """Those that were started, or joined by more cases."""


def drain(
    ledger: Ledger,
    catalog: Catalog,
    *,
    grouping_seconds: float = 0,
    most: int = MOST,
    gate: Gate | None = None,
    gaps: bool = False,
) -> Drained:
    """Work through what is pending, oldest first. Killed half-way, the next pass takes it up where it was.

    Args:
        grouping_seconds: how long a case may wait for others like it; 0 for not at all.
        most: about so many deliveries; the rest waits for the next pass.
        gate: has a scanned image judged later; it may be asked twice. None: there is no gate here, and such deliveries
            are set aside.
        gaps: whether somebody wants to know of what is scanned no more and has no case.
    """
    deliveries, responses, watch = 0, list[str](), Watch(ledger, catalog)
    while deliveries < most and (pending := ledger.pending(min(BATCH, most - deliveries))):
        read = [_read(delivery, catalog) for delivery in pending]
        _take(ledger, watch, read)
        resting = Resting(ledger, catalog, pending[-1].received_at)
        for each in read:
            _have_judged(each, gate)
            _hear(each, ledger, resting, gaps=gaps)
        if any(is_command(each.delivery.source) for each in read):
            # Whoever asked follows the response from when the delivery is settled.
            responses += respond(ledger, catalog, grouping_seconds)
        ledger.settle_all(each.outcome() for each in read)
        deliveries += len(pending)
    responses += respond(ledger, catalog, grouping_seconds)
    return Drained(deliveries=deliveries, responses=tuple(dict.fromkeys(responses)))


def latecomers(ledger: Ledger, case: str) -> tuple[str, ...]:
    """The ARNs of active findings that came after the case's last triage: no response has answered them yet."""
    return ledger.unanswered_findings(case)


@dataclass
class _Read:
    """A delivery, what it holds, and what becomes of it."""

    delivery: Delivery
    sightings: list[Sighting] = field(default_factory=list[Sighting])
    aside: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """Code and reason of each part that nothing acts upon."""
    scanned: tuple[ScannedImage, ...] = ()
    coverage: tuple[CoverageChange, ...] = ()
    news: dict[str, str] = field(default_factory=dict[str, str])
    """Kinds that are new here, each with what was said of one."""
    done: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """What was done, in words, and with what."""

    def note(self, done: str, what: str) -> None:
        self.done.setdefault(done, []).append(what)

    def outcome(self) -> Settlement:
        """What is written to the inbox about it."""
        asides = _told(reason for _, reason in self.aside)
        if self.aside and not self.done:
            return Settlement(self.delivery.id, "set-aside", self.aside[0][0], "; ".join(asides))
        done = (f"{words} {listed(dict.fromkeys(what), most=_MOST_TOLD)}" for words, what in self.done.items())
        return Settlement(self.delivery.id, "handled", None, "; ".join((*done, *asides)) or None)


def _told(asides: Iterable[str]) -> list[str]:
    """The first parts of every kind, and how many more of it there are: a kind is found by its name in the inbox."""
    kinds: dict[str, list[str]] = {}
    for each in asides:
        kinds.setdefault(each.partition(": ")[0], []).append(each)
    told = list[str]()
    for kind, parts in kinds.items():
        told += parts[:_MOST_TOLD]
        if len(parts) > _MOST_TOLD:
            told.append(f"{kind}: {len(parts) - _MOST_TOLD:,} more")
    return told


def _read(delivery: Delivery, catalog: Catalog) -> _Read:
    read = _Read(delivery)
    try:
        parsed = read_payload(delivery.body)
    except BadInput as error:
        read.aside.append((error.code, error.detail))
        return read
    read.aside += [(each.code, f"{each.kind}: {each.reason}") for each in parsed.set_aside]
    read.news |= {each.news: each.reason for each in parsed.set_aside if each.news}
    read.scanned, read.coverage = parsed.scanned, parsed.coverage
    for finding in parsed.findings:
        runbook = catalog.covering(finding)
        if runbook is None:
            _leave(read, finding)
        else:
            key, source = CaseKey.of(finding, runbook.name), delivery.source
            asked, hasty = is_command(source), is_hasty(finding, runbook)
            read.sightings.append(Sighting(key, finding, source, delivery.id, asked=asked, is_hasty=hasty))
    return read


def _leave(read: _Read, finding: Finding) -> None:
    """Set a finding aside that no runbook covers. Where its kind is new people are told, for other severities not."""
    what = f"a {finding.type} of severity {finding.severity} on {finding.resource.type}"
    if finding.type in _TYPES and finding.resource.type in _RESOURCES:
        reason = f"no runbook covers {what}; add one to the library, and replay it"
        read.aside.append((NO_RUNBOOK, f"inspector-finding: {reason}"))
        return
    reason = f"{what}: it is new here; replay it when this system, or a runbook of yours, knows it"
    read.aside.append((Aside.UNKNOWN_KIND, f"inspector-finding: {reason}"))
    read.news[f"{finding.type} on {finding.resource.type}"] = reason


def _take(ledger: Ledger, watch: Watch, read: Sequence[_Read]) -> None:
    """Give every finding to its case, in one commit; one that cannot be recorded keeps no other one out."""
    sightings = [(each, sighting) for each in read for sighting in each.sightings]
    if not sightings:
        return
    try:
        taken = list[Taken | None](ledger.take([sighting for _, sighting in sightings]))
    except BadInput:
        taken = [_take_alone(ledger, each, sighting) for each, sighting in sightings]
    fresh: list[tuple[Finding, Taken]] = []
    for (each, sighting), became in zip(sightings, taken, strict=True):
        if became is None:
            continue
        finding = sighting.finding
        if became.case is None and not became.closed and not became.repeated:
            each.aside.append(("nothing-open", _nothing_open(sighting)))
            continue
        each.note("taken into" if became.news or became.repeated else "no news for", sighting.key.id)
        if finding.status == FindingStatus.ACTIVE and (became.news or became.repeated):
            fresh.append((finding, became))
    watch.note([(finding, became.case) for finding, became in fresh if became.case is not None])


def _take_alone(ledger: Ledger, read: _Read, sighting: Sighting) -> Taken | None:
    try:
        return ledger.take([sighting])[0]
    except BadInput as error:
        read.aside.append((error.code, error.detail))
        return None


def _have_judged(read: _Read, gate: Gate | None) -> None:
    """Write down that the gate is to judge what was scanned; one that it does not take keeps no other one out."""
    for image in read.scanned:
        if gate is None:
            reason = f"{image.arn} was scanned, and no gate is there to judge it"
            read.aside.append(("no-gate", f"inspector-scan: {reason}"))
            continue
        try:
            gate(image.arn, read.delivery.id)
            read.note("the gate is to judge", image.arn)
        except (BadInput, Refused) as error:
            read.aside.append((error.code, f"inspector-scan: {error.detail}"))


def _hear(read: _Read, ledger: Ledger, resting: Resting, *, gaps: bool) -> None:
    """Write down what is scanned no more, where somebody will ask Inspector about it, and what is new."""
    for change in read.coverage:
        try:
            matters = report(ledger, resting, change, read.delivery.id, gaps=gaps)
        except BadInput as error:
            read.aside.append((error.code, f"inspector-coverage: {error.detail}"))
            continue
        if matters:
            read.note("Inspector is asked about", change.resource)
        else:
            reason = f"Inspector scans {change.resource} no more, {change.reason}, and no case rests on that"
            read.aside.append((Aside.NOT_A_FINDING, f"inspector-coverage: {reason}"))
    for kind, said in read.news.items():
        raise_notice(ledger, "unknown-kind", kind, said, read.delivery.id)


def _nothing_open(sighting: Sighting) -> str:
    return f"inspector-finding: it is {sighting.finding.status}, and no case is open for {sighting.key}"
