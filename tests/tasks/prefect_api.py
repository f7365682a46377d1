"""The far end of Prefect's client: the few routes the sweep uses, with flow runs that keep their states.

It can be away in the ways a server is: it fails, it does not answer, or it does what it was asked and the answer is
lost.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from prefect.settings import (
    PREFECT_API_REQUEST_TIMEOUT,
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    temporary_settings,
)
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.serving import serving

Trouble = Literal["fails", "does not answer", "loses the answer"]
TIMEOUT_SECONDS = 1.0
_NAMESPACE = uuid.UUID("6f0c1f0e-7d39-4a55-9f0a-0f3f1b6a2c11")


@dataclass
class PrefectApi:
    """The server's flow runs."""

    runs: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    trouble: Trouble | None = None
    cancelled: list[str] = field(default_factory=list[str])

    @property
    def keys(self) -> list[str]:
        """The idempotency keys of all flow runs, in the order they were created."""
        return [run["idempotency_key"] for run in self.runs.values()]

    def run_of(self, key: str) -> str:
        """The id of the flow run with this idempotency key."""
        (found,) = [name for name, run in self.runs.items() if run["idempotency_key"] == key]
        return found

    def become(self, flow_run: str, state: str, seconds_ago: float = 0.0) -> None:
        """The run has been in this state for so long."""
        since = datetime.now(UTC) - timedelta(seconds=seconds_ago)
        self.runs[flow_run] |= {"state_type": state, "state": _state(state, since)}

    @contextmanager
    def up(self) -> Iterator[None]:
        """Prefect's client talks to this server, and gives up soon."""
        routes = [
            Route("/api/deployments/name/{flow}/{name}", self._guarded(self._deployment)),
            Route("/api/deployments/{id}/create_flow_run", self._guarded(self._create), methods=["POST"]),
            Route("/api/flow_runs/{id}", self._guarded(self._read)),
            Route("/api/flow_runs/{id}/set_state", self._guarded(self._set_state), methods=["POST"]),
        ]
        with (
            serving(Starlette(routes=routes)) as url,
            temporary_settings(
                {
                    PREFECT_API_URL: f"{url}/api",
                    PREFECT_CLIENT_MAX_RETRIES: 0,
                    PREFECT_API_REQUEST_TIMEOUT: TIMEOUT_SECONDS,
                }
            ),
        ):
            yield

    def _guarded(self, answer: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def respond(request: Request) -> Response:
            match self.trouble:
                case None:
                    return await answer(request)
                case "fails":
                    return Response(status_code=500)
                case "loses the answer":
                    done = await answer(request)
                    if request.method == "GET":
                        return done
                case "does not answer":
                    pass
            await asyncio.sleep(TIMEOUT_SECONDS * 2)
            return Response(status_code=500)

        return respond

    async def _deployment(self, request: Request) -> Response:
        name = request.path_params["name"]
        made = {"id": str(uuid.uuid5(_NAMESPACE, name)), "name": name, "flow_id": str(_NAMESPACE)}
        return JSONResponse(made)

    async def _create(self, request: Request) -> Response:
        body = await request.json()
        known = [run for run in self.runs.values() if run["idempotency_key"] == body["idempotency_key"]]
        if known:
            return JSONResponse(known[0])
        name = str(uuid.uuid4())
        asked = {key: body.get(key) for key in ("name", "parameters", "tags", "idempotency_key")}
        self.runs[name] = {"id": name, "flow_id": str(_NAMESPACE), **asked}
        self.become(name, "SCHEDULED")
        return JSONResponse(self.runs[name], status_code=201)

    async def _read(self, request: Request) -> Response:
        run = self.runs.get(request.path_params["id"])
        return JSONResponse(run) if run else JSONResponse({"detail": "not found"}, status_code=404)

    async def _set_state(self, request: Request) -> Response:
        name, body = request.path_params["id"], await request.json()
        if name not in self.runs:
            return JSONResponse({"detail": "not found"}, status_code=404)
        self.become(name, body["state"]["type"])
        if body["state"]["type"] == "CANCELLED":
            self.cancelled.append(name)
        answer = {"status": "ACCEPT", "state": self.runs[name]["state"], "details": {"type": "accept_details"}}
        return JSONResponse(answer, status_code=201)


def _state(kind: str, since: datetime) -> dict[str, Any]:
    return {"id": str(uuid.uuid4()), "type": kind, "name": kind.capitalize(), "timestamp": since.isoformat()}
