"""Verifying, as a task: gather the evidence on every case, and judge it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from runbooks.case import case_stream
from runbooks.history import ResponseHistory
from runbooks.plan import Phase, Plan
from runbooks.records import CaseVerdict
from runbooks.verdict import WORST_FIRST, NotYet, Verdict, VerdictKind
from runbooks.waves import to_verify
from tasks.artifacts import show
from tasks.looking import NOT_BELIEVED, SHOWS_WITHIN
from tasks.playbooks import playbook
from tasks.rounds import left_behind, remediates_again
from tasks.run import Run, current
from tasks.triage import assessments_of, rightly_left_alone
from tasks.verdicts import verdicts_on
from tasks.visible import visible


@dataclass(frozen=True)
class Verified:
    """The verdict over all cases of the response; `kind` is None while the evidence is not in."""

    kind: VerdictKind | None
    words: str
    again: bool = False
    """Whether the runbook remediates once more."""


@visible("verify", "Verify by re-scan")
def look_for_verdict() -> Verified:
    """Judge every case that has no verdict yet; what is known is written down at once."""
    run = current()
    history = run.history()
    remediation = history.plan(Phase.REMEDIATE)
    verdicts = verdicts_on(run.services, run.response, remediation)
    over = rightly_left_alone(run, history)
    left = {case: why for case, why in _left(run, history, remediation).items() if case not in over}
    wanted = [case for case in _wanted(run, history, remediation) if case not in over]
    open_cases = [case for case in wanted if case not in verdicts and case not in left]
    waiting: list[str] = []
    known: dict[str, list[CaseVerdict]] = {}
    for case, answer in _judged(run, history, remediation, open_cases).items():
        if isinstance(answer, NotYet):
            waiting += answer.reasons
            continue
        if answer.kind is not VerdictKind.FIXED and _may_be_late(run, history):
            waiting.append(NOT_BELIEVED)
            continue
        verdicts[case] = answer
        digest = remediation.digest if remediation else None
        record = CaseVerdict(response=run.response.id, remediation=digest, verdict=answer)
        known[case_stream(case)] = [run.services.sign(case_stream(case), record)]
    run.services.ledger.append_all(known, lease=run.lease)
    if waiting:
        show.waiting(run, "verify", waiting)
        return Verified(kind=None, words="; ".join(dict.fromkeys(waiting)))
    return _over_all(run, history, verdicts, left)


def _wanted(run: Run, history: ResponseHistory, remediation: Plan | None) -> tuple[str, ...]:
    """The cases that a verdict is wanted on now: while waves are to come, those of the current one."""
    going_on = remediation is not None and remediation.waves and history.phase_ended(Phase.REMEDIATE) is None
    return to_verify(history, remediation) if remediation is not None and going_on else run.response.cases


def _left(run: Run, history: ResponseHistory, remediation: Plan | None) -> dict[str, str]:
    """The cases that nothing was done about, which need a person whatever the others' verdict; with the reasons."""
    if remediation is None:
        return {}
    known = assessments_of(run.services.ledger, run.response.id, run.response.cases)
    for_a_person = {case: each.triage.reasons[-1] for case, each in known.items() if each.triage.decision == "person"}
    return for_a_person | left_behind(history, remediation)


def _may_be_late(run: Run, history: ResponseHistory) -> bool:
    """Whether what was read may be the world before the last change: what speaks against it is looked at again."""
    since = history.last_change(Phase.REMEDIATE)
    return since is not None and run.now() - since < SHOWS_WITHIN


def _over_all(run: Run, history: ResponseHistory, verdicts: dict[str, Verdict], left: Mapping[str, str]) -> Verified:
    """The worst verdict; what fell out of the remediation is not fixed, and nobody need wait for that to be proven."""
    remediation = history.plan(Phase.REMEDIATE)
    show.verdicts(run, tuple(verdicts.values()))
    kinds = {verdict.kind for verdict in verdicts.values()} | ({VerdictKind.NOT_FIXED} if left else set())
    kind = next((each for each in WORST_FIRST if each in kinds), VerdictKind.UNVERIFIABLE)
    words = _words(verdicts, left)
    again = remediation is not None and remediates_again(run, history, remediation)
    return Verified(kind=kind, words=words, again=again)


def _words(verdicts: Mapping[str, Verdict], left: Mapping[str, str]) -> str:
    """The reasons; of several cases how many are fixed, and the reasons of the others."""
    fixed = [case for case, verdict in verdicts.items() if verdict.kind is VerdictKind.FIXED and case not in left]
    count = len({*verdicts, *left})
    told = [verdict for case, verdict in verdicts.items() if count == 1 or case not in fixed]
    reasons = dict.fromkeys((*(reason for verdict in told for reason in verdict.reasons), *left.values()))
    return "; ".join([f"{len(fixed)} of {count} cases are fixed"] * (count > 1) + list(reasons))


def _judged(
    run: Run, history: ResponseHistory, remediation: Plan | None, cases: Sequence[str]
) -> dict[str, Verdict | NotYet]:
    began = history.entries[0].at
    since = history.last_change(Phase.REMEDIATE) or began
    final = run.now() - max(since, began) > timedelta(minutes=run.runbook.verify.timeout_minutes)
    known = assessments_of(run.services.ledger, run.response.id, cases)
    assessments = {case: known[case] for case in cases if case in known}
    return playbook(run).judged(run, history, remediation, assessments, since, final)
