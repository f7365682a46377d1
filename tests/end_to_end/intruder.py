"""Somebody who can reach Prefect's API, and may do there what every flow run may: all of it."""

from __future__ import annotations

import json
import time
import uuid
from datetime import UTC, datetime
from typing import Any

import httpx

BUSY_PAUSES = (0.5, 1.0, 2.0, 4.0)


class Intruder:
    """Forges what a form's answer leaves in Prefect. Its API asks nobody who they are."""

    def __init__(self, prefect: str) -> None:
        self._client = httpx.Client(base_url=f"{prefect}/api", trust_env=False, timeout=30)
        self._id = str(uuid.uuid4())

    def close(self) -> None:
        self._client.close()

    def resume(self, flow_run: str, given: dict[str, Any] | None) -> str:
        """What Prefect says to it: ACCEPT or REJECT."""
        return self._send("POST", f"/flow_runs/{flow_run}/resume", {"run_input": given}).json()["status"]

    def write_answer(self, flow_run: str, key: str, given: Any, sender: str) -> None:
        """Writes down by hand what a form's answer would be, in somebody's name."""
        stored = {"key": f"suspended-{key}-response", "value": json.dumps(given), "sender": sender}
        self._send("POST", f"/flow_runs/{flow_run}/input", stored)

    def set_state(self, flow_run: str, kind: str) -> None:
        details = {"scheduled_time": datetime.now(UTC).isoformat()} if kind == "SCHEDULED" else {}
        state = {"type": kind, "name": kind.capitalize(), "state_details": details}
        answer = self._send("POST", f"/flow_runs/{flow_run}/set_state", {"state": state, "force": True})
        assert answer.json()["status"] == "ACCEPT"

    def delete(self, flow_run: str) -> None:
        self._send("DELETE", f"/flow_runs/{flow_run}")

    def _send(self, method: str, address: str, body: Any = None) -> httpx.Response:
        """Sends it, again where SQLite was busy."""
        answer = self._client.request(method, address, json=body, headers=self._protection())
        for pause in BUSY_PAUSES:
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            time.sleep(pause)
            answer = self._client.request(method, address, json=body, headers=self._protection())
        return answer.raise_for_status()

    def _protection(self) -> dict[str, str]:
        token = self._client.get("/csrf-token", params={"client": self._id}).raise_for_status().json()["token"]
        return {"Prefect-Csrf-Client": self._id, "Prefect-Csrf-Token": token}
