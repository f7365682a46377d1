"""Whatever is tried while a response is played out: nothing is changed in the world, and the ledger tells of it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.attacks.played.attack import PlayedAttack
from tests.attacks.played.catalogue import ATTACKS


@pytest.fixture(scope="module")
def came() -> dict[str, dict[str, Any]]:
    """What came of each, by its name. They are tried in a process of their own, which forks."""
    command = (sys.executable, "-m", "tests.attacks.played")
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    found = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith('{"name"')]
    return {each["name"]: each for each in found}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_it_is_refused_changes_nothing_and_is_written_down(
    attack: PlayedAttack, came: dict[str, dict[str, Any]]
) -> None:
    assert attack.name in came, "its moment never came"
    assert tuple(came[attack.name]["changes"]) == attack.changes
    assert attack.told in came[attack.name]["told"]
    assert came[attack.name]["loud"] == []
