"""The playbooks as flows read them: one module each, by the name that a runbook gives in `playbook`."""

from __future__ import annotations

from importlib import import_module

from runbooks.records import ResponseEnded
from tasks.run import current


async def play() -> ResponseEnded:
    """Carry out the playbook of the current response's runbook, from the alert to the post-mortem."""
    ended: ResponseEnded = await import_module(f"{__name__}.{current().runbook.playbook}").play()
    return ended
