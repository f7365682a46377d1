"""The sweep as a scheduled deployment: one pass of what keeps every response moving, whoever died.

`runbooks sweep` does the same every few seconds in a process of its own. Either is enough; both do no harm.
"""

from __future__ import annotations

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.logging import get_run_logger
from prefect.runtime import flow_run
from prefect.states import Completed

from tasks.flow_runs import cancel_stuck
from tasks.safety import require_safe
from tasks.services import services
from tasks.sweep import sweep as pass_over

STUCK_SECONDS = 300
"""After this an earlier sweep counts as dead; Prefect's own lease on its slot lasts as long, if its server lives."""


@flow(name="sweep", persist_result=False)
async def sweep() -> State:
    """One pass: drain the inbox, start, wake and restart runs, expire approvals and remind of them, look again."""
    have = services()
    require_safe(have)
    swept = await pass_over(have)
    words = swept.words or "nothing to do"
    logger = get_run_logger()
    (logger.warning if swept.troubles else logger.info)(words)
    if stuck := await cancel_stuck("sweep", str(flow_run.id), STUCK_SECONDS):
        logger.warning("%d earlier sweeps had never ended", stuck)
    return Completed(name="Trouble" if swept.troubles else "Completed", message=words)
