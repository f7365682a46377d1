"""How every flow of a response begins, waits and ends: under a lease, with a named end in the Prefect UI."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

from prefect.logging import get_run_logger
from prefect.runtime import flow_run
from prefect.states import Completed, State

from runbooks.errors import LeaseLost
from runbooks.model import Model
from runbooks.records import Purpose
from tasks.run import not_now, open_response, running


class LookAgain(Exception):  # noqa: N818 - it is no error: the run ends here, and the sweep starts the next one
    """The response waits for the world; there is nothing to do before `at`."""

    def __init__(self, phase: str, reason: str, at: datetime) -> None:
        super().__init__(reason)
        self.phase = phase
        self.reason = reason
        self.at = at


class Conclusion(Model):
    """How a response ended."""

    result: str
    reason: str


async def response_run(
    purpose: Purpose, response: str, attempt: int, playbook: Callable[[], Awaitable[Conclusion]], *, case: str = ""
) -> State:
    """Run a playbook under the response's lease. The state's name says how it ended, or that it waits.

    Args:
        case: for a run started by hand without a response: the case that a new response is opened for.
    """
    response = response or open_response(purpose, case)
    try:
        with running(response, attempt, str(flow_run.id)) as run:
            try:
                conclusion = await playbook()
            except LookAgain as pause:
                run.services.ledger.wait(response, pause.phase, pause.reason, pause.at, lease=run.lease)
                return Completed(name="Waiting", message=f"{pause.reason}; looking again at {pause.at:%H:%M:%S} UTC")
            return Completed(name=conclusion.result.capitalize(), message=conclusion.reason)
    except LeaseLost as lost:
        get_run_logger().warning("This run stops here: %s", lost.detail)
        if lost.code == "lease-held":
            not_now(response, attempt, lost.detail)
        return Completed(name="Overtaken", message=lost.detail)
