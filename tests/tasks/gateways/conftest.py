"""One sandbox for the session, emptied between tests. Its clock stands still: a test advances it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deployments.sandbox.server import Sandbox
from tests.tasks.gateways.aws_world import AwsWorld


@pytest.fixture(scope="session")
def running_aws() -> Iterator[Sandbox]:
    with Sandbox(pace=0.0) as sandbox:
        yield sandbox


@pytest.fixture
def aws(running_aws: Sandbox, monkeypatch: pytest.MonkeyPatch) -> AwsWorld:
    """The product finds it as it would find AWS: by the settings that boto3 itself reads."""
    running_aws.reset()
    monkeypatch.setenv("AWS_ENDPOINT_URL", running_aws.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    return AwsWorld(running_aws)
