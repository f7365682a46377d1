"""All that was read for one case, as triage and planning take it."""

from __future__ import annotations

from runbooks.finding import Finding
from runbooks.instance import Exploitation, InstanceFacts
from runbooks.model import Model


class CaseFacts(Model):
    """The case's findings as Inspector has them now, what is known of exploits, and the instance."""

    case: str
    findings: tuple[Finding, ...]
    exploitation: Exploitation = Exploitation()
    resource: InstanceFacts
    suspected: str | None = None
    """Who or what says that this very host is compromised, None when nobody does."""
