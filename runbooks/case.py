"""A case: everything done about one resource for the findings one runbook covers."""

from __future__ import annotations

import hashlib

from runbooks.container_image import ImageId, short_digest
from runbooks.finding import Finding
from runbooks.function import FunctionId
from runbooks.model import Model


class CaseKey(Model):
    """What makes a case the same case: at most one is open for a key at any time."""

    runbook: str
    account: str
    region: str
    resource_type: str
    resource_id: str

    @classmethod
    def of(cls, finding: Finding, runbook: str) -> CaseKey:
        """The case that a finding belongs to under a runbook."""
        resource = finding.resource
        # A function is one case, whichever of its versions a finding names: Inspector scans its $LATEST.
        function = FunctionId.of(resource.id)
        return cls(
            runbook=runbook,
            account=resource.account,
            region=resource.region,
            resource_type=resource.type,
            resource_id=function.latest if function else resource.id,
        )

    @property
    def id(self) -> str:
        """Short, stable name of the case, derived from its key: `case-` and twelve hex digits."""
        text = f"{self.runbook}\n{self.account}\n{self.region}\n{self.resource_type}\n{self.resource_id}"
        return f"case-{hashlib.sha256(text.encode()).hexdigest()[:12]}"

    @property
    def name(self) -> str:
        """The resource for people."""
        return resource_name(self.resource_id)

    def __str__(self) -> str:
        return f"{self.name} ({self.account}, {self.region})"


def resource_name(resource_id: str) -> str:
    """A resource for people: its id; a function's name; an image's repository and the beginning of its digest."""
    if (function := FunctionId.of(resource_id)) is not None:
        return function.name
    image = ImageId.of(resource_id)
    return f"{image.repository}@{short_digest(image.digest)}" if image else resource_id


def case_stream(case_id: str) -> str:
    """The ledger stream of a case."""
    return f"case/{case_id}"


def response_stream(response_id: str) -> str:
    """The ledger stream of a response."""
    return f"response/{response_id}"


def reconciliation_stream(account: str, region: str) -> str:
    """The ledger stream of what Inspector was asked for in a region."""
    return f"reconciliation/{account}/{region}"


def coverage_stream(account: str, region: str, resource_id: str, scan_type: str) -> str:
    """The ledger stream of what is said of Inspector's scans of a resource."""
    return f"{COVERAGE}{account}/{region}/{scan_type}/{resource_id}"


def notice_stream(topic: str, subject: str) -> str:
    """The ledger stream of what people are told once."""
    return f"{NOTICES}{topic}/{hashlib.sha256(subject.encode()).hexdigest()[:16]}"


COVERAGE, NOTICES = "coverage/", "notice/"
"""What the names of those streams begin with."""
SYSTEM_STREAM = "system"
APPROVERS_STREAM = "approvers"
"""Who may say yes: registrations, revocations, and every one-time code that was tried."""
HALT_STREAM = "halt"
"""The kill switch: on and off again. Its last entry says which."""
