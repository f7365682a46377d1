"""Asking a person: the run suspends with a form, and nothing in the form approves by default.

The form carries the answer; it is not the authority. The answer is verified and written to the ledger, and the
executor acts on what the ledger says.
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
    record_answer,
    record_standing_approval,
)
from tasks.flow_runs import given_answer
from tasks.run import current

MOST_STEPS_IN_FORM = 60
"""Beyond this the form counts the steps by kind; the plan's artifact shows every one."""


class ApprovalForm(RunInput):
    """What the approver fills in. Silence is no answer, and there is no default that approves."""

    decision: Literal["approve", "reject"] = Field(
        title="Decision",
        description="approve: the steps above, and nothing else. reject: none of them, and a person takes over. "
        # In the Prefect UI of version 1 a click into the middle of a choice opens it and closes it again.
        "The arrows at the right open it.",
        json_schema_extra={"position": 0},
    )
    approver: str = Field(
        title="Approver",
        description="Your name, for the record",
        min_length=2,
        max_length=120,
        json_schema_extra={"position": 1},
    )
    comment: str = Field(
        default="",
        title="Comment",
        description="Why, for those who ask later",
        max_length=1000,
        json_schema_extra={"position": 2},
    )


async def obtain_decision(plan: Plan) -> Decision:
    """The decision that settles this very plan; the run suspends until there is one.

    An answer that was given to a run which died before it could record it still counts: it is read from that run.
    """
    while (decision := decision_on(plan)) is None:
        if not plan.approval.required:
            record_standing_approval(plan)
            continue
        attempt, asked_by = open_question(plan)
        key = f"{plan.digest}-{attempt}"
        given = await given_answer(asked_by, key) if asked_by else None
        if given is None:
            ask_for_approval(plan, attempt)
            shown = plan_markdown(plan, keys=current().keys, most_steps=MOST_STEPS_IN_FORM)
            form = ApprovalForm.with_initial_data(description=shown)
            given = (await asuspend_flow_run(wait_for_input=form, key=key, timeout=None)).model_dump()
        record_answer(plan, attempt, given)
    return decision
