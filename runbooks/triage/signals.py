"""What speaks for haste, whatever the resource: signals, priority, and whether the findings still call for anything."""

from __future__ import annotations

from runbooks.definition import Runbook, Signal
from runbooks.facts import CaseFacts
from runbooks.finding import Finding, FindingStatus
from runbooks.triage.assessment import Decided, PackageState, Priority, Triage


def active(facts: CaseFacts) -> tuple[Finding, ...]:
    """The findings that call for something: closed and accepted ones do not, as long as another is active."""
    return tuple(each for each in facts.findings if each.status == FindingStatus.ACTIVE) or facts.findings


def answered(facts: CaseFacts) -> tuple[str, str] | None:
    """Code and reason, where the findings themselves leave nothing to do."""
    if not facts.findings:
        return "finding-gone", "Inspector no longer has the finding: it was deleted after its resource or its closure"
    if all(finding.status == FindingStatus.CLOSED for finding in facts.findings):
        return "finding-closed", "Inspector has closed the finding since it was sent"
    if all(finding.status != FindingStatus.ACTIVE for finding in facts.findings):
        return "finding-suppressed", "a suppression rule covers the finding: its owner accepted it"
    return None


def ends(
    facts: CaseFacts,
    code: str,
    reason: str,
    decision: Decided = "nothing-to-do",
    *,
    packages: tuple[PackageState, ...] = (),
) -> Triage:
    """A triage that ends there: nobody has anything to do, or a person has."""
    return Triage(case=facts.case, decision=decision, code=code, reasons=(reason,), packages=packages)


def signals(
    facts: CaseFacts, runbook: Runbook, exposed: str | None, not_exposed: str
) -> tuple[tuple[Signal, ...], tuple[str, ...]]:
    """The signals that hold, and the reasons for these and for what does not hold.

    Args:
        exposed: how it can be reached from the internet, in words; None where it cannot.
        not_exposed: what is said then.
    """
    found: dict[Signal, str] = {}
    exploitation = facts.exploitation
    told = (exploitation.epss, *(finding.epss for finding in facts.findings))
    epss = max((each for each in told if each is not None), default=None)
    if exploitation.known_exploited_since is not None:
        since = exploitation.known_exploited_since.date().isoformat()
        found[Signal.EXPLOITED_IN_THE_WILD] = f"exploited in the wild: in CISA's KEV catalogue since {since}"
    if exploitation.exploit_available or any(finding.exploit_available for finding in facts.findings):
        found[Signal.KNOWN_EXPLOIT] = "an exploit is publicly known"
    elif epss is not None and epss >= runbook.thresholds.epss:
        found[Signal.KNOWN_EXPLOIT] = f"EPSS {epss:.3f} is at or above the runbook's {runbook.thresholds.epss:g}"
    if exposed is not None:
        found[Signal.EXPOSED] = f"exposed to the internet: {exposed}"
    if facts.suspected:
        found[Signal.COMPROMISE_SUSPECTED] = f"compromise of this host is suspected: {facts.suspected}"
    absent = [not_exposed] if exposed is None else []
    if Signal.KNOWN_EXPLOIT not in found and Signal.EXPLOITED_IN_THE_WILD not in found:
        absent.append("no exploit is known" + (f" (EPSS {epss:.3f})" if epss is not None else ""))
    return tuple(found), (*found.values(), *absent)


def priority(facts: CaseFacts, found: tuple[Signal, ...]) -> tuple[Priority, str]:
    """The priority, and why."""
    level = _level(facts, found)
    return level, f"priority {level}: {_why(facts, found)}"


def _level(facts: CaseFacts, found: tuple[Signal, ...]) -> Priority:
    exploited = {Signal.EXPLOITED_IN_THE_WILD, Signal.KNOWN_EXPLOIT} & set(found)
    if Signal.COMPROMISE_SUSPECTED in found or (exploited and Signal.EXPOSED in found):
        return "P1"
    severe = any(finding.severity in ("HIGH", "CRITICAL") for finding in facts.findings)
    if exploited or (severe and Signal.EXPOSED in found):
        return "P2"
    return "P3" if severe else "P4"


def _why(facts: CaseFacts, found: tuple[Signal, ...]) -> str:
    worst = max(facts.findings, key=_weight)
    score = worst.inspector_score if worst.inspector_score is not None else worst.cvss_score
    named = ", ".join(signal.words for signal in found) or "neither exploited nor exposed"
    scored = f", score {score:g}" if score is not None else ""
    return f"severity {worst.severity}{scored}, {named}"


def _weight(finding: Finding) -> tuple[int, float]:
    return finding.severity_rank, finding.inspector_score or finding.cvss_score or 0.0
