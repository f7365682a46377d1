"""Writing up, as tasks: how a response ends, for the people who take over and for those who ask later."""

from __future__ import annotations

from collections.abc import Mapping

from runbooks.case import case_stream
from runbooks.counting import counted
from runbooks.errors import Outside
from runbooks.history import Dated, ResponseHistory, fold
from runbooks.plan import Phase
from runbooks.records import CaseOpened, PhaseEnded, ResponseEnded
from runbooks.steps.base import Role
from runbooks.telling.messages import note, outcome_message
from runbooks.telling.post_mortem import PostMortem, write_post_mortem
from runbooks.telling.post_mortem_text import post_mortem_markdown
from runbooks.telling.tickets import Ticket, person_ticket, post_mortem_ticket
from runbooks.telling.words import listed
from runbooks.verdict import Verdict, VerdictKind
from tasks.alert import create_once, findings_of, ticket_of
from tasks.artifacts import show
from tasks.containments import is_contained, responses_of
from tasks.gateways.jira import TicketRef
from tasks.gateways.ledger import ResponseRow
from tasks.intake import latecomers
from tasks.journal import dated, read_history
from tasks.notices import artifact_url, post_once, run_url, undelivered
from tasks.patience import exhausted
from tasks.run import Run, current
from tasks.triage import assessments_of, rightly_left_alone
from tasks.verdicts import SWEEP, looks_again, newest_verdict, started_by, verdicts_on
from tasks.visible import visible


@visible("conclude", "End: {result}")
def conclude(result: str, reason: str) -> ResponseEnded:
    """End a response that leaves nothing to do for anyone."""
    run = current()
    contained = is_contained(run.services.ledger, run.response)
    return _end(run, ResponseEnded(result=result, reason=reason, contained=contained))


@visible("conclude-look", "End of the look: {result}")
def conclude_look(result: str, reason: str) -> ResponseEnded:
    """End a look at a case. Whoever asked for it reads the verdict; what the sweep found out, a person is told.

    That is: it is not fixed, it is fixed but still contained, or it could not be verified this last time either.
    """
    run = current()
    contained = is_contained(run.services.ledger, run.response)
    ended = ResponseEnded(result=result, reason=reason, contained=contained)
    if started_by(run.services.ledger, run.response.id) != SWEEP:
        return _end(run, ended)
    looks = max(looks_again(run.services.ledger, case) for case in run.response.cases)
    if result == VerdictKind.UNVERIFIABLE:
        if looks < run.runbook.verify.looks_again:
            return _end(run, ended)
        result, reason = "person", f"it was looked at {looks} times again, and could not be verified: {reason}"
    if result == VerdictKind.FIXED and not contained:
        return _end(run, ended)
    return _hand_over(run, result, reason)


@visible("hand-over", "Hand over to a person: {result}")
def hand_over(result: str, reason: str) -> ResponseEnded:
    """End a response that needs a person: nothing more is done, what is contained stays so, and a ticket says it."""
    return _hand_over(current(), result, reason)


def _hand_over(run: Run, result: str, reason: str) -> ResponseEnded:
    history = run.history()
    contained = is_contained(run.services.ledger, run.response)
    ended = ResponseEnded(result=result, reason=reason or result, contained=contained)
    undelivered(lambda: post_once(run, "person", note(f"A person is needed: {result}. {ended.reason}")))
    ticket = person_ticket(
        ended, history, run.keys, tuple(_verdicts(run, history).values()), run.runbook, run_url=run_url(run)
    )
    _open_linked(run, "person", ticket)
    return _end(run, ended)


@visible("post-mortem", "Write the post-mortem")
def close_with_post_mortem() -> ResponseEnded:
    """End a response whose cases are fixed: the post-mortem ticket, the outcome in the thread, the cases closed."""
    run = current()
    history = run.history()
    released = history.phase_ended(Phase.RELEASE)
    contained = is_contained(run.services.ledger, run.response)
    reason = "every case is fixed, and the evidence agrees"
    if over := rightly_left_alone(run, history):
        others = counted(len(over), "other case")
        reason = "every case that was acted upon is fixed, and the evidence agrees"
        reason += f"; triage left nothing to do in {others}: {listed(dict.fromkeys(over.values()))}"
    if contained:
        kept = released is not None and released.result == "not-needed"
        reason += (
            "; the replaced instance stays contained, as evidence" if kept else "; the containment is still in place"
        )
    ended = ResponseEnded(result="fixed", reason=reason, contained=contained)
    return _end(run, ended)


@visible("end-release", "End of the release")
def conclude_release(ended: PhaseEnded) -> ResponseEnded:
    """End a release: closed when everything is back as it was, handed over when something is not."""
    run = current()
    if ended.result in ("done", "not-needed"):
        word = "released" if ended.result == "done" else "nothing-to-do"
        detail = ended.detail or ("everything is as it was" if ended.result == "done" else "nothing was contained")
        return _end(run, ResponseEnded(result=word, reason=detail, contained=False))
    contained = is_contained(run.services.ledger, run.response)
    return _end(run, ResponseEnded(result=ended.result, reason=ended.detail or ended.result, contained=contained))


