"""One furnished world for all attacks, which none of them changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from deployments.sandbox.server import Sandbox
from tests.attacks.scene import Scene, Stage
from tests.tasks.conftest import executor_aws, ledgers, shaky_sessions
from tests.tasks.harness import House
from tests.tasks.shaky import ShakySessions

__all__ = ["executor_aws", "ledgers", "shaky_sessions"]

SetScene = Callable[..., AbstractContextManager[Scene]]


@pytest.fixture(scope="session")
def stage(
    executor_aws: Sandbox, shaky_sessions: ShakySessions, ledgers: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", executor_aws.url)
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        executor_aws.reset()
        house = House(executor_aws, shaky_sessions, ledgers)
        built = Stage.build(house, tmp_path_factory.mktemp("attacks"))
        yield built
        built.house.close()


@pytest.fixture
def set_scene(stage: Stage, tmp_path: Path) -> SetScene:
    """Sets the scene of one attack."""
    return partial(Scene.set, stage, tmp_path)
