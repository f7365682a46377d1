"""What the gate is asked about here: a registry in one's own account, and rules that pass what they cannot judge."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.tasks.gateways.aws_world import AwsWorld
from tests.tasks.scanned import REGION, Registry, a_registry

if TYPE_CHECKING:
    from tests.deployments.cli.conftest import Run

OWN_ACCOUNT = "123456789012"
"""The one that the credentials of the tests belong to."""

LAX = """\
name: lax
title: Lets pass what it cannot judge
refuse:
  severities: [CRITICAL]
accepted:
  - vulnerability: CVE-2024-5535
    package: openssl
    owner: jane@example.com
    reason: Only the command line tool is used.
    compensating_controls: [Nothing listens.]
    expires: 2999-12-31
cannot_tell: pass
wait_minutes: 0
"""


@pytest.fixture
def registry(aws: AwsWorld, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    return a_registry(aws.sandbox, account=OWN_ACCOUNT)


@pytest.fixture
def lax(tmp_path: Path) -> Path:
    file = tmp_path / "lax.yaml"
    file.write_text(LAX, encoding="utf-8")
    return file


def digest_of(run: Run, image: str) -> str:
    return run("gate", image, "--format", "json", "--wait", 0).json["subject"]["digest"]
