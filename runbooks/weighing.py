"""Weighing an answer: it counts only when everything about it holds, and it is written down either way.

What a submission amounts to follows from two streams alone: the response's (which plan, which question, who started it,
who said yes before) and the approvers' (who may, which codes are used up). A code that is right is used up by any
submission, whatever else is wrong with it: whoever has seen it has seen an old one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from runbooks.approval import LONGEST_COMMENT, LONGEST_NAME, Refusal, Submission
from runbooks.case import response_stream
from runbooks.codes import timecode_of
from runbooks.history import ResponseHistory
from runbooks.plan import Plan
from runbooks.records import AnswerGiven, ApprovalAsked, CodeTried, Decision
from runbooks.registry import Registry, Standing
from runbooks.signing import Signer

UNKNOWN = "unknown"
"""The environment of a plan that names none: only a grant for every environment, or for this word, covers it."""


@dataclass(frozen=True)
class Weighed:
    """What an answer amounts to: signed records, to be written together."""

    answer: AnswerGiven
    tried: CodeTried | None
    """For the approvers' stream, where a code was given in the name of someone who is registered."""
    decision: Decision | None
    """What settles the question, or closes a form that settled nothing."""


def weigh(
    submission: Submission, history: ResponseHistory, registry: Registry, signer: Signer, now: datetime
) -> Weighed:
    """What the answer amounts to, by the rules of its plan.

    Args:
        history: of the response that the submission names.
        now: a submission that says it is later counts as of now.

    Raises:
        InvalidSetting: an approver's secret does not open with the signing key.
    """
    return _Weighing(submission, history, registry, signer, now).weighed()


@dataclass(frozen=True)
class _Proof:
    """What proves who answers."""

    factor: Literal["code", "slack", "none"] = "none"
    refusal: Refusal | None = None
    tried: CodeTried | None = None


