"""Answers, through whichever door: verified once, when they are handed in, and written down whatever they amount to."""

from __future__ import annotations

from contextlib import suppress

from runbooks.approval import Submission
from runbooks.case import APPROVERS_STREAM, response_stream
from runbooks.errors import NotFound, Overtaken
from runbooks.history import fold
from runbooks.model import Model
from runbooks.records import AnswerGiven, Decision, Record
from runbooks.weighing import weigh
from tasks.journal import dated
from tasks.registering import registry
from tasks.services import Services

MOST_READINGS = 10
"""How often the streams are read again because somebody else wrote to them meanwhile."""


class Answered(Model):
    """What became of an answer."""

    answer: AnswerGiven
    decision: Decision | None
    """Settles the question; `invalid` only closes the form it came with. None: the question is as open as it was."""


def submit(have: Services, submission: Submission) -> Answered:
    """Verify an answer and write it down, with the decision it leads to, in one commit.

    Both streams are as they were read when it is written: a code counts once, however many processes are given it.
    Whoever submits wakes the response's run afterwards (`tasks.flow_runs.wake`), if there is a decision.

    Raises:
        NotFound: there is no such response.
        Unsafe: there is no signing key.
        Overtaken: others write without a pause; nothing was written.
    """
    for _ in range(MOST_READINGS - 1):
        with suppress(Overtaken):
            return _submit(have, submission)
    return _submit(have, submission)


def settle(have: Services, response: str, decision: Decision) -> bool:
    """Sign a decision that no person's answer led to, and write it down, once for its question.

    Returns:
        False, with nothing written, when the question was answered or superseded before.

    Raises:
        Refused: the response has ended.
        Unsafe: there is no signing key.
    """
    return have.ledger.decide(response, have.signer.signed(response_stream(response), decision))


def _submit(have: Services, submission: Submission) -> Answered:
    stream = response_stream(submission.response)
    approvers, answers = registry(have), have.ledger.entries(stream)
    history = fold(dated(answers))
    if history.started is None:
        raise NotFound(f"there is no response {submission.response}", code="no-such-response")
    found = weigh(submission, history, approvers, have.signer, have.now())
    written: dict[str, list[Record]] = {stream: [found.answer]}
    if found.decision is not None:
        written[stream].append(found.decision)
    if found.tried is not None:
        written[APPROVERS_STREAM] = [found.tried]
    have.ledger.append_after({stream: answers[-1].sequence, APPROVERS_STREAM: approvers.head}, written)
    return Answered(answer=found.answer, decision=found.decision)
