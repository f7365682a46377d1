"""How every flow of a response begins, waits and ends: under a lease, with a named end in the Prefect UI."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

from prefect.client.schemas.objects import State
from prefect.logging import get_run_logger
from prefect.runtime import flow_run
from prefect.states import Completed

from runbooks.errors import Halted, LeaseLost, Refused, RunbooksError, Unsafe
from runbooks.history import HALTED
from runbooks.records import Purpose, ResponseEnded
from tasks import patience
from tasks.run import current, not_now, open_response, running
from tasks.safety import require_safe
from tasks.write_up import hand_over


class LookAgain(Exception):
    """The response waits for the world; there is nothing to do before `at`."""

    def __init__(self, phase: str, reason: str, at: datetime) -> None:
        super().__init__(reason)
        self.phase = phase
        self.reason = reason
        self.at = at


async def response_run(
    purpose: Purpose, response: str, attempt: int, playbook: Callable[[], Awaitable[ResponseEnded]], *, case: str = ""
) -> State:
    """Run a playbook under the response's lease. The state's name says how it ended, or that it waits.

    Args:
        case: for a run started by hand without a response: the case that a new response is opened for.
    """
    response = response or open_response(purpose, case, str(flow_run.id))
    try:
        with running(response, attempt, str(flow_run.id)) as run:
            try:
                ended = await _played(playbook)
            except LookAgain as pause:
                run.services.ledger.wait(response, pause.phase, pause.reason, pause.at, lease=run.lease)
                name = "Halted" if pause.phase == HALTED else "Waiting"
                return Completed(name=name, message=f"{pause.reason}; looking again at {pause.at:%H:%M:%S} UTC")
            return Completed(name=ended.result.capitalize(), message=ended.reason)
    except LeaseLost as lost:
        get_run_logger().warning("This run stops here: %s", lost.detail)
        not_now(response, attempt, lost)
        return Completed(name="Overtaken", message=lost.detail)


async def _played(playbook: Callable[[], Awaitable[ResponseEnded]]) -> ResponseEnded:
    """The playbook to its end. What it refuses goes to a person; what fails is tried again later, not for ever."""
    try:
        if (stuck := patience.exhausted(current())) is not None:
            return hand_over("failed", stuck)
        require_safe(current().services)
        return await _answered(playbook)
    except LeaseLost as lost:
        if lost.code != "lease-held":
            raise
        raise LookAgain("shared", lost.detail, patience.next_try(current())) from lost
    except Halted as halted:
        raise LookAgain(HALTED, halted.detail, patience.next_turn(current(), HALTED)) from halted
    except RunbooksError as trouble:
        get_run_logger().warning("Something failed: %s: %s", trouble.code, trouble.detail)
        raise LookAgain("trouble", f"{trouble.code}: {trouble.detail}", patience.next_try(current())) from trouble


async def _answered(playbook: Callable[[], Awaitable[ResponseEnded]]) -> ResponseEnded:
    try:
        return await playbook()
    except (LeaseLost, Halted, Unsafe):
        raise
    except Refused as refused:
        return hand_over(refused.code, refused.detail)
