"""The one way a task of ours is made: visible under a readable name, never cached, retried when the world failed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun

from runbooks.errors import Outside

P = ParamSpec("P")
R = TypeVar("R")

RETRIES = 2
RETRY_SECONDS = 5


def visible(name: str, task_run_name: str) -> Callable[[Callable[P, R]], Task[P, R]]:
    """Make a function a Prefect task. The ledger knows what was done: nothing rests on Prefect's cache or results.

    Args:
        name: the task's name in the Prefect UI.
        task_run_name: the name of each run of it; may name parameters in braces.
    """
    return task(
        name=name,
        task_run_name=task_run_name,
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=RETRIES,
        retry_delay_seconds=RETRY_SECONDS,
        retry_condition_fn=_outside_failed,
    )


def _outside_failed(task: Task[Any, Any], run: TaskRun, state: State[Any]) -> bool:
    """A refusal, or a mistake of ours, is not better the second time."""
    return isinstance(state.data, Outside)
