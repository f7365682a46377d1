"""Triage: from what was read to a priority and a decision, each with its reasons in words."""

from __future__ import annotations

from runbooks.container_image import ImageFacts
from runbooks.definition import Runbook
from runbooks.facts import CaseFacts
from runbooks.function import FunctionFacts
from runbooks.network import NetworkFacts
from runbooks.other_resource import OtherFacts
from runbooks.triage.assessment import Assessment, PackageState, Triage
from runbooks.triage.function import triage_function
from runbooks.triage.image import triage_image
from runbooks.triage.instance import package_id, package_states, triage_instance
from runbooks.triage.network import triage_network
from runbooks.triage.other import triage_other

__all__ = ["Assessment", "PackageState", "Triage", "assess", "package_id", "package_states", "triage"]


def assess(facts: CaseFacts, runbook: Runbook) -> Assessment:
    """The facts with what triage makes of them."""
    return Assessment(facts=facts, triage=triage(facts, runbook))


def triage(facts: CaseFacts, runbook: Runbook) -> Triage:
    """Decide what the case calls for. Pure: the same facts and runbook give the same answer, with its reasons."""
    if isinstance(facts.resource, ImageFacts):
        return triage_image(facts, runbook)
    if isinstance(facts.resource, FunctionFacts):
        return triage_function(facts, runbook)
    if isinstance(facts.resource, NetworkFacts):
        return triage_network(facts, runbook)
    if isinstance(facts.resource, OtherFacts):
        return triage_other(facts, runbook)
    return triage_instance(facts, runbook)
