"""Answering in Slack: the buttons below a question, the modal that asks for a one-time code, and what is said back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from runbooks.approval import LONGEST_COMMENT
from runbooks.case import CaseKey
from runbooks.model import Model
from runbooks.plan import Plan
from runbooks.records import AnswerGiven, Decision
from runbooks.telling.blocks import Block, answer_button, context, list_of, section
from runbooks.telling.escaping import fitted, plain, slack, slack_code
from runbooks.telling.plan_text import plan_title
from runbooks.telling.plan_words import blast_radius
from runbooks.telling.words import counted

APPROVE, REJECT = "approve-plan", "reject-plan"
"""The action ids of the buttons that answer by themselves."""
APPROVE_WITH_CODE = "approve-plan-with-code"
"""The action id of the button that opens the modal, and the modal's callback id."""
CODE, COMMENT = "one-time-code", "comment"
"""The modal's inputs, by block id and action id alike."""

_TITLE_LIMIT = 24
_TEXT_LIMIT = 500
_VALUE = re.compile(r"(?P<response>[A-Za-z0-9._-]{1,100})\|(?P<digest>[0-9a-f]{64})")


class PlanRef(Model):
    """Which plan of which response an answer is about. The digest says it all; the response is where to look."""

    response: str
    digest: str


def answer_value(plan: Plan) -> str:
    """What a button or a modal carries, and brings back."""
    return f"{plan.response}|{plan.digest}"


def read_answer_value(value: str) -> PlanRef | None:
    """What `answer_value` made; None of anything else."""
    found = _VALUE.fullmatch(value)
    return PlanRef.model_validate(found.groupdict()) if found else None


def answer_buttons(plan: Plan, keys: Mapping[str, CaseKey]) -> tuple[Block, ...]:
    """Approve and Reject, each asking again with what it is about. A rejection never needs a code."""
    what = plan_title(plan, keys)
    no = f"{what}: nothing of this plan will be done. Plan {plan.short_digest}."
    reject = answer_button("Reject", REJECT, answer_value(plan), no)
    if not plan.approval.slack_suffices:
        # The modal says what it is about, and is the second question.
        return answer_button("Approve with a code", APPROVE_WITH_CODE, answer_value(plan), style="danger"), reject
    yes = f"{what}: {counted(len(plan.steps), 'step')}. Plan {plan.short_digest}."
    return answer_button("Approve", APPROVE, answer_value(plan), yes, style="danger"), reject


def code_view(plan: Plan, keys: Mapping[str, CaseKey]) -> dict[str, Any]:
    """The modal that repeats what is about to be approved and asks for a one-time code."""
    return {
        **_view("Approve with a code"),
        "callback_id": APPROVE_WITH_CODE,
        "private_metadata": answer_value(plan),
        "submit": _plain("Approve"),
        "close": _plain("Not now"),
        "blocks": [
            section(f"*{fitted(plan_title(plan, keys), _TEXT_LIMIT, slack)}*", counted(len(plan.steps), "step")),
            *list_of("How much of what there is", list(blast_radius(plan))),
            context(f"Plan {slack_code(plan.digest)}"),
            {
                "type": "input",
                "block_id": CODE,
                "label": _plain("One-time code"),
                "hint": _plain("The six digits that your authenticator shows now. Each code counts once."),
                "element": {"type": "plain_text_input", "action_id": CODE, "max_length": 20},
            },
            {
                "type": "input",
                "block_id": COMMENT,
                "optional": True,
                "label": _plain("Comment"),
                "element": {"type": "plain_text_input", "action_id": COMMENT, "max_length": LONGEST_COMMENT},
            },
        ],
    }


def said_view(answer: AnswerGiven, decision: Decision | None) -> dict[str, Any]:
    """What takes the modal's place once the answer counts."""
    return {
        **_view("Recorded"),
        "close": _plain("Close"),
        "blocks": [section(fitted(said_back(answer, decision), _TEXT_LIMIT, slack))],
    }


def said_back(answer: AnswerGiven, decision: Decision | None) -> str:
    """What became of an answer, for who gave it: plain words, without a code or a name that they did not give."""
    plan = f"Plan {answer.digest[:12]}"
    if not answer.counts:
        return f"Not accepted: {answer.reason or answer.code}. {plan} is as it was."
    if decision is not None and decision.answer == "approved":
        return f"Recorded: you approved. {plan} goes ahead."
    if decision is not None and decision.answer == "rejected":
        return f"Recorded: you rejected. Nothing of {plan.lower()} will be done."
    return f"Recorded: your yes counts. {plan} needs a different person's yes too."


def _view(title: str) -> dict[str, Any]:
    return {"type": "modal", "title": _plain(fitted(title, _TITLE_LIMIT, plain))}


def _plain(text: str) -> Block:
    return {"type": "plain_text", "text": text}
