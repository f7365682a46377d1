"""Telling of an acceptance: what is meant to be as it is, is written on the alert's ticket before that is closed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runbooks.telling.accepted import acceptance_comment
from tasks.alert import ticket_of
from tasks.notices import undelivered
from tasks.run import current
from tasks.triage import already_triaged
from tasks.visible import visible

ACCEPTED = ("expected-exposure", "finding-suppressed")
"""Triage's codes for what somebody has accepted."""


@visible("accept", "Tell of what is accepted")
def tell_acceptance() -> None:
    """Write who has accepted what on the alert's ticket, once; nothing where nothing was, or no ticket is there."""
    run, triaged = current(), already_triaged()
    jira, alert = run.services.jira, ticket_of(run.response.id, run.history())
    accepted = [each for each in triaged.assessments if each.triage.code in ACCEPTED] if triaged else []
    if jira is None or alert is None or not accepted:
        return
    text = acceptance_comment(accepted, run.keys)

    def find(operation: str) -> Mapping[str, Any] | None:
        return {"ticket": alert.key} if jira.has_comment(alert.key, operation) else None

    def act(operation: str) -> Mapping[str, Any]:
        jira.comment(alert.key, text, operation)
        return {"ticket": alert.key}

    undelivered(lambda: run.journal.once("comment-ticket", "acceptance", find=find, act=act))
