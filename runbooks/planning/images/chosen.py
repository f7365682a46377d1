"""What every plan about images takes of its cases: the image, its repository, and where they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runbooks.container_image import ContainerImage, Repository
from runbooks.definition import Runbook
from runbooks.errors import LimitExceeded, Refused
from runbooks.planning.extents import as_many_as_may
from runbooks.steps import Target
from runbooks.triage import Assessment


@dataclass(frozen=True)
class Chosen:
    """A case whose image is there."""

    assessment: Assessment
    image: ContainerImage
    repository: Repository

    @property
    def case(self) -> str:
        return self.assessment.case

    def target(self, kind: str, identifier: str) -> Target:
        """A thing in the image's own account and region."""
        return Target(account=self.image.account, region=self.image.region, type=kind, id=identifier)


def chosen_of(runbook: Runbook, assessments: Sequence[Assessment]) -> tuple[Chosen, ...]:
    """Those of the cases whose image and repository are there.

    Raises:
        LimitExceeded: they are more than the runbook allows.
        Refused: they are of several repositories, which no one plan is about.
    """
    found = tuple(
        Chosen(each, facts.image, facts.repository)
        for each in assessments
        if (facts := each.facts.image_facts).image is not None and facts.repository is not None
    )
    if len(found) > runbook.limits.maximum_cases:
        raise LimitExceeded(f"{len(found)} cases, and {runbook.name} allows {runbook.limits.maximum_cases}")
    repositories = sorted({each.repository.uri for each in found})
    if len(repositories) > 1:
        raise Refused(f"one response is about one repository, and not {', '.join(repositories)}", code="person")
    return found


def that_may_begin(runbook: Runbook, chosen: Sequence[Chosen]) -> tuple[tuple[Chosen, ...], tuple[str, ...]]:
    """Those that may begin together, the most urgent first, and the cases that are planned after them.

    One alone always is planned. A repository easily has more vulnerable images than the limits let begin at once.
    """
    now, later = as_many_as_may(runbook, [each.assessment for each in chosen])
    by_case = {each.case: each for each in chosen}
    return tuple(by_case[each.case] for each in now), tuple(each.case for each in later)


def to_rebuild(runbook: Runbook, assessments: Sequence[Assessment]) -> tuple[Chosen, ...]:
    """Those that this system rebuilds.

    Raises:
        Refused: none; the message says why not.
    """
    found = chosen_of(runbook, [each for each in assessments if each.triage.remediation == "rebuild"])
    if not found:
        why = dict.fromkeys(each.triage.reasons[-1] for each in assessments if each.triage.reasons)
        raise Refused("; ".join(why) or "there is no image to rebuild", code="person")
    return found
