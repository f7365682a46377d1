"""The verdict on a closed way in: the path evaluated again, and Inspector's own next look. Closed is not fixed."""

from __future__ import annotations

from datetime import datetime

from runbooks.evidence import NetworkEvidence
from runbooks.finding import FindingStatus
from runbooks.timestamps import moment
from runbooks.verdict import PASSING, NotYet, Verdict, VerdictKind

EXPECTED = "EXPECTED"
"""The status of a finding that is only about what the instance's tag says is meant to be open."""
EVERY = "which it does every 12 hours"
"""Inspector user guide, "Scanning Amazon EC2 instances": network reachability."""

_Answer = tuple[VerdictKind | None, str]


def judge_network(case: str, evidence: NetworkEvidence, since: datetime, *, final: bool) -> Verdict | NotYet:
    """The verdict on a case about ways in.

    That a way still leads in is known at once; that none does is only proven when Inspector has looked, too.

    Args:
        since: when the last change that should have closed it was made.
        final: whether waiting is over: what is still missing then makes the verdict unverifiable.
    """
    kind, reason = _answer(evidence, since)
    reasons = (*_way_words(evidence), reason)
    if kind is None and not final:
        return NotYet(reasons=(reason,))
    return Verdict(case=case, kind=kind or VerdictKind.UNVERIFIABLE, reasons=reasons, evidence=(evidence,))


def _answer(each: NetworkEvidence, since: datetime) -> _Answer:
    if each.gone:
        return VerdictKind.UNVERIFIABLE, f"{each.resource} is gone: its finding closes without being fixed"
    if each.paths:
        seen = "still reports it" if FindingStatus.ACTIVE in each.findings.values() else "has closed the finding"
        return VerdictKind.NOT_FIXED, f"the way in is still there, and Inspector {seen}"
    if not each.ports:
        return VerdictKind.UNVERIFIABLE, "no finding says which ports were open"
    if FindingStatus.SUPPRESSED in each.findings.values():
        return VerdictKind.UNVERIFIABLE, f"a suppression rule hides the finding on {each.resource}"
    return _by_inspector(each, since)


def _by_inspector(each: NetworkEvidence, since: datetime) -> _Answer:
    if each.coverage is None:
        return None, f"Inspector does not list the network of {each.resource} in its coverage"
    if each.coverage.status != "ACTIVE":
        kind = None if each.coverage.reason in PASSING else VerdictKind.UNVERIFIABLE
        return kind, f"Inspector does not evaluate the network of {each.resource} now: {each.coverage.reason}"
    scanned = each.coverage.last_scanned_at
    looked = max((at for at in (scanned, each.closed_at) if at is not None), default=None)
    if looked is None or looked <= since:
        return None, f"Inspector has not evaluated the network of {each.resource} since the change, {EVERY}"
    if FindingStatus.ACTIVE in each.findings.values():
        return None, f"Inspector still reports the way into {each.resource}, and none is seen there"
    if each.beside:
        others = " and ".join(each.beside)
        return VerdictKind.UNVERIFIABLE, f"another path leads to {others} of {each.resource}: a person decides about it"
    return VerdictKind.FIXED, (
        f"Inspector evaluated the network of {each.resource} at {moment(looked)}, after the change, and reports "
        "the way in no more"
    )


def _way_words(each: NetworkEvidence) -> tuple[str, ...]:
    if each.gone or not each.ports:
        return ()
    ports = " and ".join(each.ports)
    return each.paths or (f"nothing leads from the internet to {ports} of {each.resource} now",)