def _end(run: Run, ended: ResponseEnded) -> ResponseEnded:
    """The post-mortem and the outcome are told first; the end itself is written last, and frees the cases."""
    history = _as_ended(run, ended)
    verdicts = _verdicts(run, history)
    if run.response.purpose == "respond" and ended.result != "nothing-to-do" and run.runbook.playbook != "ticket":
        _write_post_mortem(run, history, verdicts)
    took = run.now() - history.entries[0].at
    alert, post_mortem = ticket_of(run.response.id, history), ticket_of(run.response.id, history, "post-mortem")
    message = outcome_message(
        ended,
        tuple(verdicts.values()),
        run.keys,
        took=took,
        run_url=run_url(run),
        ticket_url=alert.url if alert else None,
        post_mortem_url=post_mortem.url if post_mortem else artifact_url(run, "post-mortem"),
    )
    undelivered(lambda: post_once(run, "outcome", message))
    # What comes while Jira is told keeps its case open; which those are, the ledger says as it ends the response.
    closing = _closing(run, ended, history, verdicts)
    for ticket in _alerts_of(run, closing):
        _resolve(run, ticket)
    run.services.ledger.end_response(run.response.id, ended, closing, lease=run.lease)
    return ended


def _open_linked(run: Run, subject: str, ticket: Ticket) -> None:
    """Open a ticket, linked to the alert's. Where nothing has moved for long, the response ends without it."""

    def open_ticket() -> None:
        made, alert = create_once(run, subject, ticket), ticket_of(run.response.id, run.history())
        if made is not None and alert is not None and run.services.jira is not None:
            run.services.jira.link(made.key, alert.key, "Relates")

    if exhausted(run):
        undelivered(open_ticket)
    else:
        open_ticket()


def _alerts_of(run: Run, closing: Mapping[str, str]) -> list[TicketRef]:
    """The alerts' tickets of the cases that close, those of whose cases none stays open.

    Of each case this response's own, or that of the playbook before it; where the ticket is all there is, every one
    that was opened about it.
    """
    played: dict[str, ResponseRow] = {}
    for row in responses_of(run.services.ledger, tuple(closing)):
        if row.purpose == "respond":
            theirs = {row.id} if run.runbook.playbook == "ticket" else set(row.cases) & closing.keys()
            played |= dict.fromkeys(theirs, row)
    newest = {row.id: row for row in played.values()}.values()
    over = [row for row in newest if all(_is_over(run, case, closing) for case in row.cases)]
    tickets = [ticket_of(row.id, read_history(run.services.ledger, row.id)) for row in over]
    return [ticket for ticket in tickets if ticket is not None]


def _is_over(run: Run, case: str, closing: Mapping[str, str]) -> bool:
    row = run.services.ledger.case(case)
    return case in closing or row is None or row.status == "closed"


def _resolve(run: Run, ticket: TicketRef) -> None:
    """Move the alert's ticket to Done; a workflow that knows no such move leaves that to a person."""
    try:
        if run.services.jira is not None:
            run.services.jira.transition(ticket.key, "Done")
    except Outside as error:
        if error.code != "jira-no-such-transition":
            raise


def _closing(
    run: Run, ended: ResponseEnded, history: ResponseHistory, verdicts: Mapping[str, Verdict]
) -> dict[str, str]:
    """The cases that are over, each with its reason: proven fixed and not contained, or rightly left alone."""
    if ended.contained:
        return {}
    match run.response.purpose, ended.result:
        case "respond" | "verify", _:
            over = rightly_left_alone(run, history) | dict.fromkeys(_fixed(verdicts), "fixed")
        case "release", "released" if not _puts_remedy_back(run, history):
            newest = {case: newest_verdict(run.services, case) for case in run.response.cases}
            over = dict.fromkeys(_fixed(newest), "fixed and released")
        case _:
            over = {}
    return {case: why for case, why in over.items() if not latecomers(run.services.ledger, case)}


def _puts_remedy_back(run: Run, history: ResponseHistory) -> bool:
    """Whether the remediation itself is put back: of a network case it is, and the way in is open again; of a function
    it may be, which is vulnerable again then.
    """
    plan = history.plan(Phase.RELEASE)
    return run.runbook.playbook == "network" or any(step.role is Role.PATCH for step in (plan.steps if plan else ()))


def _fixed(verdicts: Mapping[str, Verdict | None]) -> list[str]:
    return [case for case, verdict in verdicts.items() if verdict is not None and verdict.kind is VerdictKind.FIXED]


def _write_post_mortem(run: Run, history: ResponseHistory, verdicts: Mapping[str, Verdict]) -> PostMortem:
    known = assessments_of(run.services.ledger, run.response.id, run.response.cases)
    entries = [each for case in run.response.cases for each in _since_opened(run, case)]
    post_mortem = write_post_mortem(
        history,
        run.keys,
        findings_of(run),
        tuple(known.values()),
        tuple(verdicts.values()),
        run.runbook,
        case_entries=entries,
    )
    show.post_mortem(run, post_mortem_markdown(post_mortem))
    if run.runbook.post_mortem.ticket:
        _open_linked(run, "post-mortem", post_mortem_ticket(post_mortem))
    return post_mortem


def _as_ended(run: Run, ended: ResponseEnded) -> ResponseHistory:
    """The history as it will read once the end is written; a replay after a crash ends it again with the same words."""
    history = run.history()
    return fold([*history.entries, Dated(at=run.now(), record=ended)])


def _since_opened(run: Run, case: str) -> list[Dated]:
    entries = dated(run.services.ledger.entries(case_stream(case)))
    opened = max((place for place, each in enumerate(entries) if isinstance(each.record, CaseOpened)), default=0)
    return entries[opened:]


def _verdicts(run: Run, history: ResponseHistory) -> dict[str, Verdict]:
    return verdicts_on(run.services, run.response, history.plan(Phase.REMEDIATE))
