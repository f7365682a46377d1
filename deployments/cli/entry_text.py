"""One line for each entry of the ledger: what a person reads in the audit, and while following a response."""

from __future__ import annotations

from collections.abc import Iterable

from runbooks.chain import Entry, UnknownRecord
from runbooks.plan import Phase, Plan
from runbooks.records import (
    Admitted,
    AnswerGiven,
    ApprovalAsked,
    CandidateExamined,
    CaseClosed,
    CaseOpened,
    CasesJoined,
    CaseSuccessors,
    CaseTriaged,
    CaseVerdict,
    CoverageAsked,
    CoverageLost,
    CoverageReported,
    Decision,
    FindingSeen,
    Intent,
    Missed,
    NoticeGiven,
    NoticeRaised,
    Outcome,
    PhaseEnded,
    PlanMade,
    Reconciled,
    Record,
    Recurred,
    Replayed,
    ResponseEnded,
    ResponseStarted,
    Restarted,
    RunStarted,
    SetAsideRecord,
    Waiting,
    WaveEnded,
    WavesSteered,
)
from runbooks.telling.progress import STATUSES
from runbooks.telling.triage_text import decision_in_words
from runbooks.telling.wave_words import steered_words, wave_ended_words
from runbooks.telling.words import ANSWERS, CHANNELS, by_whom, counted
from runbooks.timestamps import moment


