"""The flow that responds to findings, by the playbook of their runbook.

The body of a flow only decides and calls tasks, and can be run again from its first line at any time, on any machine:
what has been done is read from the ledger and is not done again. A run never holds a process for long. When it waits
for a person it suspends with a form; when it waits for AWS it writes when to look next, and ends; the sweep wakes it
as a new flow run.
"""

from __future__ import annotations

from prefect import flow
from prefect.client.schemas.objects import State

from flows.playbooks import play
from flows.response_run import response_run


@flow(name="respond", persist_result=False)
async def respond(response: str, attempt: int = 0) -> State:
    """Respond to the findings of one response, from the alert to the post-mortem.

    Args:
        response: Id of the response in the ledger, as `runbooks cases show` prints it.
        attempt: Which run of the response this is; leave 0 when you start one by hand.
    """
    return await response_run("respond", response, attempt, play)
