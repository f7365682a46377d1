"""What is written in the stream of a case: findings, triage, verdicts."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from runbooks.case import CaseKey
from runbooks.finding import Finding
from runbooks.model import Model
from runbooks.triage import Assessment
from runbooks.verdict import Verdict


class CaseOpened(Model):
    kind: Literal["case-opened"] = "case-opened"
    key: CaseKey
    reopened: bool = False


class FindingSeen(Model):
    """A finding arrived for the case; disclosure, first-seen and update times are the finding's own."""

    kind: Literal["finding-seen"] = "finding-seen"
    finding: Finding
    source: str
    """webhook, command, sweep."""
    delivery: str | None = None
    is_hasty: bool = False
    """It called for haste as it came: its case waits for no others like it."""


class CaseTriaged(Model):
    kind: Literal["case-triaged"] = "case-triaged"
    response: str
    assessment: Assessment
    findings_through: int | None = None
    """The entry of the case's newest sighting of a finding that triage could read: what came while it read is for the
    next response. None, in entries of before: all that there was."""


class CaseVerdict(Model):
    kind: Literal["case-verdict"] = "case-verdict"
    response: str
    remediation: str | None
    """Digest of the remediate plan it judges; None for a look on demand."""
    verdict: Verdict
    signature: str = ""
    """A release may rest on it: one without a valid signature is no verdict."""


class CaseSuccessors(Model):
    """The instances that took the case's instance's place."""

    kind: Literal["case-successors"] = "case-successors"
    response: str
    successors: tuple[str, ...]


class CaseClosed(Model):
    kind: Literal["case-closed"] = "case-closed"
    response: str
    """Empty: by none; Inspector reports none of its findings any more, and none has to look at that."""
    reason: str


class CoverageLost(Model):
    """Inspector says that it scans a resource of the case no more: what its scans had proven is asked about again."""

    kind: Literal["coverage-lost"] = "coverage-lost"
    resource: str
    scan_type: str
    status: str
    reason: str
    reported: int
    """The entry, in the stream of the resource's coverage, that made somebody ask."""
    reopens: bool = False
    """Whether the case had been closed as fixed, and is open again."""


class Recurred(Model):
    """What was fixed in one case is back, in that case opened again or in another; in the streams of both."""

    kind: Literal["recurred"] = "recurred"
    fixed_in: str
    """The case that was closed as fixed."""
    fixed_at: datetime
    case: str
    """The case that handles it now."""
    finding: str
    """The ARN of the finding that showed it."""