class _Weighing:
    def __init__(
        self, submission: Submission, history: ResponseHistory, registry: Registry, signer: Signer, now: datetime
    ) -> None:
        self._said = submission
        self._history = history
        self._registry = registry
        self._signer = signer
        self._stream = response_stream(submission.response)
        self._plan = history.plans.get(submission.digest)
        self._asked = next(reversed(history.questions.get(submission.digest, [])), None)
        self._attempt = submission.attempt or (self._asked.attempt if self._asked else 0)
        # A code is not as old as its question: one that was fresh before is not made to count by a false time.
        self._at = max(min(submission.submitted_at, now), min(_asked_at(history, self._asked), now))
        self._who = self._find()
        self._proof = self._prove()

    def weighed(self) -> Weighed:
        refusal = next(self._refusals(), None)
        proven = self._who.approver.name if self._who and self._proof.factor != "none" else None
        answer = AnswerGiven(
            digest=self._said.digest,
            attempt=self._attempt,
            says=self._said.says,
            counts=refusal is None,
            claimed=self._without_code(self._said.claimed, LONGEST_NAME),
            approver=proven,
            channel=self._said.channel,
            factor=self._proof.factor,
            submitted_at=self._at,
            request=self._said.request,
            comment=self._without_code(self._said.comment, LONGEST_COMMENT),
            code=refusal[0].value if refusal else "",
            reason=refusal[1] if refusal else "",
        )
        decision = self._decision(answer)
        tried = self._registry.signed_next(self._signer, self._proof.tried)[0] if self._proof.tried else None
        assert tried is None or isinstance(tried, CodeTried)
        return Weighed(
            answer=self._signer.signed(self._stream, answer),
            tried=tried,
            decision=self._signer.signed(self._stream, decision) if decision else None,
        )

    def _find(self) -> Standing | None:
        if self._said.channel == "slack":
            identity = self._said.slack
            return self._registry.of_slack(identity.user, identity.team) if identity else None
        return self._registry.named(self._said.claimed)

    def _prove(self) -> _Proof:
        """Check the code, if there is one, whatever else may be wrong: a right one is used up by it."""
        said, who = self._said, self._who
        if who is None or not who.believed or who.locked:
            return _Proof()
        if said.code is None:
            suffices = said.says == "reject" or (self._plan is not None and self._plan.approval.slack_suffices)
            from_slack = said.channel == "slack"
            return _Proof(factor="slack") if from_slack and suffices else _Proof(refusal=Refusal.CODE_MISSING)
        name, response = who.approver.name, said.response
        timecode = timecode_of(self._signer.reveal(who.approver.secret), said.code.get_secret_value(), self._at)
        if timecode is None or timecode <= who.last_timecode:
            refusal = Refusal.WRONG_CODE if timecode is None else Refusal.USED_CODE
            return _Proof(refusal=refusal, tried=CodeTried(name=name, accepted=False, response=response))
        tried = CodeTried(name=name, accepted=True, timecode=timecode, response=response)
        return _Proof(factor="code", tried=tried)

    def _refusals(self) -> Iterator[tuple[Refusal, str]]:
        """Everything that keeps the answer from counting: first about the question, then who, then whether they may."""
        yield from self._about_the_question()
        yield from self._about_who()
        if self._who is not None and self._plan is not None:
            yield from self._about_entitlement(self._who, self._plan)

    def _about_the_question(self) -> Iterator[tuple[Refusal, str]]:
        said, history, plan = self._said, self._history, self._plan
        if plan is None:
            yield Refusal.UNKNOWN_PLAN, f"the response has no plan of digest {said.digest[:12]}"
        elif said.digest in history.decisions or history.ended or history.phase_ended(plan.phase):
            yield Refusal.SETTLED, "the question has been decided, or its response has ended"
        elif history.plan(plan.phase) != plan:
            yield Refusal.STALE_PLAN, f"another plan has taken the place of {plan.short_digest}"
        elif self._asked is None:
            yield Refusal.NOT_ASKED, f"nobody was asked about plan {plan.short_digest}"
        elif said.request and any(each.request == said.request for each in self._answers()):
            yield Refusal.REPLAYED, "this very submission was handed in before"
        elif said.attempt is not None and not self._form_is_open():
            yield Refusal.STALE_QUESTION, f"form {said.attempt} of this plan is not open"
        elif self._is_late():
            yield Refusal.EXPIRED, f"the question was open until {self._asked.expires_at:%Y-%m-%d %H:%M} UTC"
        if not said.says:
            yield Refusal.NO_ANSWER, "what was submitted says neither yes nor no, or not who says it"

    def _about_who(self) -> Iterator[tuple[Refusal, str]]:
        who = self._who
        claimed = self._without_code(self._said.claimed, LONGEST_NAME).strip() or "nobody"
        if who is None:
            yield Refusal.NOT_REGISTERED, f"{claimed} is no registered approver"
        elif who.revoked:
            yield Refusal.REVOKED, f"{who.approver.name} is no longer an approver"
        elif who.doubtful:
            yield (
                Refusal.DOUBTFUL,
                f"the record of approvers was tampered with: {who.approver.name} must be added again",
            )
        elif who.locked:
            yield Refusal.LOCKED, f"{who.approver.name} is locked after {who.wrong_codes} wrong codes in a row"
        elif self._proof.refusal is not None:
            yield self._proof.refusal, _PROOF_WORDS[self._proof.refusal]

    def _about_entitlement(self, who: Standing, plan: Plan) -> Iterator[tuple[Refusal, str]]:
        approver, said = who.approver, self._said
        named = {name.casefold() for name in plan.approval.approvers}
        if named and approver.name.casefold() not in named:
            yield Refusal.NOT_NAMED, f"{approver.name} is not among the approvers that the runbook names"
        environments = plan.environments or (UNKNOWN,)
        missing = [each for each in environments if not approver.may_approve(plan.phase, each)]
        if missing:
            yield Refusal.NOT_GRANTED, f"{approver.name} may not approve to {plan.phase} in {', '.join(missing)}"
        if said.says == "approve":
            if is_starter(approver.name, approver.logins, self._history):
                yield Refusal.SELF_APPROVAL, f"{approver.name} started this response: a different person approves it"
            if approver.name.casefold() in map(str.casefold, self._said_yes()):
                yield Refusal.SAME_PERSON, f"{approver.name} has said yes to it before: a different person is needed"

    def _decision(self, answer: AnswerGiven) -> Decision | None:
        plan, said = self._plan, self._said
        if not answer.counts or plan is None:
            return self._closed(answer)
        yes = (*self._said_yes(), answer.approver or "")
        if said.says == "approve" and len(yes) < plan.approval.quorum:
            missing = plan.approval.quorum - len(yes)
            words = "a different person's yes is" if missing == 1 else f"{missing} different people's yeses are"
            return self._form_closed(f"counted: {len(yes)} of {plan.approval.quorum}; {words} needed too")
        return Decision(
            digest=said.digest,
            attempt=answer.attempt,
            answer="approved" if said.says == "approve" else "rejected",
            approver=answer.approver,
            approvers=yes if said.says == "approve" else (),
            channel=said.channel,
            comment=answer.comment,
        )

    def _closed(self, answer: AnswerGiven) -> Decision | None:
        """A refused answer settles nothing, but that the question's time is over."""
        if answer.code == Refusal.EXPIRED:
            return Decision(
                digest=answer.digest,
                attempt=answer.attempt,
                answer="expired",
                approver=None,
                channel=answer.channel,
                reason=answer.reason,
            )
        return self._form_closed(f"{answer.code}: {answer.reason}")

    def _form_closed(self, reason: str) -> Decision | None:
        """A form is answered once: it is asked again under the next number. Other doors stay open."""
        if self._said.attempt is None or self._plan is None or not self._form_is_open():
            return None
        if self._said.digest in self._history.decisions or self._history.ended:
            return None
        return Decision(
            digest=self._said.digest,
            attempt=self._said.attempt,
            answer="invalid",
            approver=None,
            channel=self._said.channel,
            reason=reason,
        )

    def _said_yes(self) -> tuple[str, ...]:
        """Whose yes to this plan counts so far, and still would."""
        return approvers_of(self._history, self._said.digest, self._stream, self._registry, self._signer)

    def _answers(self) -> list[AnswerGiven]:
        return [answer for answers in self._history.answers.values() for answer in answers]

    def _form_is_open(self) -> bool:
        asked = {each.attempt for each in self._history.questions.get(self._said.digest, [])}
        answered = {each.attempt for each in self._history.refused.get(self._said.digest, [])}
        return self._said.attempt in asked - answered

    def _is_late(self) -> bool:
        return self._asked is not None and self._at > self._asked.expires_at

    def _without_code(self, text: str, longest: int) -> str:
        """The text as it may be written down: a code that was typed into the wrong field is left out."""
        code = self._said.code.get_secret_value().strip() if self._said.code else ""
        return (text.replace(code, "(code)") if code else text)[:longest]


