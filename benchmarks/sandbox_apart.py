"""The sandbox in a process of its own, as AWS is: what it computes is not taken from who calls it."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from deployments.processes import Service, Stack, inherited


class SandboxApart:
    """The control routes of a running sandbox.

    Args:
        url: where its AWS is.
        pace: sandbox seconds that pass in one real second.
    """

    def __init__(self, url: str, pace: float) -> None:
        self.url = url
        self._pace = pace
        self._client = httpx.Client(base_url=f"{url}/sandbox", trust_env=False, timeout=120)
        self._read_clock(self._client.get("/clock").json())

    def now(self) -> datetime:
        """The sandbox's time."""
        return self._read_at + timedelta(seconds=(time.monotonic() - self._read) * self._pace)

    def advance(self, seconds: float) -> None:
        """Let sandbox time pass."""
        self._read_clock(self._post("/clock/advance", {"seconds": seconds}))

    def reset(self) -> None:
        """An empty cloud again."""
        self._post("/reset", {})
        self._read_clock(self._client.get("/clock").json())

    def furnish(self, finding: dict[str, Any], **options: Any) -> dict[str, Any]:
        """Build the world around a finding."""
        return self._post("/furnish", {"finding": finding, "options": options})

    def enforce(self, scale: float, answer_seconds: float = 0.0) -> None:
        """Enforce the documented request rates, with full buckets; 0 takes every request again."""
        self._post("/throttling", {"scale": scale, "answer_seconds": answer_seconds})

    def throttling(self) -> dict[str, Any]:
        """What was asked for and refused since rates are enforced."""
        return self._client.get("/throttling").raise_for_status().json()

    def calls(self) -> list[dict[str, Any]]:
        """Every request since the last `forget_calls`."""
        return self._client.get("/calls").raise_for_status().json()["calls"]

    def forget_calls(self) -> None:
        """Begin to count anew."""
        self._client.delete("/calls").raise_for_status()

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self._client.post(path, content=json.dumps(body, default=str))
        return answer.raise_for_status().json()

    def _read_clock(self, told: dict[str, Any]) -> None:
        self._read_at, self._read = datetime.fromisoformat(told["now"]), time.monotonic()


@contextmanager
def sandbox_apart(pace: float) -> Iterator[SandboxApart]:
    """A sandbox that runs until the end; the clients of this process reach it, and nothing else."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder, Stack(Path(folder)) as stack:
        addresses = Path(folder, "addresses.json")
        command = (sys.executable, "-m", "deployments.sandbox.server", "--addresses", str(addresses))
        stack.start(Service("sandbox", (*command, "--pace", str(pace)), inherited(), ready=addresses.exists))
        url = json.loads(addresses.read_text(encoding="utf-8"))["aws"]
        with _reaching(url):
            yield SandboxApart(url, pace)


@contextmanager
def _reaching(url: str) -> Iterator[None]:
    wanted = {"AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
