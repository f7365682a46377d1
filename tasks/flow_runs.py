"""Flow runs, through Prefect's API: starting them, asking how they are, ending those that were overtaken."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.deployments import arun_deployment
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.states import Cancelled

from runbooks.errors import Outside

RunCondition = Literal["coming", "running", "suspended", "ended", "unknown"]
"""`coming`: scheduled or pending. `unknown`: Prefect has no such run, or could not be asked."""


@dataclass(frozen=True)
class Condition:
    """How a flow run is, and for how many seconds it has been so."""

    kind: RunCondition
    seconds: float


@dataclass(frozen=True)
class Start:
    """What to start: a deployment of ours, for one attempt of a response."""

    deployment: str
    response: str
    attempt: int
    name: str
    tags: tuple[str, ...]

    @property
    def idempotency_key(self) -> str:
        return f"{self.response}-{self.attempt}"


async def start(what: Start) -> str:
    """Create the flow run, or find the one this attempt already has, and give its id.

    Raises:
        Outside: Prefect's API cannot be reached, or has no such deployment.
    """
    try:
        run = await arun_deployment(
            f"{what.deployment}/{what.deployment}",
            parameters={"response": what.response, "attempt": what.attempt},
            flow_run_name=what.name,
            tags=[*what.tags],
            idempotency_key=what.idempotency_key,
            timeout=0,
            as_subflow=False,
        )
    except (PrefectException, httpx.HTTPError) as error:
        raise Outside(
            f"Prefect did not start {what.deployment}: {error or type(error).__name__}", code="prefect"
        ) from error
    return str(run.id)


async def condition(flow_run: str) -> Condition:
    """How a flow run is, as far as Prefect knows; its history is a hint, the ledger is the truth."""
    try:
        async with get_client() as client:
            run = await client.read_flow_run(UUID(flow_run))
    except ObjectNotFound:
        return Condition("unknown", 0.0)
    except (PrefectException, httpx.HTTPError) as error:
        raise _trouble("Prefect's API does not answer", error) from error
    since = run.state.timestamp if run.state else None
    return Condition(_kind(run), (datetime.now(UTC) - since).total_seconds() if since else 0.0)


def _kind(run: FlowRun) -> RunCondition:
    match run.state_type:
        case StateType.SCHEDULED | StateType.PENDING:
            return "coming"
        case StateType.RUNNING | StateType.CANCELLING:
            return "running"
        case StateType.PAUSED:
            return "suspended"
        case None:
            return "unknown"
        case _:
            return "ended"


async def cancel(flow_run: str, why: str) -> None:
    """End a run that nothing waits for any more; a run that is gone is no error."""
    try:
        async with get_client() as client:
            await client.set_flow_run_state(UUID(flow_run), Cancelled(message=why), force=True)
    except ObjectNotFound:
        return
    except (PrefectException, httpx.HTTPError) as error:
        raise _trouble("Prefect's API does not answer", error) from error


async def given_answer(flow_run: str, key: str) -> dict[str, Any] | None:
    """What was filled into the form that this run suspended with under `key`; None while nothing was."""
    try:
        async with get_client() as client:
            given = await client.read_flow_run_input(UUID(flow_run), f"suspended-{key}-response")
    except httpx.HTTPStatusError as error:
        if error.response.status_code == httpx.codes.NOT_FOUND:
            return None
        raise _trouble("Prefect's API does not answer", error) from error
    except (PrefectException, httpx.HTTPError) as error:
        raise _trouble("Prefect's API does not answer", error) from error
    value = json.loads(given)
    return value if isinstance(value, dict) else {}


def _trouble(words: str, error: Exception) -> Outside:
    return Outside(f"{words}: {error or type(error).__name__}", code="prefect")
