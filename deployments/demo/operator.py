"""The operator's part: answering the approval form through the same API call that the form in the UI makes."""

from __future__ import annotations

import time
import uuid

import httpx

from deployments.demo.authenticators import Authenticators
from runbooks.errors import Outside

COMMENTS = {"approve": "Read and agreed: go ahead", "reject": "Not now: the shop is in its busiest hour"}


class Operator:
    """Reads the open form of a suspended flow run, and fills it in, each time with another code."""

    def __init__(self, prefect: str, authenticators: Authenticators, decision: str = "approve") -> None:
        self._decision = decision
        self._authenticators = authenticators
        self._client = httpx.Client(base_url=f"{prefect}/api", trust_env=False, timeout=90)
        self._id = str(uuid.uuid4())

    def close(self) -> None:
        self._client.close()

    def form(self, flow_run: str) -> str | None:
        """What the form shows, None while the run is not suspended with one, or Prefect does not answer."""
        try:
            return self._form(flow_run)
        except httpx.TransportError:
            return None

    def _form(self, flow_run: str) -> str | None:
        state = self._client.get(f"/flow_runs/{flow_run}").raise_for_status().json()["state"]
        keys = state["state_details"].get("run_input_keyset") if state["type"] == "PAUSED" else None
        if not keys:
            return None
        shown = self._client.get(f"/flow_runs/{flow_run}/input/{keys['description']}")
        schema = self._client.get(f"/flow_runs/{flow_run}/input/{keys['schema']}")
        return shown.json() if shown.status_code == schema.status_code == httpx.codes.OK else None

    def answer(self, flow_run: str) -> None:
        """Submit the form.

        Raises:
            Outside: Prefect did not take the answer. Its API says so in the body, under a status code of 200.
        """
        approver, code = self._authenticators.take()
        comment = COMMENTS[self._decision]
        answer = {"decision": self._decision, "approver": approver, "one_time_code": code, "comment": comment}
        taken = self._submit(flow_run, answer)
        # SQLite says 503 under load: the answer was not taken, and may be given again. So it may when nobody answered:
        # a form that was taken all the same says so.
        for pause in (0.5, 1, 2, 5, 10, 10):
            if taken is not None and taken.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            time.sleep(pause)
            taken = self._submit(flow_run, answer)
        if taken is None:
            raise Outside("Prefect does not answer", code="form-refused")
        status = taken.json().get("status") if taken.is_success else None
        if status != "ACCEPT":
            raise Outside(f"Prefect did not take the answer: {status or taken.status_code}", code="form-refused")

    def _submit(self, flow_run: str, answer: dict[str, str]) -> httpx.Response | None:
        """What Prefect says; None where it does not answer."""
        address = f"/flow_runs/{flow_run}/resume"
        try:
            return self._client.post(address, json={"run_input": answer}, headers=self._protection())
        except httpx.TransportError:
            return None

    def _protection(self) -> dict[str, str]:
        token = self._client.get("/csrf-token", params={"client": self._id}).raise_for_status().json()["token"]
        return {"Prefect-Csrf-Client": self._id, "Prefect-Csrf-Token": token}
