"""Prefect's forms: what was filled in and when, and waking a run whose question was answered through another door."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from runbooks.errors import Outside
from tasks.flow_runs import WAKING, Given, given_answer, wake
from tests.serving import serving

STORED = datetime(2026, 3, 2, 9, 20, tzinfo=UTC)
RUN = str(uuid.uuid4())


@dataclass
class Prefect:
    """The server, with one run that sleeps over a form; it says no as the real one does, under a status of 200."""

    inputs: dict[str, str] = field(default_factory=dict[str, str])
    asleep: bool = True
    busy: int = 0
    """How often it says 503 first."""
    form_comes_after: int = 0
    """How often the run is suspended, and its form not there yet."""
    resumed: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    async def resume(self, request: Request) -> Response:
        if self.busy:
            self.busy -= 1
            return JSONResponse({"detail": "database is locked"}, status_code=503)
        if request.path_params["id"] != RUN:
            return JSONResponse({"detail": "Flow run not found"}, status_code=404)
        if not self.asleep:
            return self._said("ABORT", "abort_details", "Cannot resume a flow run that is not paused.")
        if self.form_comes_after:
            self.form_comes_after -= 1
            return self._said("REJECT", "reject_details", "Run input schema not found.")
        self.asleep = False
        self.resumed.append((await request.json())["run_input"])
        return self._said("ACCEPT", "accept_details", "", 201)

    async def filter(self, request: Request) -> Response:
        if request.path_params["id"] != RUN:
            return JSONResponse({"detail": "Flow run not found"}, status_code=404)
        prefix = (await request.json())["prefix"]
        found = [
            {"id": str(uuid.uuid4()), "created": STORED.isoformat(), "flow_run_id": RUN, "key": key, "value": value}
            for key, value in self.inputs.items()
            if key.startswith(prefix)
        ]
        return JSONResponse(found)

    def _said(self, status: str, kind: str, reason: str, code: int = 200) -> Response:
        body = {"state": None, "status": status, "details": {"type": kind, "reason": reason}}
        return JSONResponse(body, status_code=code)

    @contextmanager
    def up(self) -> Iterator[None]:
        app = Starlette(
            routes=[
                Route("/api/flow_runs/{id}/resume", self.resume, methods=["POST"]),
                Route("/api/flow_runs/{id}/input/filter", self.filter, methods=["POST"]),
            ]
        )
        with (
            serving(app) as url,
            temporary_settings({PREFECT_API_URL: f"{url}/api", PREFECT_CLIENT_MAX_RETRIES: 0}),
        ):
            yield


@pytest.fixture
def prefect() -> Iterator[Prefect]:
    server = Prefect()
    with server.up():
        yield server


def woken(flow_run: str = RUN) -> bool:
    return asyncio.run(wake(flow_run, pauses=(0, 0, 0)))


def test_a_sleeping_run_is_woken_by_what_is_no_answer(prefect: Prefect) -> None:
    assert woken() is True
    assert prefect.resumed == [WAKING]
    assert (WAKING["decision"], WAKING["approver"], WAKING["one_time_code"]) == ("reject", "", "")


def test_it_is_tried_again_where_the_server_is_busy_or_the_form_not_there_yet(prefect: Prefect) -> None:
    prefect.busy, prefect.form_comes_after = 1, 1
    assert woken() is True
    assert prefect.resumed == [WAKING]


@pytest.mark.parametrize("trouble", [{"asleep": False}, {"busy": 99}, {"form_comes_after": 99}])
def test_a_run_that_cannot_be_woken_is_left_to_the_sweep(prefect: Prefect, trouble: dict[str, Any]) -> None:
    for name, value in trouble.items():
        setattr(prefect, name, value)
    assert woken() is False
    assert prefect.resumed == []


def test_a_run_that_is_none_or_a_server_that_is_away_is_no_error(prefect: Prefect) -> None:
    assert woken(str(uuid.uuid4())) is False
    assert woken("run-1") is False
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        assert woken() is False


def test_without_an_address_no_server_is_started(prefect: Prefect) -> None:
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        assert woken() is False
    assert prefect.resumed == []


def test_an_answer_is_what_was_stored_under_the_forms_key_and_when(prefect: Prefect) -> None:
    prefect.inputs = {
        "suspended-abc-1-response": json.dumps({"decision": "approve"}),
        "suspended-abc-1-response-2": json.dumps({"decision": "reject"}),
        "suspended-abc-1-schema": "{}",
    }
    assert asyncio.run(given_answer(RUN, "abc-1")) == Given({"decision": "approve"}, STORED)
    assert asyncio.run(given_answer(RUN, "abc-2")) is None
    assert asyncio.run(given_answer(str(uuid.uuid4()), "abc-1")) is None


@pytest.mark.parametrize("stored", ["[]", "null", '"approve"', "{", ""])
def test_what_was_stored_past_the_form_is_no_answer_and_no_error(prefect: Prefect, stored: str) -> None:
    prefect.inputs = {"suspended-abc-1-response": stored}
    assert asyncio.run(given_answer(RUN, "abc-1")) == Given({}, STORED)


def test_a_server_that_is_away_is_outside(prefect: Prefect) -> None:
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}), pytest.raises(Outside):
        asyncio.run(given_answer(RUN, "abc-1"))
