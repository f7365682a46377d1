"""One response there and back: contained, released, and the world compared with what it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields

from runbooks.errors import Outside
from runbooks.plan import Phase, Plan
from tests.tasks.aftermath import statuses_of
from tests.tasks.harness import House, Run
from tests.tasks.reversibility.building import build
from tests.tasks.reversibility.comparing import Meanwhile, not_contained, not_put_back
from tests.tasks.reversibility.description import Description, describe, everyone
from tests.tasks.reversibility.descriptions import Course, Crash, Owned, When
from tests.tasks.reversibility.meddling import meddle
from tests.tasks.shaky import Died, Shaky


@dataclass
class Trip:
    """What came of it."""

    instances: int = 0
    violations: list[str] = field(default_factory=list)
    compared: int = 0
    """Values that were compared with what they had been."""
    crashes: Counter[str] = field(default_factory=Counter)
    meddling: Counter[str] = field(default_factory=Counter)
    announced: int = 0
    """What the plan said cannot be put back."""
    steps: Counter[str] = field(default_factory=Counter)
    """Status -> steps, of both plans."""

    def __add__(self, other: Trip) -> Trip:
        return Trip(**{each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(self)})


def there_and_back(house: House, instances: Sequence[Owned], course: Course) -> Trip:
    """Contain all of these instances in one response and release them again."""
    trip, meanwhile = Trip(instances=len(instances)), Meanwhile()
    ids = build(house, instances, course)
    known = everyone(house)
    before = describe(house, known)
    run = house.start()
    plan = run.plan(Phase.CONTAIN)
    run = run.approved(plan)
    _let_meddle(house, course, "before", ids, before, meanwhile, trip)
    run = _carried_through(house, run, Phase.CONTAIN, course, trip)
    contained = describe(house, known)
    trip.announced = len(plan.cannot_be_put_back)
    trip.violations += not_contained(house, plan, before, contained, meanwhile)

    _let_meddle(house, course, "between", ids, before, meanwhile, trip)
    release = run.plan(Phase.RELEASE)
    run = run.approved(release)
    at_release = describe(house, known)
    run = _carried_through(house, run, Phase.RELEASE, course, trip)
    after = describe(house, known)
    trip.compared = len(before)
    trip.violations += not_put_back(house, (plan, release), (before, at_release, after), meanwhile)
    for each in (plan, release):
        trip.steps.update(statuses_of(house, each).values())
    return trip


def _let_meddle(
    house: House, course: Course, when: When, ids: Sequence[str], world: Description, meanwhile: Meanwhile, trip: Trip
) -> None:
    for each in course.meddling:
        if each.when == when:
            one = ids[each.whose]
            was = describe(house, [one])
            meddle(house, was, one, each.change)
            if meanwhile.note(one, was, describe(house, [one]), world):
                trip.meddling[f"{each.change}, {when}"] += 1


def _carried_through(house: House, run: Run, phase: Phase, course: Course, trip: Trip) -> Run:
    """The phase to its end, through the crash that there may be."""
    crash, plan = course.crashes.get(phase), run.plan(phase)
    if crash is None:
        return run.phase(phase)
    shaky = house.shake(_breaking(crash, plan))
    try:
        run = run.phase(phase)
    except (Died, Outside):
        house.shake(Shaky())
        house.respond()
        run = house.take_over(after_a_death=True).phase(phase)
    house.shake(Shaky())
    trip.crashes[f"{crash.blow}, {phase}" if shaky.struck else "not reached"] += 1
    return run


def _breaking(crash: Crash, plan: Plan) -> Shaky:
    return Shaky(blow=crash.blow, point=crash.depth * len(plan.steps) // 1000)
