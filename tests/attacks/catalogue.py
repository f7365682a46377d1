"""Every attack that is tried against approvals within one process; the others are in `tests/end_to_end`."""

from __future__ import annotations

from tests.attacks import answering, pressing, running, tampering

ATTACKS = (*answering.ATTACKS, *pressing.ATTACKS, *tampering.ATTACKS, *running.ATTACKS)
