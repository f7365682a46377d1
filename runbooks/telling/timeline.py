"""The timeline: every entry of the ledger that a reader needs, in words, and the bars of its picture."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from runbooks.container_image import short_digest
from runbooks.history import Dated
from runbooks.model import Model
from runbooks.plan import Phase, Plan
from runbooks.records import (
    ApprovalAsked,
    CandidateExamined,
    CaseClosed,
    CaseOpened,
    CasesJoined,
    CaseSuccessors,
    CaseTriaged,
    CaseVerdict,
    CoverageLost,
    Decision,
    FindingSeen,
    Intent,
    Outcome,
    PhaseEnded,
    PlanMade,
    Record,
    Recurred,
    Reminded,
    ResponseEnded,
    ResponseStarted,
    RunStarted,
    Waiting,
    WaveEnded,
    WavesSteered,
)
from runbooks.telling.incident import Material, Moment, MomentKind, Span, SpanKind
from runbooks.telling.plan_text import plan_title
from runbooks.telling.progress import STATUSES, WENT_WRONG
from runbooks.telling.triage_text import decision_in_words
from runbooks.telling.wave_words import steered_words, wave_ended_words
from runbooks.telling.words import ANSWERS, by_whom, case_name, counted, doing, listed, sentence
from runbooks.timestamps import moment

_ACTIONS = {
    "post-message": "Slack message",
    "update-message": "Slack message updated",
    "create-ticket": "Ticket",
    "comment-ticket": "Comment on the ticket",
    "update-ticket": "Ticket updated",
}
_SUBJECTS = {
    "alert": "the alert",
    "question": "the question",
    "reminder": "the reminder",
    "decision": "the answer",
    "trouble": "a step that went wrong",
    "outcome": "the outcome",
    "person": "what a person takes over",
    "post-mortem": "the post-mortem",
    "acceptance": "what is accepted",
}
_PURPOSES = {"respond": "Response to", "verify": "A new look at", "release": "Release of"}
_PHASE_RESULTS = {
    "done": "done",
    "not-needed": "not needed",
    "rejected": "rejected, nothing done",
    "expired": "expired, nothing done",
    "failed": "failed",
    "drifted": "stopped: the world was not as the plan found it",
    "partial": "done in part",
}
_SPANS: dict[Phase, SpanKind] = {
    Phase.CONTAIN: "contain",
    Phase.REBUILD: "rebuild",
    Phase.TEST: "test",
    Phase.REMEDIATE: "remediate",
    Phase.VERIFY: "verify",
    Phase.RELEASE: "release",
    Phase.DEPRECATE: "deprecate",
}


def moments(material: Material) -> tuple[Moment, ...]:
    """Every moment from the disclosure to the end, in order of time. A change and its outcome are one."""
    told = (moment for dated in material.entries for moment in _told(material, dated))
    return tuple(sorted((*_before(material), *told), key=lambda each: aware(each.at)))


def spans(material: Material) -> tuple[Span, ...]:
    """The bars: each wait for an answer, and each phase from its first change to its end."""
    bars = (*_approval_waits(material), *_phases(material))
    return tuple(sorted(bars, key=lambda each: aware(each.start)))


def first(material: Material, *kinds: type[Model]) -> datetime | None:
    """When the first entry of these kinds was written."""
    return next((dated.at for dated in material.entries if isinstance(dated.record, kinds)), None)


def received_at(material: Material) -> datetime | None:
    """When the first of the findings arrived; the start of the response where the case entries are not at hand."""
    arns = {finding.arn for finding in material.every_finding}
    seen = (
        dated.at
        for dated in material.entries
        if isinstance(dated.record, FindingSeen) and (not arns or dated.record.finding.arn in arns)
    )
    return next(seen, None) or first(material, ResponseStarted)


def aware(at: datetime) -> datetime:
    """A time without a zone is UTC, as everywhere in this system."""
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at


def phase_end(material: Material, phase: Phase, *results: str) -> datetime | None:
    """When the phase last ended with one of these results."""
    ends = [
        dated.at
        for dated in material.entries
        if isinstance(dated.record, PhaseEnded) and dated.record.phase is phase and dated.record.result in results
    ]
    return ends[-1] if ends else None


def waits(material: Material) -> Iterator[tuple[Plan | None, datetime, datetime]]:
    """Each plan that was asked about: from the first question to the answer that settled it."""
    asked: dict[str, datetime] = {}
    for dated in material.entries:
        match dated.record:
            case ApprovalAsked(digest=digest):
                asked.setdefault(digest, dated.at)
            case Decision(digest=digest, answer="approved" | "rejected" | "expired") if digest in asked:
                yield material.history.plans.get(digest), asked.pop(digest), dated.at
            case _:
                pass


def _before(material: Material) -> Iterator[Moment]:
    """What happened before anything was written down here."""
    told: set[tuple[str, datetime]] = set()
    for finding in material.every_finding:
        name = finding.vulnerability_id or finding.title
        resource = finding.resource.id
        happened = [(f"Amazon Inspector first saw {name} on {resource}", finding.first_observed_at)]
        if finding.published_at is not None:
            happened.append((f"{name} was disclosed", finding.published_at))
        for what, at in happened:
            if (what, at) not in told:
                told.add((what, at))
                yield Moment(at=at, what=what, kind="found")
    listed_since = {each.facts.exploitation.known_exploited_since for each in material.assessments} - {None}
    for since in listed_since:
        if since is not None:
            yield Moment(at=since, what="CISA listed the vulnerability as exploited in the wild (KEV)", kind="found")


def _told(material: Material, dated: Dated) -> Iterator[Moment]:
    match dated.record:
        case Intent() as intent:
            yield _act(material, dated.at, intent)
        case Outcome(operation=operation) as outcome if operation not in material.history.intents:
            if material.history.outcomes.get(operation) is outcome:
                yield _looked(material, dated.at, outcome)
        case Decision() as decision:
            yield _decision(material, dated.at, decision)
        case RunStarted(attempt=attempt):
            if attempt > 1:
                yield Moment(at=dated.at, what=f"Run {attempt} took the response over", kind="waited")
        case record:
            if words := _of_a_case(material, record) or _of_the_response(material, record):
                what, kind = words
                yield Moment(at=dated.at, what=what, kind=kind)


def _of_a_case(material: Material, record: Record) -> tuple[str, MomentKind] | None:
    keys = material.keys
    match record:
        case CaseOpened(key=key, reopened=reopened):
            return f"Case {'opened again' if reopened else 'opened'} for {key}", "found"
        case FindingSeen(finding=finding, source=source):
            name = finding.vulnerability_id or finding.title
            return f"Finding received: {name} on {finding.resource.id} ({source})", "found"
        case CaseTriaged(assessment=assessment):
            triage = assessment.triage
            what = f"{triage.priority}, {decision_in_words(triage)}"
            return f"Triaged {case_name(assessment.case, keys)}: {what}", "decided"
        case CaseVerdict(verdict=verdict):
            reasons = "; ".join(verdict.reasons)
            return f"Verdict on {case_name(verdict.case, keys)}: {verdict.kind.value} ({reasons})", "proven"
        case CaseSuccessors(successors=successors):
            return f"Replaced by {listed(successors, most=10)}", "changed"
        case CaseClosed(reason=reason):
            return f"Case closed: {reason}", "ended"
        case CoverageLost(resource=resource, reason=reason):
            return f"Inspector scans {resource} no more ({reason}): the verdict is in question", "found"
        case Recurred(fixed_in=fixed_in, fixed_at=fixed_at):
            return f"Recurrence of what was fixed in {fixed_in} at {moment(fixed_at)}", "found"
        case _:
            return None


def _of_the_response(material: Material, record: Record) -> tuple[str, MomentKind] | None:
    match record:
        case ResponseStarted(cases=cases, started_by=started_by, purpose=purpose):
            return f"{_PURPOSES[purpose]} {counted(len(cases), 'case')} started by {started_by}", "decided"
        case CasesJoined(cases=cases, joined_by=joined_by):
            return f"{counted(len(cases), 'more case')} joined, by {joined_by}", "decided"
        case PlanMade(plan=plan):
            what = f"{plan_title(plan, material.keys)}: {counted(len(plan.steps), 'step')}"
            return f"Plan made (revision {plan.revision}, {plan.short_digest}): {what}", "decided"
        case ApprovalAsked(digest=digest, attempt=attempt, expires_at=expires_at):
            again = f", attempt {attempt}" if attempt > 1 else ""
            return f"Approval asked for {_plan(material, digest)}{again}; valid until {moment(expires_at)}", "asked"
        case Reminded(digest=digest):
            return f"Reminded of the question about {_plan(material, digest)}", "asked"
        case Waiting(reason=reason):
            return f"Waiting: {reason}", "waited"
        case CandidateExamined(candidate=candidate, passed=passed, reasons=reasons):
            what = f"What was built, {short_digest(candidate)}, {'may' if passed else 'must not'} be deployed"
            return f"{what}: {'; '.join(reasons)}", "proven" if passed else "failed"
        case PhaseEnded() as ended:
            return _phase(material, ended)
        case ResponseEnded(result=result, reason=reason):
            return f"Ended, {result.replace('-', ' ')}: {reason}", "ended"
        case _:
            return _of_a_wave(record)


def _of_a_wave(record: Record) -> tuple[str, MomentKind] | None:
    match record:
        case WaveEnded(stops=stops):
            return sentence(wave_ended_words(record)), "failed" if stops else "proven"
        case WavesSteered():
            return sentence(steered_words(record)), "decided"
        case _:
            return None


def _phase(material: Material, ended: PhaseEnded) -> tuple[str, MomentKind]:
    detail = f" ({ended.detail})" if ended.detail else ""
    kind: MomentKind = "failed" if ended.result in ("failed", "partial", "drifted") else "changed"
    return f"{doing(ended.phase, material.keys)}: {_PHASE_RESULTS[ended.result]}{detail}", kind


def _act(material: Material, at: datetime, intent: Intent) -> Moment:
    what = _subject(material, intent.action, intent.subject, intent.digest)
    outcome = material.history.outcomes.get(intent.operation)
    if outcome is None:
        return Moment(at=at, what=f"{what}: no answer was recorded", kind="failed")
    return Moment(
        at=at,
        until=material.history.times.get(intent.operation),
        what=f"{what}: {_result(outcome)}",
        kind="failed" if outcome.status in WENT_WRONG else "changed",
    )


def _looked(material: Material, at: datetime, outcome: Outcome) -> Moment:
    what = _subject(material, outcome.action, outcome.subject, outcome.digest)
    kind: MomentKind = "failed" if outcome.status in WENT_WRONG else "changed"
    return Moment(at=at, what=f"{what}: {_result(outcome)}", kind=kind)


def _subject(material: Material, action: str, subject: str, digest: str | None) -> str:
    """The step in words; for what is no step, the action and what it is about, without the ids that make it unique."""
    plan = material.history.plans.get(digest or "")
    step = next((step for step in plan.steps if step.key == subject), None) if plan else None
    if step is not None:
        return step.describe()
    about = subject.split("/", 1)[0]
    return f"{_ACTIONS.get(action, sentence(action.replace('-', ' ')))}: {_SUBJECTS.get(about, about)}"


def _result(outcome: Outcome) -> str:
    return f"{STATUSES[outcome.status]}{f' ({outcome.detail})' if outcome.detail else ''}"


def _decision(material: Material, at: datetime, decision: Decision) -> Moment:
    how = f" {by_whom(decision)}" if by_whom(decision) else ""
    why = f" ({decision.reason})" if decision.reason else ""
    what = f"{_plan(material, decision.digest)} {ANSWERS[decision.answer]}{how}{why}"
    return Moment(at=at, what=what, kind="decided", who=decision.approver or "", said=decision.comment)


def _plan(material: Material, digest: str) -> str:
    plan = material.history.plans.get(digest)
    return f"Plan to {plan.phase.value} ({digest[:12]})" if plan else f"Plan {digest[:12]}"


def _approval_waits(material: Material) -> Iterator[Span]:
    for plan, start, end in waits(material):
        about = f" to {plan.phase.value}" if plan else " of a plan"
        yield Span(name=f"Approval{about}", kind="approval", start=start, end=end)


def _phases(material: Material) -> Iterator[Span]:
    """Each phase from its plan's first act to its end, or to its last outcome while it has none."""
    for digest, plan in material.history.plans.items():
        acts = [
            dated.at
            for dated in material.entries
            if isinstance(dated.record, (Intent, Outcome)) and dated.record.digest == digest
        ]
        ends = [
            dated.at
            for dated in material.entries
            if isinstance(dated.record, PhaseEnded)
            and dated.record.phase is plan.phase
            and dated.record.digest in (None, digest)
        ]
        if acts:
            end = max([acts[-1], *ends[-1:]])
            yield Span(name=doing(plan.phase, material.keys), kind=_SPANS[plan.phase], start=acts[0], end=end)
