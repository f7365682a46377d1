"""Flow runs, through Prefect's API: starting them, asking how they are, ending those that were overtaken."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.responses import SetStateStatus
from prefect.deployments import arun_deployment
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.settings import get_current_settings
from prefect.states import Cancelled

from runbooks.errors import Outside

RunCondition = Literal["coming", "running", "suspended", "formless", "ended", "unknown"]
"""`coming`: scheduled or pending. `formless`: suspended, and its form is not there (yet). `unknown`: Prefect has no
such run, or could not be asked."""


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
        # Left to itself it would leave its connection open.
        async with get_client() as client:
            run = await arun_deployment(
                f"{what.deployment}/{what.deployment}",
                client=client,
                parameters={"response": what.response, "attempt": what.attempt},
                flow_run_name=what.name,
                tags=[*what.tags],
                idempotency_key=what.idempotency_key,
                timeout=0,
                as_subflow=False,
            )
    except (PrefectException, httpx.HTTPError) as error:
        raise Outside(
            f"Prefect did not start {what.deployment}: {str(error) or type(error).__name__}", code="prefect"
        ) from error
    return str(run.id)


async def condition(flow_run: str) -> Condition:
    """How a flow run is, as far as Prefect knows; its history is a hint, the ledger is the truth."""
    try:
        async with get_client() as client:
            run = await client.read_flow_run(UUID(flow_run))
            kind = _kind(run)
            if kind == "suspended" and not await _has_form(client, run):
                kind = "formless"
    except ObjectNotFound:
        return Condition("unknown", 0.0)
    except (PrefectException, httpx.HTTPError) as error:
        raise _trouble("Prefect's API does not answer", error) from error
    since = run.state.timestamp if run.state else None
    return Condition(kind, (datetime.now(UTC) - since).total_seconds() if since else 0.0)


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


async def _has_form(client: PrefectClient, run: FlowRun) -> bool:
    """Whether the form is there, its text too: the run is suspended first, and what it asks is stored after that."""
    keys = run.state.state_details.run_input_keyset if run.state else None
    name = keys["description"] if keys else ""
    stored = await client.filter_flow_run_input(run.id, key_prefix=name, limit=1, exclude_keys=set()) if name else []
    return bool(stored)


async def cancel(flow_run: str, why: str) -> None:
    """End a run that nothing waits for any more; a run that is gone is no error."""
    try:
        async with get_client() as client:
            await client.set_flow_run_state(UUID(flow_run), Cancelled(message=why), force=True)
    except ObjectNotFound:
        return
    except (PrefectException, httpx.HTTPError) as error:
        raise _trouble("Prefect's API does not answer", error) from error


async def cancel_stuck(deployment: str, but: str, seconds: float) -> int:
    """End the deployment's runs that have been starting or running for longer than that; how many there were.

    What dies together with its worker stays so for ever in Prefect's eyes, and keeps a slot of the deployment's limit.

    Args:
        but: the run that asks.
    """
    states = FlowRunFilterStateType(any_=[StateType.PENDING, StateType.RUNNING])
    theirs = DeploymentFilter(name=DeploymentFilterName(any_=[deployment]))
    try:
        async with get_client() as client:
            runs = await client.read_flow_runs(
                flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=states)), deployment_filter=theirs
            )
    except (PrefectException, httpx.HTTPError) as error:
        raise _trouble("Prefect's API does not answer", error) from error
    limit = datetime.now(UTC) - timedelta(seconds=seconds)
    stuck = [run for run in runs if str(run.id) != but and run.state and run.state.timestamp < limit]
    for run in stuck:
        await cancel(str(run.id), "it never came to an end")
    return len(stuck)


@dataclass(frozen=True)
class Given:
    """What came with a form, and when Prefect stored it."""

    values: dict[str, Any]
    at: datetime | None


async def given_answer(flow_run: str, key: str) -> Given | None:
    """What was filled into the form that this run suspended with under `key`; None while nothing was."""
    name = f"suspended-{key}-response"
    try:
        async with get_client() as client:
            stored = await client.filter_flow_run_input(UUID(flow_run), key_prefix=name, limit=5, exclude_keys=set())
    except httpx.HTTPStatusError as error:
        if error.response.status_code == httpx.codes.NOT_FOUND:
            return None
        raise _trouble("Prefect's API does not answer", error) from error
    except (PrefectException, httpx.HTTPError) as error:
        raise _trouble("Prefect's API does not answer", error) from error
    found = next((each for each in stored if each.key == name), None)
    return None if found is None else Given(_object(found.value), found.created)


def _object(text: str) -> dict[str, Any]:
    """The JSON object; an empty one where it is something else, which is no answer."""
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


WAKING: dict[str, str] = {"decision": "reject", "approver": "", "one_time_code": "", "comment": ""}
"""What a form is resumed with when its answer is in the ledger. It has no name, so it is no answer; `decision` has no
default in the form, and this is the one that does no harm."""
WAKING_PAUSES = (0.5, 1.0, 2.0)
"""Seconds after each try: a form is there a moment after its question."""
WAKING_SECONDS = 15
"""In all: the client itself tries for a minute to reach a server that is away."""


async def wake(flow_run: str, *, pauses: Sequence[float] = WAKING_PAUSES) -> bool:
    """Resume a run that sleeps over its form, because the question was answered through another door.

    Whether it was resumed. False is no error: the sweep finds an answer that woke nobody.
    """
    if not get_current_settings().api.url:
        return False  # a client would start a server of its own
    try:
        async with asyncio.timeout(WAKING_SECONDS):
            return await _resumed(UUID(flow_run), pauses)
    except (PrefectException, httpx.HTTPError, ValueError, TimeoutError):
        return False


async def _resumed(flow_run: UUID, pauses: Sequence[float]) -> bool:
    """Whether Prefect took it. It says no under a status code of 200; and 503, on SQLite, under load."""
    for pause in pauses:
        async with get_client() as client:
            with suppress(httpx.HTTPStatusError):
                answer = await client.resume_flow_run(flow_run, run_input=dict(WAKING))
                if answer.status is SetStateStatus.ACCEPT:
                    return True
        await asyncio.sleep(pause)
    return False


def _trouble(words: str, error: Exception) -> Outside:
    return Outside(f"{words}: {str(error) or type(error).__name__}", code="prefect")
