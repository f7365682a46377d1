"""How long each part took, from the disclosure to the proof."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from runbooks.plan import Phase
from runbooks.records import CaseTriaged, CaseVerdict, FindingSeen, PlanMade, ResponseEnded
from runbooks.telling.incident import Duration, Material
from runbooks.telling.timeline import aware, first, phase_end, received_at, waits
from runbooks.telling.words import duration

_UNKNOWN = "not known"


def durations(material: Material) -> tuple[Duration, ...]:
    """Every part, also those that cannot be told; of several findings the longest."""
    received = received_at(material)
    contained = phase_end(material, Phase.CONTAIN, "done", "partial")
    remediated = phase_end(material, Phase.REMEDIATE, "done", "partial")
    changed = material.history.last_change(Phase.REMEDIATE)
    verified = _last_verdict(material) or phase_end(material, Phase.VERIFY, "done", "partial", "failed", "drifted")
    return (
        _longest("Disclosed to first seen by Inspector", _disclosed_to_seen(material)),
        _longest("First seen to received here", _seen_to_received(material, received)),
        _between("Received to triaged", received, first(material, CaseTriaged, PlanMade)),
        _waiting(material),
        _between("Received to contained", received, contained, "not contained"),
        *_rebuilding(material, received),
        _between("Received to remediated", received, remediated, "not remediated"),
        _between("Last change to verdict", changed, verified, "no verdict"),
        _between("Received to ended", received, first(material, ResponseEnded) or _last(material)),
    )


def _rebuilding(material: Material, received: datetime | None) -> Iterator[Duration]:
    """Only where something is rebuilt at all."""
    if material.history.plan(Phase.REBUILD) is not None:
        rebuilt = phase_end(material, Phase.REBUILD, "done", "partial")
        yield _between("Received to rebuilt", received, rebuilt, "not rebuilt")


def _between(name: str, start: datetime | None, end: datetime | None, missing: str = _UNKNOWN) -> Duration:
    if start is None or end is None:
        return Duration(name=name, value=None, words=missing)
    return _longest(name, [aware(end) - aware(start)])


def _longest(name: str, spans: Iterable[timedelta]) -> Duration:
    value = max(spans, default=None)
    if value is None:
        return Duration(name=name, value=None, words=_UNKNOWN)
    # Two clocks are compared here: the end can lie before the beginning, which is no length of time.
    if value < timedelta(0):
        return Duration(name=name, value=None, words=f"the second came first, by {duration(-value)}")
    return Duration(name=name, value=value, words=duration(value))


def _disclosed_to_seen(material: Material) -> Iterator[timedelta]:
    for finding in material.every_finding:
        if finding.published_at is not None:
            yield aware(finding.first_observed_at) - aware(finding.published_at)


def _seen_to_received(material: Material, received: datetime | None) -> Iterator[timedelta]:
    arrivals: dict[str, datetime] = {}
    for dated in material.entries:
        if isinstance(dated.record, FindingSeen):
            arrivals.setdefault(dated.record.finding.arn, dated.at)
    for finding in material.every_finding:
        arrived = arrivals.get(finding.arn, received)
        if arrived is not None:
            yield aware(arrived) - aware(finding.first_observed_at)


def _waiting(material: Material) -> Duration:
    spans = [aware(end) - aware(start) for _, start, end in waits(material)]
    if not spans:
        return Duration(name="Waiting for approval", value=None, words="nobody was asked, or nobody has answered")
    return _longest("Waiting for approval", [sum(spans, timedelta(0))])


def _last_verdict(material: Material) -> datetime | None:
    return next((dated.at for dated in reversed(material.entries) if isinstance(dated.record, CaseVerdict)), None)


def _last(material: Material) -> datetime | None:
    return material.entries[-1].at if material.entries else None
