"""Triage, as a task: read each finding and its resource again, decide, and write down both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runbooks.case import case_stream
from runbooks.errors import Refused
from runbooks.facts import CaseFacts
from runbooks.history import ResponseHistory
from runbooks.left_alone import left_alone
from runbooks.plan import Phase
from runbooks.records import CaseTriaged
from runbooks.triage import Assessment, assess
from tasks.artifacts import show
from tasks.containments import contained_cases, is_contained
from tasks.gateways.ledger import Ledger
from tasks.playbooks import playbook
from tasks.run import Run, current
from tasks.visible import visible


@dataclass(frozen=True)
class Triaged:
    """The assessments of a response's cases."""

    assessments: tuple[Assessment, ...]

    @property
    def acting(self) -> tuple[Assessment, ...]:
        return tuple(each for each in self.assessments if each.triage.decision == "respond")

    @property
    def containing(self) -> tuple[Assessment, ...]:
        return tuple(each for each in self.acting if each.triage.contain)

    @property
    def for_a_person(self) -> tuple[Assessment, ...]:
        return tuple(each for each in self.assessments if each.triage.decision == "person")

    @property
    def words(self) -> str:
        return "; ".join(dict.fromkeys(reason for each in self.assessments for reason in each.triage.reasons))


def already_triaged() -> Triaged | None:
    """What triage wrote down, once it has assessed every case; None before."""
    run = current()
    known = assessments_of(run.services.ledger, run.response.id, run.response.cases)
    complete = all(case in known for case in run.response.cases)
    return Triaged(tuple(known[case] for case in run.response.cases)) if complete else None


def still_contained() -> bool:
    """Whether a containment of this response's cases is in force now."""
    run = current()
    return is_contained(run.services.ledger, run.response)


@visible("triage", "Triage")
def triage_cases() -> Triaged:
    """Read the world and decide for each case; a replay reads the decision that was written down."""
    run = current()
    known = assessments_of(run.services.ledger, run.response.id, run.response.cases)
    missing = [case for case in run.response.cases if case not in known]
    if missing:
        known |= _assessed(run, missing)
    triaged = Triaged(tuple(known[case] for case in run.response.cases))
    show.triage(run, triaged.assessments)
    return triaged


@visible("triage-again", "Read the world again")
def triage_again(cases: Sequence[str]) -> Triaged:
    """Read the world of these cases anew: it, or who reads it, has changed since the plan was made."""
    run = current()
    known = assessments_of(run.services.ledger, run.response.id, run.response.cases) | _assessed(run, cases)
    show.triage(run, tuple(known.values()))
    return Triaged(tuple(known.values()))


def triaged_before(phase: Phase) -> Triaged:
    """The world read again for the first plan of the phase; once that is made, what triage wrote down last."""
    run = current()
    if run.history().plan(phase) is not None and (known := already_triaged()) is not None:
        return known
    return triage_again(run.response.cases)


def assessments_of(ledger: Ledger, response: str, cases: Sequence[str]) -> dict[str, Assessment]:
    """The newest assessment that this response made of each case."""
    return {case: found[-1] for case in cases if (found := all_assessments(ledger, response, case))}


def all_assessments(ledger: Ledger, response: str, case: str) -> list[Assessment]:
    """Every assessment this response made of a case, oldest first: the first saw it before anything was changed."""
    records = (entry.record() for entry in ledger.entries(case_stream(case)))
    return [record.assessment for record in records if isinstance(record, CaseTriaged) and record.response == response]


def rightly_left_alone(run: Run, history: ResponseHistory) -> dict[str, str]:
    """Case -> why it is over without a verdict; not one that is contained: that waits for a proof, or for a person."""
    found = left_alone(history, assessments_of(run.services.ledger, run.response.id, run.response.cases).values())
    contained = contained_cases(run.services.ledger, run.response, contains=False) if found else frozenset[str]()
    return {case: why for case, why in found.items() if case not in contained}


def to_act_on(run: Run, cases: Sequence[str]) -> list[Assessment]:
    """Those of the cases to act on; a look on demand is about every case, whatever triage makes of it."""
    known = assessments_of(run.services.ledger, run.response.id, cases)
    looking = run.response.purpose == "verify"
    acting = [each for each in known.values() if looking or each.triage.decision == "respond"]
    if not acting:
        raise Refused("triage left no case to act on", code="nothing-to-do")
    return acting


def _assessed(run: Run, cases: Sequence[str]) -> dict[str, Assessment]:
    """The world of these cases read, and what it calls for written down."""
    through = run.services.ledger.findings_through(cases)
    return _write_down(run, _read(run, cases), through)


def _read(run: Run, cases: Sequence[str]) -> dict[str, CaseFacts]:
    facts = playbook(run).read(run, cases)
    contained = contained_cases(run.services.ledger, run.response, contains=bool(run.runbook.contain.when))
    return {case: each.model_copy(update={"contained": case in contained}) for case, each in facts.items()}


def _write_down(run: Run, facts: dict[str, CaseFacts], through: Mapping[str, int]) -> dict[str, Assessment]:
    assessments = {case: assess(each, run.runbook) for case, each in facts.items()}
    records = {
        case_stream(case): [
            CaseTriaged(response=run.response.id, assessment=each, findings_through=through.get(case, 0))
        ]
        for case, each in assessments.items()
    }
    run.services.ledger.append_all(records, lease=run.lease)
    return assessments
