"""Keeping runs going: a run for every response that needs one, and a new one for a run that died or is stuck.

A run is never restarted in place: its successor is a new flow run under a higher attempt, which takes the lease over
once the one before has settled. Two sweeps that see the same thing start the same flow run, by its idempotency key.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from runbooks.errors import Outside
from runbooks.history import HALTED
from tasks.flow_runs import Start, cancel, condition, start
from tasks.gateways.ledger import ResponseRow
from tasks.halting import halted
from tasks.run import TO_START
from tasks.services import Services
from tasks.sweeping.swept import Swept

DEPLOYMENTS = {"respond": "respond", "verify": "rescan-verify", "release": "release"}
"""Purpose of a response -> the deployment that carries it out."""
LIVE = ("new", "starting", "running", "asking", "waiting")
FORM_SECONDS = 5
"""How long a run may take from its question to the form."""
ANSWER_GRACE = timedelta(seconds=10)
"""How long an answered question may take to wake its run."""


def live_responses(have: Services) -> list[ResponseRow]:
    """All of them before the first is moved on: it would come again under its next status."""
    return [each for status in LIVE for each in have.ledger.responses(status)]


def asleep(have: Services, swept: Swept, now: datetime) -> dict[str, str]:
    """Response -> why it sleeps on, although what it waited for has come."""
    found = {response.id: "its answer did not wake it" for response in have.ledger.answered(now - ANSWER_GRACE)}
    return found | dict.fromkeys(swept.expired, "its approval expired")


async def keep_moving(have: Services, response: ResponseRow, asleep: str | None, now: datetime, swept: Swept) -> None:
    """Start what is to be started for one response; nothing where its run is well.

    Args:
        asleep: why the response sleeps although it should not; None where it does not.

    Raises:
        LeaseLost: another sweep has just started a run.
        Outside: Prefect's API does not answer; what was written down so far is taken up by the next sweep.
    """
    sleeps = asleep is not None and not await _on_its_way(response)
    reason = _Reason(restart=asleep, dead=True) if sleeps else await _why_to_start(have, response, now)
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
        case "starting" if not _waits_to_start(response):
            return await _not_started(have, response, now)
        case "waiting" | "starting":
            due = response.look_again_at is None or response.look_again_at <= now
            resumed = response.waiting_phase == HALTED and halted(have) is None
            return _Reason() if due or resumed else None
        case "running":
            settled = response.id in have.ledger.lapsed(now - timedelta(seconds=have.settings.settle_seconds))
            return _Reason(restart="its run went silent", dead=True) if settled else None
        case "asking":
            return await _not_asking(have, response, now)
        case _:
            return None


def _waits_to_start(response: ResponseRow) -> bool:
    """Whether the run asked for has come, and waits for another one to let go of what it needs.

    What an earlier run waited for was over before this one was asked for.
    """
    since, until = response.starting_at, response.look_again_at
    return response.waiting_phase == TO_START and until is not None and (since is None or since < until)


async def _not_started(have: Services, response: ResponseRow, now: datetime) -> _Reason | None:
    if response.flow_run is None:
        # Killed between the attempt and its flow run: the idempotency key finds it, if it was created after all.
        return _Reason(same_attempt=True)
    since = response.starting_at or response.updated_at
    late = now - since > timedelta(seconds=have.settings.start_seconds)
    if late or (await condition(response.flow_run)).kind in ("ended", "unknown"):
        return _Reason(restart="its run never began", dead=True)
    return None


async def _on_its_way(response: ResponseRow) -> bool:
    """Whether the run has been woken, through whichever door the answer came, and is only not back yet."""
    return response.flow_run is not None and (await condition(response.flow_run)).kind in ("coming", "running")


async def _not_asking(have: Services, response: ResponseRow, now: datetime) -> _Reason | None:
    """An open question needs a suspended run to carry its form; an answered one needs a run to act on it."""
    if response.flow_run is None:
        return _Reason(restart="its question has no form", dead=True)
    state = await condition(response.flow_run)
    asked = (now - response.updated_at).total_seconds()
    if state.kind in ("ended", "unknown", "formless") and asked > FORM_SECONDS:
        return _Reason(restart="its question lost its form", dead=True)
    # Between the question and the form, and again between the answer and the run's return, it is on its way.
    if state.kind in ("coming", "running") and min(state.seconds, asked) > have.settings.start_seconds:
        return _Reason(restart="its run is stuck", dead=True)
    return None


def _start(have: Services, response: ResponseRow, attempt: int) -> Start:
    cases = have.ledger.cases_of(response.cases)
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
