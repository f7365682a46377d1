"""An answer from a terminal, by the rules of every other door: shown first, proven by a one-time code."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from deployments.cli.case_lookup import find_case
from deployments.cli.exits import ANSWER_IS_NO, DONE
from deployments.cli.halt import warn_if_halted
from deployments.cli.identity import login, read_code
from deployments.cli.opening import opened
from deployments.cli.output import data, document, lines, say
from runbooks.errors import BadInput, Refused
from runbooks.telling.words import ANSWERS

if TYPE_CHECKING:
    from runbooks.history import ResponseHistory
    from runbooks.plan import Plan
    from runbooks.registry import Standing
    from tasks.answering import Answered
    from tasks.gateways.ledger import CaseRow
    from tasks.services import Services


def answer(
    says: Literal["approve", "reject"],
    text: str,
    *,
    name: str | None,
    digest: str | None,
    comment: str,
    code_file: Path | None,
    as_json: bool,
) -> int:
    """Show the plan that the case waits with, take the answer to it, and say what became of it."""
    from pydantic import SecretStr

    from runbooks.approval import Submission
    from tasks.answering import submit
    from tasks.journal import read_history
    from tasks.registering import registry

    with opened(ledger_exists=True) as have:
        warn_if_halted(have)
        case = find_case(have.ledger, text)
        history = read_history(have.ledger, case.response_id) if case.response_id else None
        plan = _asked_about(case, history, digest)
        if not as_json:
            _show(have, plan)
        submission = Submission(
            response=plan.response,
            digest=plan.digest,
            says=says,
            claimed=name or _name_of(login(), registry(have).standings.values()),
            code=SecretStr(read_code(code_file)),
            channel="command",
            submitted_at=have.now(),
            request=f"command/{uuid.uuid4()}",
            comment=comment,
        )
        answered = submit(have, submission)
        _wake(answered, history)
        return _told(answered, plan, as_json=as_json)


def _asked_about(case: CaseRow, history: ResponseHistory | None, digest: str | None) -> Plan:
    """The plan of the open question."""
    asked = history.waiting_for_answer() if history else None
    plan = history.plans.get(asked.digest) if history and asked else None
    if plan is None:
        raise Refused(f"{case.id} does not wait for an answer; see runbooks cases show {case.id}", code="not-asked")
    if digest is not None and not plan.digest.startswith(digest):
        raise BadInput(f"{case.id} waits with plan {plan.short_digest}, not with {digest}", code="other-plan")
    return plan


def _show(have: Services, plan: Plan) -> None:
    from runbooks.telling.plan_text import plan_markdown

    keys = {each: case.key for each in plan.cases if (case := have.ledger.case(each)) is not None}
    document(plan_markdown(plan, keys=keys))
    say(f"The answer is to plan {plan.digest}")


def _name_of(user: str, standings: Iterable[Standing]) -> str:
    """The approver who has this login, or the login itself."""
    names = [each.approver.name for each in standings if user in each.approver.logins]
    return names[0] if len(names) == 1 else user


def _wake(answered: Answered, history: ResponseHistory | None) -> None:
    asked = history.waiting_for_answer() if history else None
    if answered.decision is None or asked is None:
        return
    from tasks.flow_runs import wake

    if not asyncio.run(wake(asked.flow_run)):
        say("Its run was not reached, and is woken by the sweep.")


def _told(answered: Answered, plan: Plan, *, as_json: bool) -> int:
    given, decision = answered.answer, answered.decision
    if as_json:
        data({"answer": given, "decision": decision})
    elif decision is not None:
        lines(f"plan {plan.short_digest} {ANSWERS[decision.answer]}")
    elif given.counts:
        lines(f"plan {plan.short_digest}: counted; it needs {plan.approval.quorum} different people")
    if not given.counts:
        say(f"{given.code}: {given.reason}")
    return DONE if given.counts else ANSWER_IS_NO
