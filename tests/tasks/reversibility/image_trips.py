"""One image there and back: blocked and released, retired and put back, and the world compared with what it was."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields

from runbooks.candidate import Candidate
from runbooks.definition import Runbook
from runbooks.errors import Outside
from runbooks.plan import ApprovalRule, Phase, Plan
from runbooks.planning.images.deprecating import plan_deprecation
from runbooks.planning.images.promotion import plan_promotion_block
from runbooks.planning.release import plan_release
from runbooks.triage import Assessment, assess
from tasks.containments import contained_by
from tasks.image_facts import read_image_facts
from tests.runbooks.image_builders import an_image_runbook
from tests.runbooks.signatures import made
from tests.tasks.conftest import OpenHouse
from tests.tasks.harness import House
from tests.tasks.reversibility.image_worlds import PIPELINE, Description, Moment, Owned, build, describe, meddle
from tests.tasks.shaky import Died, Shaky


@dataclass
class Trip:
    """What came of it."""

    images: int = 0
    violations: list[str] = field(default_factory=list)
    compared: int = 0
    reported: int = 0
    """What could not be put back for what somebody else had done."""
    crashes: int = 0
    meddling: Counter[str] = field(default_factory=Counter)
    steps: Counter[str] = field(default_factory=Counter)
    """Kind and status -> steps, of all plans."""

    def __add__(self, other: Trip) -> Trip:
        return Trip(**{each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(self)})


def runbook_of(owned: Owned) -> Runbook:
    stages = tuple(f"{PIPELINE}/{stage}" for stage in owned.stages)
    return an_image_runbook(
        contain={"block": {"stages": stages, "deny_pulls": owned.deny_pulls}}, deprecate=dict(owned.deprecate)
    )


def there_and_back(open_house: OpenHouse, owned: Owned) -> Trip:
    """Block its promotion and release it; retire it and put that back."""
    return _Journey(open_house(runbook=runbook_of(owned)), owned).made()


class _Journey:
    def __init__(self, house: House, owned: Owned) -> None:
        self.house, self.owned = house, owned
        self.trip = Trip(images=1)
        self.digest: str = build(house, owned)["digest"]
        self.wanted = describe(house)
        """As everything is to be in the end: as it was, but for what somebody else has changed meanwhile."""
        self.run = house.start()

    def made(self) -> Trip:
        contain = plan_promotion_block(self.house.response, self.house.runbook, self._assessed())
        self._meddle("before the block")
        self._carry_out(contain)
        self._meddle("before the release")
        self._carry_out(self._release())
        self._compare("released")
        built = Candidate(repository_uri="the repository", digest=f"sha256:{'0' * 64}", tag="new", build="build:1")
        retire = plan_deprecation(self.house.response, self.house.runbook, self._assessed(), built)
        self._meddle("before the end")
        self._carry_out(retire)
        self._keeps_what_is_run()
        self._meddle("before the undo")
        self._carry_out(self._undone(retire))
        self._compare("put back")
        return self.trip

    def _assessed(self) -> list[Assessment]:
        keys, runbook = self.run.keys, self.house.runbook
        seen = {case: self.house.ledger.case_findings(case) for case in keys}
        facts = read_image_facts(self.house.sessions, keys, seen, runbook)
        return [assess(each, runbook) for each in facts.values()]

    def _release(self) -> Plan:
        row = self.house.ledger.response(self.house.response)
        assert row is not None
        contained = contained_by(self.house.ledger, row)
        return plan_release(
            self.house.runbook, contained.plans, contained.outcomes, self.run.cases, response=row.id, by_itself=False
        )

    def _undone(self, retire: Plan) -> Plan:
        """The steps' own undos, of what was done, in the order that leads back."""
        outcomes = self.house.history().step_outcomes(retire)
        done = [step for step in reversed(retire.steps) if outcomes[step.key].status == "done"]
        return retire.model_copy(
            update={
                "phase": Phase.VERIFY,
                "steps": tuple(undo for step in done if (undo := step.undo) is not None),
                "approval": ApprovalRule(),
                "extents": (),
            }
        )

    def _carry_out(self, plan: Plan) -> None:
        if not plan.steps:
            return
        self.run.journal.write(made(plan))
        self.run = self.run.approved(plan)
        crash = self.owned.crashes.get(plan.phase)
        shaky = self.house.shake(
            Shaky(blow=crash.blow, point=crash.depth * len(plan.steps) * 2 // 1000) if crash else Shaky()
        )
        try:
            self.run.carry_out(plan)
        except (Died, Outside):
            self.house.shake(Shaky())
            self.run = self.house.take_over(after_a_death=True)
            self.run.carry_out(plan)
        self.house.shake(Shaky())
        self.trip.crashes += shaky.struck is not None
        for key, outcome in self.house.history().step_outcomes(plan).items():
            self.trip.steps[f"{key.partition(':')[0]} {outcome.status}"] += 1

    def _meddle(self, now: Moment) -> None:
        for moment, change in self.owned.meddling:
            if moment == now:
                was = describe(self.house)
                meddle(self.house, self.owned, self.digest, change)
                changed = _differing(was, describe(self.house))
                self.wanted |= changed
                self.trip.meddling[f"{change}, {moment}"] += bool(changed)

    def _keeps_what_is_run(self) -> None:
        status = describe(self.house)["image", self.digest, "status"]
        if self.owned.services and status != self.wanted["image", self.digest, "status"]:
            self.trip.violations.append(f"an image that somebody runs is {status}")

    def _compare(self, when: str) -> None:
        live = describe(self.house)
        self.trip.compared += len(self.wanted)
        for path, value in _differing(live, self.wanted).items():
            if path == ("image", self.digest, "tags") and self._is_kept_from_tagging():
                self.trip.reported += 1
                continue
            self.trip.violations.append(f"{when}: {'/'.join(path)} was to be {value} and is {live.get(path)}")

    def _is_kept_from_tagging(self) -> bool:
        """Somebody has put the image into the archive, where it takes no tag; and it was said."""
        outcomes = self.house.history().outcomes.values()
        said = any(each.action == "set-image-tag" and each.status == "drifted" for each in outcomes)
        return said and self.wanted["image", self.digest, "status"] == "ARCHIVED"


def _differing(one: Description, other: Description) -> Description:
    """What the other one says, where it says something else."""
    return {path: value for path, value in other.items() if one.get(path) != value}
