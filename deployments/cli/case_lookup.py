"""Finding the case that a person means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployments.cli.findings import is_arn
from runbooks.errors import BadInput, NotFound

if TYPE_CHECKING:
    from tasks.gateways.ledger import CaseRow, Ledger


def find_case(ledger: Ledger, text: str) -> CaseRow:
    """The one case of this id, of an id that begins so, on this resource, or with this finding.

    Raises:
        NotFound: there is none.
        BadInput: there are several (code `ambiguous-case`).
    """
    found = list(_with_finding(ledger, text) if is_arn(text) else ledger.find_cases(text))
    if not found:
        raise NotFound(f"no case is known by {text!r}; see runbooks cases list", code="no-such-case")
    if len(found) > 1:
        several = ", ".join(f"{case.id} ({case.key.runbook})" for case in found)
        raise BadInput(f"{text!r} may be any of {several}: give the id of one", code="ambiguous-case")
    return found[0]


def _with_finding(ledger: Ledger, arn: str) -> tuple[CaseRow, ...]:
    parts = arn.split(":")
    place = tuple(parts[3:5])
    here = (case for case in ledger.cases() if (case.key.region, case.key.account) == place)
    return tuple(case for case in here if any(finding.arn == arn for finding in ledger.case_findings(case.id)))
