"""All that was read for one case, as triage and planning take it."""

from __future__ import annotations

from runbooks.finding import Finding
from runbooks.instance import Exploitation, InstanceFacts
from runbooks.model import Model

SUSPICION_TAG = "remediation:compromise-suspected"
"""A person or a detection puts this tag on an instance that may be compromised; its value says who, or why."""


class CaseFacts(Model):
    """The case's findings as Inspector has them now, what is known of exploits, and the instance."""

    case: str
    findings: tuple[Finding, ...]
    exploitation: Exploitation = Exploitation()
    resource: InstanceFacts
    contained: bool = False
    """Whether a containment of this instance is in force: what its groups show now is our own doing."""
    suspected: str | None = None
    """Who or what says that this very host is compromised (the value of SUSPICION_TAG), None when nobody does."""
