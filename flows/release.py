"""Release: end the containment of a case, every value exactly as it was, after a person's yes."""

from __future__ import annotations

from prefect import flow
from prefect.client.schemas.objects import State

from flows.phases import carry_out_phase
from flows.response_run import response_run
from runbooks.plan import Phase
from runbooks.records import ResponseEnded
from tasks.write_up import conclude_release


@flow(name="release", persist_result=False)
async def release(response: str = "", attempt: int = 0, case: str = "") -> State:
    """Put back everything that containing a case changed, in reverse. Asks for approval first.

    Of an open port, or a function that is not contained, what remedied it is put back.

    Args:
        case: The contained case: its id, or the id of its resource, such as i-0123456789abcdef0.
        response: Left empty when you start one by hand; the sweep fills it in when it wakes the run.
        attempt: Left at 0 when you start one by hand.
    """
    return await response_run("release", response, attempt, _playbook, case=case)


async def _playbook() -> ResponseEnded:
    return conclude_release(await carry_out_phase(Phase.RELEASE))
