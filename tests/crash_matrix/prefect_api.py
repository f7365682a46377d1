"""The part of Prefect's HTTP API that the product's own code uses: runs, their states, their forms, artifacts.

Prefect's client is the real one; the server's rules that matter here are kept: an idempotency key finds the run it
made, a run suspends once under a key, and what is filled into a form is stored under the form's key.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


@dataclass
class FlowRun:
    """One flow run, as the server keeps it."""

    id: str
    flow: str
    parameters: dict[str, Any]
    state: dict[str, Any]
    since: float
    inputs: dict[str, str] = field(default_factory=dict[str, str])
    stored: dict[str, float] = field(default_factory=dict[str, float])
    """When each input came."""

    @property
    def status(self) -> str:
        return self.state["type"]

    @property
    def form(self) -> str | None:
        """The key of the open form's answer; None while there is no form, though the run may be suspended."""
        keys = (self.state.get("state_details") or {}).get("run_input_keyset")
        return keys["response"] if self.status == "PAUSED" and keys and keys["schema"] in self.inputs else None


class PrefectServer:
    """Flow runs, and what a worker and a person do with them."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.runs: dict[str, FlowRun] = {}
        self.artifacts: dict[str, str] = {}

    def due(self) -> list[FlowRun]:
        return [run for run in self.runs.values() if run.status == "SCHEDULED"]

    def move(self, run: FlowRun, status: str, **more: Any) -> None:
        run.state, run.since = {"type": status, "name": status.capitalize(), **more}, self._clock()

    def answer(self, run: FlowRun, values: dict[str, Any]) -> None:
        """As `/resume` does: the answer is stored, and the run scheduled again."""
        assert run.form is not None
        run.stored[run.form], run.inputs[run.form] = self._clock(), json.dumps(values)
        self.move(run, "SCHEDULED")

    def create(self, flow: str, body: dict[str, Any]) -> FlowRun:
        key = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{flow}/{body.get('idempotency_key') or uuid.uuid4()}"))
        if key not in self.runs:
            self.runs[key] = FlowRun(key, flow, body.get("parameters") or {}, {}, 0.0)
            self.move(self.runs[key], "SCHEDULED")
        return self.runs[key]

    def shown(self, run: FlowRun) -> dict[str, Any]:
        # Prefect's clients compare with real time: the state is as old there as it is here.
        since = datetime.now(UTC) - timedelta(seconds=self._clock() - run.since)
        state = {"id": str(uuid.uuid4()), **run.state, "timestamp": since.isoformat()}
        return {
            "id": run.id,
            "flow_id": _id_of(run.flow),
            "name": run.id,
            "state": state,
            "state_type": run.status,
            "parameters": run.parameters,
        }


def prefect_app(server: PrefectServer) -> Starlette:
    """The application, at the root of the API's address."""
    flows: dict[str, str] = {}

    async def deployment(request: Request) -> Response:
        name = request.path_params["name"]
        flows[_id_of(name)] = name
        return JSONResponse({"id": _id_of(name), "name": name, "flow_id": _id_of(name)})

    async def create(request: Request) -> Response:
        run = server.create(flows[request.path_params["id"]], await request.json())
        return JSONResponse(server.shown(run), status_code=201)

    async def read(request: Request) -> Response:
        run = server.runs.get(request.path_params["id"])
        return JSONResponse(server.shown(run)) if run else JSONResponse({"detail": "not found"}, status_code=404)

    async def set_state(request: Request) -> Response:
        run, body = server.runs[request.path_params["id"]], await request.json()
        wanted = body["state"]
        server.move(run, wanted["type"], state_details=wanted.get("state_details") or {})
        shown = server.shown(run)["state"]
        return JSONResponse({"state": shown, "status": "ACCEPT", "details": {"type": "accept_details"}})

    async def write_input(request: Request) -> Response:
        run, body = server.runs[request.path_params["id"]], await request.json()
        run.inputs[body["key"]] = body["value"]
        return JSONResponse(None, status_code=201)

    async def find_inputs(request: Request) -> Response:
        run, body = server.runs.get(request.path_params["id"]), await request.json()
        return JSONResponse([_stored(run, key) for key in run.inputs if key.startswith(body["prefix"])] if run else [])

    async def artifact(request: Request) -> Response:
        body = await request.json()
        server.artifacts[body["key"]] = body.get("data") or ""
        return JSONResponse({"id": str(uuid.uuid4()), "key": body["key"]}, status_code=201)

    return Starlette(
        routes=[
            Route("/deployments/name/{flow}/{name}", deployment),
            Route("/deployments/{id}/create_flow_run", create, methods=["POST"]),
            Route("/flow_runs/{id}", read),
            Route("/flow_runs/{id}/set_state", set_state, methods=["POST"]),
            Route("/flow_runs/{id}/input", write_input, methods=["POST"]),
            Route("/flow_runs/{id}/input/filter", find_inputs, methods=["POST"]),
            Route("/artifacts/", artifact, methods=["POST"]),
        ]
    )


def _stored(run: FlowRun, key: str) -> dict[str, Any]:
    since = datetime.fromtimestamp(run.stored.get(key, run.since), UTC)
    return {"flow_run_id": run.id, "key": key, "value": run.inputs[key], "created": since.isoformat()}


def _id_of(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))
