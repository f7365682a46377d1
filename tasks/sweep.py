"""The sweep: what keeps every response moving, whoever died. Run every few seconds, apart from worker and receiver.

It drains the inbox, starts the runs of new responses, wakes those whose time to look has come, restarts those whose
run died or never started (as a new flow run, after settling), and expires approvals. Everything it knows is in the
ledger; everything it does can be done twice.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from runbooks.errors import Outside, RunbooksError
from runbooks.records import Decision
from tasks.flow_runs import Start, cancel, condition, start
from tasks.gateways.ledger import ApprovalRow, ResponseRow
from tasks.intake import drain
from tasks.services import Services

DEPLOYMENTS = {"respond": "respond", "verify": "rescan-verify", "release": "release"}
"""Purpose of a response -> the deployment that carries it out."""
LIVE = ("new", "starting", "running", "asking", "waiting")
FORM_SECONDS = 5
"""How long a run may take from its question to the form."""
ANSWER_GRACE = timedelta(seconds=10)
"""How long an answered question may take to wake its run."""


@dataclass
class Swept:
    """What one sweep did, for the log."""

    deliveries: int = 0
    started: list[str] = field(default_factory=list[str])
    restarted: dict[str, str] = field(default_factory=dict[str, str])
    expired: list[str] = field(default_factory=list[str])
    troubles: list[str] = field(default_factory=list[str])


async def sweep(have: Services) -> Swept:
    """One pass. A trouble with one response, or with the inbox, is told, and does not keep the others waiting.

    Raises:
        LedgerError: the ledger does not say what there is to do.
    """
    swept = Swept()
    await _guarded(swept, "inbox", _drain(have, swept))
    now = have.now()
    for question in have.ledger.expired_approvals(now):
        await _guarded(swept, question.response_id, _expire(have, question, swept))
    asleep = {response.id: "its answer did not wake it" for response in have.ledger.answered(now - ANSWER_GRACE)}
    asleep |= dict.fromkeys(swept.expired, "its approval expired")
    # All of them before the first is moved on: it would come again under its next status.
    live = [each for status in LIVE for each in have.ledger.responses(status)]
    for response in live:
        await _guarded(swept, response.id, _keep_moving(have, response, asleep.get(response.id), now, swept))
    return swept


async def _guarded(swept: Swept, what: str, work: Awaitable[None]) -> None:
    try:
        await work
    except RunbooksError as error:
        swept.troubles.append(f"{what}: {error.code}: {error.detail}")


async def _drain(have: Services, swept: Swept) -> None:
    swept.deliveries = drain(have.ledger, have.catalog).deliveries


async def _expire(have: Services, question: ApprovalRow, swept: Swept) -> None:
    decision = Decision(
        digest=question.digest,
        attempt=question.attempt,
        answer="expired",
        approver=None,
        channel="sweep",
        reason="nobody answered in time",
    )
    if have.ledger.decide(question.response_id, decision):
        swept.expired.append(question.response_id)
        if question.flow_run:
            await cancel(question.flow_run, "the approval expired")


async def _keep_moving(have: Services, response: ResponseRow, asleep: str | None, now: datetime, swept: Swept) -> None:
    reason = _Reason(restart=asleep, dead=True) if asleep else await _why_to_start(have, response, now)
    if reason is None:
        return
    old = response.flow_run if reason.dead else None
    attempt = (
        response.attempt
        if reason.same_attempt
        else have.ledger.next_attempt(response.id, reason.restart, after=response.attempt)
    )
    flow_run = await start(_start(have, response, attempt))
    have.ledger.set_flow_run(response.id, attempt, flow_run)
    swept.started.append(response.id)
    if reason.restart:
        swept.restarted[response.id] = reason.restart
    if old and old != flow_run and (await condition(old)).kind != "ended":
        await cancel(old, f"overtaken by attempt {attempt}")


@dataclass(frozen=True)
class _Reason:
    restart: str | None = None
    """Why the run before has to be replaced; None for a first run or an ordinary waking."""
    same_attempt: bool = False
    dead: bool = False


async def _why_to_start(have: Services, response: ResponseRow, now: datetime) -> _Reason | None:
    match response.status:
        case "new":
            return _Reason()
        case "waiting":
            due = response.look_again_at is None or response.look_again_at <= now
            return _Reason() if due else None
        case "starting":
            return await _not_started(have, response, now)
        case "running":
            settled = response.id in have.ledger.lapsed(now - timedelta(seconds=have.settings.settle_seconds))
            return _Reason(restart="its run went silent", dead=True) if settled else None
        case "asking":
            return await _not_asking(have, response, now)
        case _:
            return None


async def _not_started(have: Services, response: ResponseRow, now: datetime) -> _Reason | None:
    if response.flow_run is None:
        # Killed between the attempt and its flow run: the idempotency key finds it, if it was created after all.
        return _Reason(same_attempt=True)
    since = response.starting_at or response.updated_at
    late = now - since > timedelta(seconds=have.settings.start_seconds)
    if late or (await condition(response.flow_run)).kind in ("ended", "unknown"):
        return _Reason(restart="its run never began", dead=True)
    return None


async def _not_asking(have: Services, response: ResponseRow, now: datetime) -> _Reason | None:
    """An open question needs a suspended run to carry its form; an answered one needs a run to act on it."""
    if response.flow_run is None:
        return _Reason(restart="its question has no form", dead=True)
    state = await condition(response.flow_run)
    asked = (now - response.updated_at).total_seconds()
    if state.kind in ("ended", "unknown") and asked > FORM_SECONDS:
        return _Reason(restart="its question lost its form", dead=True)
    # Between the question and the form, and again between the answer and the run's return, it is on its way.
    if state.kind in ("coming", "running") and min(state.seconds, asked) > have.settings.start_seconds:
        return _Reason(restart="its run is stuck", dead=True)
    return None


def _start(have: Services, response: ResponseRow, attempt: int) -> Start:
    cases = [case for each in response.cases if (case := have.ledger.case(each)) is not None]
    first = cases[0].key.resource_id if cases else response.id
    subject = first if len(cases) < 2 else f"{first} and {len(cases) - 1} more"
    if not cases:
        raise Outside(f"{response.id} has no cases", code="no-cases")
    return Start(
        deployment=DEPLOYMENTS[response.purpose],
        response=response.id,
        attempt=attempt,
        name=f"{subject} · {response.runbook} · {response.id} · run {attempt}",
        tags=("remediation", f"response:{response.id}", *(f"case:{case.id}" for case in cases[:20])),
    )