class EntryText:
    """Tells entries. Steps are told by the plans they belong to."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._plans: dict[str, Plan] = {}
        for entry in entries:
            self.learn(entry)

    def learn(self, entry: Entry) -> None:
        """Remember a plan, so that its steps can be told."""
        record = entry.record() if entry.kind == "plan-made" else None
        if isinstance(record, PlanMade):
            self._plans[record.digest] = record.plan

    def words(self, entry: Entry) -> str:
        """What the entry says, on one line."""
        record = entry.record()
        match record:
            case UnknownRecord():
                return f"{record.kind}: written by a newer version"
            case Intent() | Outcome() | ApprovalAsked() | AnswerGiven() | Decision() | PlanMade() | Admitted():
                return self._of_a_plan(record)
            case _:
                return _of_the_rest(record)

    def _of_a_plan(
        self, record: Intent | Outcome | ApprovalAsked | AnswerGiven | Decision | PlanMade | Admitted
    ) -> str:
        match record:
            case PlanMade(plan=plan):
                steps = counted(len(plan.steps), "step")
                return f"plan made to {plan.phase.value}, revision {plan.revision}: {steps}, digest {record.digest}"
            case ApprovalAsked():
                return f"approval asked for {self._plan(record.digest)}, until {moment(record.expires_at)}"
            case AnswerGiven():
                who = record.approver or (f"{record.claimed} (not proven)" if record.claimed else "nobody")
                said = f"{record.says or 'no answer'} to {self._plan(record.digest)} by {who}"
                how = f"through {CHANNELS[record.channel]}"
                return f"{said} {how}: {'counts' if record.counts else f'refused, {record.code} ({record.reason})'}"
            case Decision():
                who = f" by {record.approver}" if record.approver else ""
                how = f" {by_whom(record)}" if by_whom(record) else ""
                why = "; ".join(filter(None, (record.reason, record.comment)))
                said = f" ({why})" if why else ""
                return f"{self._plan(record.digest)} {ANSWERS[record.answer]}{who}{how}{said}"
            case Admitted():
                return f"{self._plan(record.digest)} is within the limits, and may begin"
            case Intent():
                return f"about to: {self._subject(record)}"
            case Outcome():
                detail = f" ({record.detail})" if record.detail else ""
                return f"{STATUSES[record.status]}: {self._subject(record)}{detail}"

    def _subject(self, record: Intent | Outcome) -> str:
        plan = self._plans.get(record.digest or "")
        step = next((step for step in plan.steps if step.key == record.subject), None) if plan else None
        return step.describe() if step else f"{record.action.replace('-', ' ')} ({record.subject})"

    def _plan(self, digest: str) -> str:
        plan = self._plans.get(digest)
        return f"plan {digest[:12]} to {plan.phase.value}" if plan else f"plan {digest[:12]}"


def _of_the_rest(record: Record) -> str:
    match record:
        case CaseOpened(key=key, reopened=reopened):
            return f"case {'opened again' if reopened else 'opened'} for {key} under {key.runbook}"
        case FindingSeen(finding=finding, source=source):
            name = finding.vulnerability_id or finding.title
            return f"finding seen: {name}, {finding.severity}, {finding.status} (by {source})"
        case CaseTriaged(assessment=assessment):
            return f"triaged: {assessment.triage.priority}, {decision_in_words(assessment.triage)}"
        case CaseVerdict(verdict=verdict):
            return f"verdict: {verdict.kind.value} ({'; '.join(verdict.reasons)})"
        case CaseSuccessors(successors=successors):
            return f"replaced by {', '.join(successors)}"
        case CaseClosed(reason=reason):
            return f"case closed: {reason}"
        case CoverageLost(resource=resource, reason=reason, reopens=reopens):
            again = "; the case is open again" if reopens else ""
            return f"Inspector scans {resource} no more ({reason}): its verdict is in question{again}"
        case Recurred(fixed_in=fixed_in, fixed_at=at, case=now_in):
            return f"recurred: fixed in {fixed_in} at {moment(at)}, and handled in {now_in} now"
        case _:
            return _of_a_run(record)


def _of_a_run(record: Record) -> str:
    match record:
        case ResponseStarted(runbook=runbook, cases=cases, started_by=by):
            return f"response to {record.purpose} started by {by}: {counted(len(cases), 'case')} under {runbook}"
        case CasesJoined(cases=cases, joined_by=by):
            return f"{counted(len(cases), 'more case')} joined, by {by}"
        case RunStarted(attempt=attempt, epoch=epoch, flow_run=flow_run):
            return f"run {attempt} took over, epoch {epoch}, flow run {flow_run}"
        case Waiting(reason=reason, look_again_at=at):
            return f"waiting: {reason}; looking again at {moment(at)}"
        case PhaseEnded(phase=phase, result=result, detail=detail):
            return f"{Phase(phase).value}: {result}" + (f" ({detail})" if detail else "")
        case ResponseEnded(result=result, reason=reason):
            still = "; still contained" if record.contained else ""
            return f"ended, {result}: {reason}{still}"
        case Restarted(response=response, attempt=attempt, reason=reason):
            return f"run {attempt} of {response} was started: {reason}"
        case _:
            return _between_runs(record)


def _between_runs(record: Record) -> str:
    match record:
        case WaveEnded():
            return wave_ended_words(record)
        case WavesSteered():
            return steered_words(record)
        case CandidateExamined(candidate=candidate, passed=passed, reasons=reasons):
            return f"{candidate} {'may' if passed else 'must not'} be deployed: {'; '.join(reasons)}"
        case Missed(arn=arn, delivery=delivery):
            return f"missed: no delivery brought {arn}; fetched as {delivery}"
        case Reconciled(region=region, until=until, listed=listed, missed=missed, trouble=trouble):
            told = f"could not be asked ({trouble})" if trouble else f"{listed} findings, {missed} of them missed"
            return f"Inspector in {region}, up to {moment(until)}: {told}"
        case CoverageReported(resource=resource, reason=reason, delivery=delivery):
            return f"{delivery} says that Inspector scans {resource} no more: {reason}"
        case CoverageAsked(status=status, reason=reason, looks=looks):
            started = f"; looked at again by {', '.join(looks)}" if looks else ""
            return f"Inspector was asked about its scans: {status or 'no answer'}, {reason}{started}"
        case _:
            return _of_deliveries(record)


def _of_deliveries(record: Record) -> str:
    match record:
        case Replayed(delivery=delivery, by=by):
            return f"{delivery} waits to be decided about once more, by {by}"
        case NoticeRaised(topic=topic, subject=subject):
            return f"people are to be told ({topic.replace('-', ' ')}): {subject}"
        case NoticeGiven():
            return "they have been told"
        case SetAsideRecord(code=code, what=what, reason=reason):
            return f"set aside, {code}: {what} ({reason})"
        case _:
            return record.kind


def dated(entry: Entry, words: str, *, stream: bool = True) -> str:
    """The entry's time, its place, and what it says, on one line whatever the words hold."""
    place = f"{entry.stream} {entry.sequence}  " if stream else ""
    return f"{moment(entry.at)}  {place}{' '.join(words.split())}"
