"""The gate: whether an image, or what an SBOM lists, may go on. Rules, judgement, and how both are told."""

from __future__ import annotations

from runbooks.gating.definition import AcceptedRisk, Gate, Refuse
from runbooks.gating.judgement import Judgement, Outcome, Ruling, Seen, Weighed, judge
from runbooks.gating.subject import ImageName, Subject, gate_stream
from runbooks.gating.vulnerability import Vulnerability, of_findings

__all__ = [
    "AcceptedRisk",
    "Gate",
    "ImageName",
    "Judgement",
    "Outcome",
    "Refuse",
    "Ruling",
    "Seen",
    "Subject",
    "Vulnerability",
    "Weighed",
    "gate_stream",
    "judge",
    "of_findings",
]