def approvers_of(
    history: ResponseHistory, digest: str, stream: str, registry: Registry | None, signer: Signer
) -> tuple[str, ...]:
    """The names of those whose signed yes to this plan counts, each once; with a registry, those who still may."""
    names = {
        answer.approver: None
        for answer in history.answers.get(digest, [])
        if answer.counts and answer.says == "approve" and answer.approver and signer.verifies(stream, answer)
    }
    if registry is None:
        return tuple(names)
    return tuple(name for name in names if (standing := registry.named(name)) is not None and standing.believed)


def is_starter(name: str, logins: tuple[str, ...], history: ResponseHistory) -> bool:
    """Whether this person's command started the response, or had a case join it."""
    started_by = (history.started.started_by if history.started else "", *(each.joined_by for each in history.joined))
    names = {f"command:{each}".casefold() for each in (name, *logins)}
    return any(each.casefold() in names for each in started_by)


def _asked_at(history: ResponseHistory, asked: ApprovalAsked | None) -> datetime:
    """When the question was first asked under its number."""
    moments = [
        dated.at
        for dated in history.entries
        if asked is not None
        and isinstance(dated.record, ApprovalAsked)
        and (dated.record.digest, dated.record.attempt) == (asked.digest, asked.attempt)
    ]
    return min(moments, default=history.entries[0].at)


_PROOF_WORDS = {
    Refusal.CODE_MISSING: "a one-time code is needed",
    Refusal.WRONG_CODE: "the one-time code is wrong, or not of this time",
    Refusal.USED_CODE: "this one-time code, or a later one, was used before",
}
