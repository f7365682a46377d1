"""Blast radius: how much may be under way at the same time, and within an hour.

A share is counted over everything that this system has under way, whichever response it belongs to. One case is always
within a share, or a lone instance could never be helped; where a size is not known, one at a time is all there may be.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from runbooks.definition import Limits
from runbooks.plan import Extent, Phase, Plan

LIMITED = (Phase.CONTAIN, Phase.REMEDIATE, Phase.DEPRECATE)
"""Phases whose plans take something away from those who use it; looking and putting back always may run."""
HOUR_SECONDS = 3600

_EVERYTHING = 100
"""Percent: a share of this is no limit."""


def exceeded(
    limits: Limits, wanted: Sequence[Extent], under_way: Sequence[Extent] = (), last_hour: Sequence[Extent] = ()
) -> str | None:
    """Which limit beginning on these cases would exceed, with its value and the count; None when they may begin.

    Args:
        under_way: what has begun, in any response, and has not ended.
        last_hour: what has begun within the last hour, ended or not.
    """
    return next(_reasons(limits, wanted, (*under_way, *wanted), (*last_hour, *wanted)), None)


class Room:
    """How much may begin together, counted as it is filled. What it has room for, `exceeded` does not refuse."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._count = 0
        self._parts: Counter[str] = Counter()
        self._most: dict[str, int] = {}

    def has_for(self, extents: Sequence[Extent]) -> bool:
        """Whether these may begin together with what has been taken; of cases that were not taken yet."""
        most = min(self._limits.maximum_cases_at_once, self._limits.maximum_cases_per_hour)
        wanted, allowed_of = self._shares(extents)
        return self._count + len(extents) <= most and all(
            self._parts[whole] + count <= min(allowed_of[whole], self._most.get(whole, allowed_of[whole]))
            for whole, count in wanted.items()
        )

    def take(self, extents: Sequence[Extent]) -> None:
        """Count these in."""
        wanted, allowed_of = self._shares(extents)
        self._count += len(extents)
        self._parts.update(wanted)
        for whole, most in allowed_of.items():
            self._most[whole] = min(most, self._most.get(whole, most))

    def _shares(self, extents: Sequence[Extent]) -> tuple[Counter[str], dict[str, int]]:
        """How many parts of each whole these are, and of each whole the most that its limit allows."""
        wanted, most = Counter[str](), dict[str, int]()
        for name, parts in _SHARES.items():
            percent = int(getattr(self._limits, name))
            for whole, size in ((w, s) for each in extents for w, s in parts(each).items() if percent < _EVERYTHING):
                wanted[whole] += 1
                most[whole] = min(allowed(percent, size), most.get(whole, allowed(percent, size)))
        return wanted, most


def extents_of(plan: Plan, cases: Sequence[str] = ()) -> tuple[Extent, ...]:
    """How much of what there is each of these cases is, or of all; one of which the plan says nothing is unknown."""
    known = {each.case: each for each in plan.extents}
    return tuple(known.get(case, Extent(case=case)) for case in cases or plan.cases)


def allowed(percent: int, size: int | None) -> int:
    """How many of so many may be under way at the same time."""
    return 1 if size is None else max(1, percent * size // 100)


def _reasons(
    limits: Limits, wanted: Sequence[Extent], together: Sequence[Extent], in_the_hour: Sequence[Extent]
) -> Iterator[str]:
    if (count := _cases(together)) > limits.maximum_cases_at_once:
        yield f"{count} cases would be under way together, and maximum_cases_at_once is {limits.maximum_cases_at_once}"
    if (count := _cases(in_the_hour)) > limits.maximum_cases_per_hour:
        yield f"{count} cases would begin within an hour, and maximum_cases_per_hour is {limits.maximum_cases_per_hour}"
    for name, parts in _SHARES.items():
        percent = int(getattr(limits, name))
        if percent < _EVERYTHING:
            yield from _share(
                name, percent, [parts(each) for each in wanted], [(each, parts(each)) for each in together]
            )


def _share(
    name: str, percent: int, wanted: Sequence[Mapping[str, int | None]], together: Sequence[tuple[Extent, _Parts]]
) -> Iterator[str]:
    """The wholes of one kind of which too much would be under way; of a size that was read twice the smaller counts."""
    for whole in dict.fromkeys(whole for each in wanted for whole in each):
        sizes = [each[whole] for each in wanted if whole in each]
        known = [size for size in sizes if size is not None]
        size = min(known) if len(known) == len(sizes) else None
        count = _cases([each for each, parts in together if whole in parts])
        if count > (most := allowed(percent, size)):
            of = "an unknown number" if size is None else str(size)
            yield f"{count} of {of} in {whole} would be under way together, and {name} ({percent} %) allows {most}"


def _cases(extents: Sequence[Extent]) -> int:
    return len({each.case for each in extents})


_Parts = Mapping[str, int | None]


def _environment(extent: Extent) -> _Parts:
    if extent.services is not None:
        return {}
    return {f"environment {extent.environment} of {extent.place}": extent.environment_size}


def _auto_scaling_group(extent: Extent) -> _Parts:
    group = extent.auto_scaling_group
    return {f"Auto Scaling group {group} of {extent.place}": extent.auto_scaling_group_size} if group else {}


def _target_groups(extent: Extent) -> _Parts:
    return {f"target group {arn}": size for arn, size in extent.target_groups.items()}


_SHARES = {
    "maximum_share_of_auto_scaling_group": _auto_scaling_group,
    "maximum_share_of_target_group": _target_groups,
    "maximum_share_of_environment": _environment,
}
"""Limit -> the wholes that a case is a part of, with their sizes."""
