"""Whether a plan may run: what the executor asks before anything is looked at.

It rests on signed entries alone: the tables beside them can be written by whoever owns the database, and so can an
entry, but not its signature.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from runbooks.case import response_stream
from runbooks.errors import NotApproved
from runbooks.history import ResponseHistory
from runbooks.plan import Phase, Plan
from runbooks.records import AnswerGiven, Decision, Intent, PlanMade
from runbooks.registry import Registry
from runbooks.signing import Signer
from runbooks.weighing import is_starter
from runbooks.windows import usable_until
from tasks.program import code_digest
from tasks.registering import registry
from tasks.services import Services


@dataclass(frozen=True)
class Trust:
    """What a decision is held against."""

    signer: Signer
    registry: Registry
    code: str = ""
    """Digest of the program that would carry the plan out."""


def trust_now(have: Services) -> Trust:
    """The signer, the approvers as they stand now, and this program.

    Raises:
        Unsafe: there is no signing key.
    """
    signer = have.signer
    return Trust(signer, registry(have), code_digest())


def authorise(history: ResponseHistory, plan: Plan, now: datetime, trust: Trust) -> None:
    """Check that the ledger holds a valid approval of this very plan.

    Raises:
        NotApproved: `not-approved`: there is none, or it is for another plan. `forged`: what stands there was not
            written by this system. `expired`, `revoked`, `code-changed`: it does not hold any more, and the plan's
            first change has not been made.
    """
    digest = plan.digest
    require_ours(history, plan, trust.signer)
    decision = history.decisions.get(digest)
    if decision is None or decision.answer != "approved":
        raise NotApproved(f"plan {plan.short_digest} is not approved")
    if not trust.signer.verifies(response_stream(plan.response), decision):
        raise NotApproved(f"the decision on plan {plan.short_digest} in the ledger is forged", code="forged")
    spent = has_begun(history, plan, trust.signer)
    if not spent and plan.code and plan.code != trust.code:
        raise NotApproved(f"plan {plan.short_digest} was made by another version of this program", code="code-changed")
    match decision.channel:
        case "plan":
            _rests_on(history, plan, trust)
        case "runbook":
            _is_pre_authorised(history, plan, decision, None if spent else now)
        case _:
            answers = _answers_for(history, plan, decision, trust)
            if not spent:
                _still_holds(history, plan, answers, now, trust)


def has_begun(history: ResponseHistory, plan: Plan, signer: Signer, *, wave: int | None = None) -> bool:
    """Whether the first change has been made, of the plan or of one of its waves. Only an intent of our own says so.

    The plan's first change spends its approval.
    """
    stream = response_stream(plan.response)
    theirs = {plan.operation(step) for step in plan.steps if wave in (None, plan.wave_of(step))}
    intents = (each.record for each in history.entries if isinstance(each.record, Intent))
    return any(each.operation in theirs and signer.verifies(stream, each) for each in intents)


def yes_ends_at(history: ResponseHistory, plan: Plan, trust: Trust) -> datetime | None:
    """When the yes of the plan's approvers ends; None where it holds for good, or nobody was asked.

    It holds for good once the plan's first change has been made.

    Raises:
        NotApproved: there is no valid yes of theirs.
    """
    decision = history.decisions.get(plan.digest)
    asked = decision is not None and decision.channel not in ("plan", "runbook")
    if decision is None or not asked or has_begun(history, plan, trust.signer):
        return None
    return _deadline(history, plan, _answers_for(history, plan, decision, trust))


def require_ours(history: ResponseHistory, plan: Plan, signer: Signer) -> None:
    """That this system has made the plan, and started the response.

    A plan that nobody need be asked about would otherwise be whatever somebody wrote into the database; and so would be
    who started the response, and may therefore not approve it.

    Raises:
        NotApproved: the ledger does not have the plan, or it or the beginning is `forged`.
    """
    if history.plans.get(plan.digest) != plan:
        raise NotApproved(f"the ledger has no plan of digest {plan.short_digest}: nothing runs that was not shown")
    stream = response_stream(plan.response)
    if history.started is None or not all(signer.verifies(stream, each) for each in (history.started, *history.joined)):
        raise NotApproved(f"the beginning of {plan.response} in the ledger is forged", code="forged")
    made = (each.record for each in history.entries if isinstance(each.record, PlanMade) and each.record.plan == plan)
    if not any(signer.verifies(stream, each) for each in made):
        raise NotApproved(f"plan {plan.short_digest} in the ledger is forged", code="forged")


def _answers_for(history: ResponseHistory, plan: Plan, decision: Decision, trust: Trust) -> list[AnswerGiven]:
    """The signed answers behind the decision: a yes of each of its approvers, as many as the plan asks for."""
    stream, names = response_stream(plan.response), decision.approvers
    answers: list[AnswerGiven] = []
    for name in names:
        said_yes = (
            each
            for each in history.answers.get(plan.digest, [])
            if each.counts and each.says == "approve" and each.approver == name and trust.signer.verifies(stream, each)
        )
        answer = next(said_yes, None)
        if answer is None:
            raise NotApproved(f"no answer of {name} to plan {plan.short_digest} is in the ledger", code="forged")
        standing = trust.registry.named(name)
        if is_starter(name, standing.approver.logins if standing else (), history):
            raise NotApproved(f"{name} started the response, and cannot approve it too", code="self-approval")
        answers.append(answer)
    different = len({name.casefold() for name in names})
    if different < len(names) or different < max(plan.approval.quorum, 1):
        raise NotApproved(
            f"plan {plan.short_digest} needs the yes of {plan.approval.quorum} different people, and has {different}"
        )
    return answers


def _still_holds(history: ResponseHistory, plan: Plan, answers: list[AnswerGiven], now: datetime, trust: Trust) -> None:
    """What must be so until the plan's first change, which spends the approval."""
    for answer in answers:
        standing = trust.registry.named(answer.approver or "")
        if standing is None or not standing.believed:
            raise NotApproved(f"{answer.approver} is no approver any more", code="revoked")
    if now > _deadline(history, plan, answers):
        raise NotApproved(f"the approval of plan {plan.short_digest} expired before its first change", code="expired")


