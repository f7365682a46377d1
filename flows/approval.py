"""Asking a person: the run suspends with a form, and nothing in the form approves by default.

The form carries the answer; it is not the authority. The answer is verified and written to the ledger, and the
executor acts on what the ledger says. The form does not require name and code, so that whoever answers through another
door can wake the run by resuming it; an answer needs them.
"""

from __future__ import annotations

from typing import Literal

from prefect.flow_runs import asuspend_flow_run
from prefect.input import RunInput
from pydantic import Field

from runbooks.plan import Plan
from runbooks.records import Decision
from runbooks.telling.plan_text import plan_markdown
from tasks.approving import (
    ask_for_approval,
    decision_on,
    open_question,
    overtaken_questions,
    record_answer,
    record_standing_approval,
    say_who_decided,
)
from tasks.flow_runs import Given, given_answer
from tasks.pre_authorising import goes_unasked
from tasks.run import current

MOST_STEPS_IN_FORM = 60
"""Beyond this the form counts the steps by kind; the plan's artifact shows every one."""


class ApprovalForm(RunInput):
    """What the approver fills in. Silence is no answer, and there is no default that approves."""

    decision: Literal["approve", "reject"] = Field(
        title="Decision",
        # In the Prefect UI of version 1 a click into the middle of a choice opens it and closes it again.
        description="approve: the steps above, and no others; reject: none. The arrows at the right open it.",
        json_schema_extra={"position": 0},
    )
    approver: str = Field(
        default="",
        title="Approver",
        description="Your name, as you are registered; without it this is no answer",
        max_length=120,
        json_schema_extra={"position": 1},
    )
    one_time_code: str = Field(
        default="",
        title="One-time code",
        description="The six digits that your authenticator shows now",
        max_length=20,
        json_schema_extra={"position": 2},
    )
    comment: str = Field(
        default="",
        title="Comment",
        description="Why, for those who ask later",
        max_length=1000,
        json_schema_extra={"position": 3},
    )


async def obtain_decision(plan: Plan) -> Decision:
    """The decision that settles this very plan; the run suspends until there is one.

    An answer that was given to a run which died before it could record it still counts: it is read from that run. A
    run that is woken without an answer finds in the ledger what was decided through another door, or asks again.
    """
    for old, attempt, asked_by in overtaken_questions(plan):
        if (given := await given_answer(asked_by, f"{old.digest}-{attempt}")) is not None:
            record_answer(old, attempt, given)
    while (decision := decision_on(plan)) is None:
        if not plan.approval.required or goes_unasked(plan):
            record_standing_approval(plan)
            continue
        attempt, asked_by = open_question(plan)
        key = f"{plan.digest}-{attempt}"
        given = await given_answer(asked_by, key) if asked_by else None
        if given is None:
            if not ask_for_approval(plan, attempt):
                continue
            run = current()
            before = run.history().plans.get(plan.previous or "")
            shown = plan_markdown(plan, keys=run.keys, most_steps=MOST_STEPS_IN_FORM, previous=before, now=run.now())
            form = ApprovalForm.with_initial_data(description=shown)
            filled_in = await asuspend_flow_run(wait_for_input=form, key=key, timeout=None)
            given = Given(filled_in.model_dump(), at=None)
        record_answer(plan, attempt, given)
    say_who_decided(plan, decision)
    return decision
