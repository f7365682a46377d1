"""The playbooks, by the name that a runbook gives in `playbook`."""

from __future__ import annotations

from importlib import import_module

from tasks.playbooks.playbook import Playbook
from tasks.run import Run


def playbook(run: Run) -> Playbook:
    """The playbook of the run's runbook. Only that one is imported."""
    chosen: Playbook = import_module(f"{__name__}.{run.runbook.playbook}").PLAYBOOK
    return chosen
