"""Rescan-verify, on demand: hurry Inspector's next look at a case's resources, and judge what it then says."""

from __future__ import annotations

from prefect import flow
from prefect.client.schemas.objects import State

from flows.phases import verify_until_known
from flows.response_run import response_run
from runbooks.records import ResponseEnded
from tasks.triage import already_triaged, triage_cases
from tasks.write_up import conclude_look


@flow(name="rescan-verify", persist_result=False)
async def rescan_verify(response: str = "", attempt: int = 0, case: str = "") -> State:
    """Ask Inspector to look again at a case, and say whether it is fixed. Changes nothing.

    Args:
        case: The case to verify: its id, or the id of its resource, such as i-0123456789abcdef0.
        response: Left empty when you start one by hand; the sweep fills it in when it wakes the run.
        attempt: Left at 0 when you start one by hand.
    """
    return await response_run("verify", response, attempt, _playbook, case=case)


async def _playbook() -> ResponseEnded:
    if already_triaged() is None:
        triage_cases()
    verified = await verify_until_known()
    return conclude_look(str(verified.kind), verified.words)
