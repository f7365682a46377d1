"""Which failures a Prefect task is retried for: those of the world outside, which may pass."""

from __future__ import annotations

from typing import Any

from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task

from runbooks.errors import Outside

RETRIES = 2
RETRY_SECONDS = 5


def outside_failed(task: Task[Any, Any], run: TaskRun, state: State[Any]) -> bool:
    """True when AWS, Slack, Jira or Prefect failed; a refusal, or a mistake of ours, is not better the second time."""
    return isinstance(state.data, Outside)
