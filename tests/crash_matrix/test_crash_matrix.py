"""A sample of the crash matrix; `make crash-matrix` takes every point."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from runbooks.steps import STEP_KINDS
from tests.crash_matrix.stories import STORIES

SAMPLE = len(STORIES)
UNBROKEN = {
    "patch-image": "copa works here, beside the product: tried in tests/tasks/test_image_patching.py",
    "stop-instance": "crashes strike it in the rounds of tests/tasks/reversibility",
    "start-instance": "crashes strike it in the rounds of tests/tasks/reversibility",
    "update-function-image": "one value set, under a revision; tried in tests/tasks/test_function_image_story.py",
    "launch-replacement": "its token and its tag are tried in tests/tasks/gateways/actions/test_replacement.py",
}
"""Kinds of steps that no story carries out, and why."""


def the_matrix(*options: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "tests.crash_matrix", *options)
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.timeout(900)
def test_wherever_a_process_is_broken_the_sweep_brings_its_response_home_and_no_kind_of_step_is_left_out():
    ended = the_matrix("--sample", str(SAMPLE))

    figures = re.search(r"^(\d+) points, (.*)$", ended.stdout, re.MULTILINE)
    assert figures, ended.stderr
    assert (int(figures[1]), figures[2]) == (SAMPLE, "0 duplicates, 0 lost, 0 unrestorable, 0 left open"), ended.stdout
    assert ended.returncode == 0, ended.stdout + ended.stderr
    carried_out = re.search(r"^steps: (.*)$", ended.stdout, re.MULTILINE)
    assert carried_out
    every = {kind.model_fields["kind"].default for kind in STEP_KINDS}
    assert {*carried_out[1].split(", ")} == every - UNBROKEN.keys()


@pytest.mark.timeout(900)
def test_a_run_that_is_stopped_between_check_and_call_sends_that_one_call_and_no_other():
    ended = the_matrix("--stopped", "--only", "autoscaling:DetachInstances")

    figures = re.search(
        r"^(\d+) calls held back, (\d+) took effect all the same, (\d+) changes after them", ended.stdout, re.MULTILINE
    )
    assert figures, ended.stdout + ended.stderr
    assert figures.groups() == ("1", "1", "0")
    assert ended.returncode == 0, ended.stdout + ended.stderr