def _deadline(history: ResponseHistory, plan: Plan, answers: list[AnswerGiven]) -> datetime:
    """Until when the first change must be made: what the question said, and never later than the signed answers allow.

    The question is not signed. The plan and the answers are: from the last yes on it is the plan's time, or to the end
    of the window that is open after that or comes next.
    """
    said_yes = max(answer.submitted_at for answer in answers)
    latest = usable_until(plan.windows, said_yes + timedelta(minutes=plan.approval.expires_minutes))
    asked = [each.act_until or each.expires_at for each in history.questions.get(plan.digest, [])]
    return min(max(asked, default=said_yes), latest)


def _is_pre_authorised(history: ResponseHistory, plan: Plan, decision: Decision, now: datetime | None) -> None:
    """What nobody was asked about holds no longer than an answer would; `now` is None after the first change."""
    if plan.approval.pre_authorised is None or plan.phase is not Phase.CONTAIN:
        raise NotApproved(f"nobody has authorised plan {plan.short_digest} beforehand")
    decided = next(each.at for each in history.entries if each.record == decision)
    if now is not None and now > decided + timedelta(minutes=plan.approval.expires_minutes):
        raise NotApproved(f"the approval of plan {plan.short_digest} expired before its first change", code="expired")


def _rests_on(history: ResponseHistory, plan: Plan, trust: Trust) -> None:
    """A plan that nobody was asked about: its runbook asks for no approval, or an approved plan said so."""
    if plan.approval.required:
        raise NotApproved(f"plan {plan.short_digest} needs a person's yes")
    covering = plan.approval.covered_by
    if covering is None:
        return
    said, decision = history.plans.get(covering), history.decisions.get(covering)
    if said is None or not said.releases_when_fixed or decision is None or decision.answer != "approved":
        raise NotApproved(
            f"plan {plan.short_digest} rests on {covering[:12]}, which was not approved to release by itself"
        )
    require_ours(history, said, trust.signer)
    if said.digest != covering or not trust.signer.verifies(response_stream(plan.response), decision):
        raise NotApproved(f"the decision on plan {covering[:12]} in the ledger is forged", code="forged")
    if decision.channel not in ("plan", "runbook"):
        _answers_for(history, said, decision, trust)
