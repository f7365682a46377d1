"""Waves: who is remediated first. A few, then some, then the rest; each wave is within the limits by itself.

The most urgent come first, and of the like-urgent each wave takes from as many Auto Scaling groups and availability
zones as it can: a patch that breaks something is to break a little of everything, and not all of one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from runbooks.definition import Limits, Runbook, Wave
from runbooks.limits import Room
from runbooks.plan import Extent
from runbooks.triage import Assessment


@dataclass(frozen=True)
class Unit:
    """Cases that one act changes together, with how much of what there is each of them is."""

    members: tuple[Assessment, ...]
    extents: tuple[Extent, ...]


def in_waves(runbook: Runbook, units: Sequence[Unit]) -> tuple[tuple[Unit, ...], ...]:
    """Every unit, in one wave or another. One that is more than the limits allow has a wave of its own."""
    left, waves = list(_spread(units)), list[tuple[Unit, ...]]()
    total, done = sum(len(unit.members) for unit in units), 0
    for goal in _goals(runbook.waves, total):
        while done < goal:
            wave, left = _filled(left, goal - done, runbook.limits)
            done += sum(len(unit.members) for unit in wave)
            waves.append(wave)
    return tuple(waves)


def _goals(sizes: Sequence[Wave], total: int) -> Iterator[int]:
    """How many cases are done after each wave; a percentage is rounded up, and the last wave takes the rest."""
    for size in sizes:
        count = size if isinstance(size, int) else -(-int(size.removesuffix("%")) * total // 100)
        yield min(count, total)
    yield total


def _filled(units: Sequence[Unit], most: int, limits: Limits) -> tuple[tuple[Unit, ...], list[Unit]]:
    """The next wave, and what is left for the ones after it."""
    room, wave, left, taken = Room(limits), list[Unit](), list[Unit](), 0
    for unit in units:
        if not wave or (taken + len(unit.members) <= most and room.has_for(unit.extents)):
            wave.append(unit)
            room.take(unit.extents)
            taken += len(unit.members)
        else:
            left.append(unit)
    return tuple(wave), left


def _spread(units: Sequence[Unit]) -> Iterator[Unit]:
    by_urgency: dict[str, list[Unit]] = {}
    for unit in units:
        by_urgency.setdefault(min(each.triage.priority for each in unit.members), []).append(unit)
    for urgency in sorted(by_urgency):
        yield from _in_turn(by_urgency[urgency])


def _in_turn(units: Sequence[Unit]) -> Iterator[Unit]:
    """One of each group and zone, then the next of each."""
    places: dict[tuple[str | None, str | None], deque[Unit]] = {}
    for unit in units:
        instance = unit.members[0].facts.host.instance
        zone = instance.availability_zone if instance else None
        places.setdefault((unit.extents[0].auto_scaling_group, zone), deque()).append(unit)
    while places:
        for place, queue in list(places.items()):
            yield queue.popleft()
            if not queue:
                del places[place]
