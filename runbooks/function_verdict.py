"""Whether a case about a Lambda function is fixed. Closed is not fixed.

Inspector scans $LATEST and nothing else (Inspector user guide, "Scanning AWS Lambda functions"), so that its finding
closes while an alias still serves the old version. What counts is that $LATEST was scanned after its last change and
lacks the vulnerability, and that everything which is served is that very content.
"""

from __future__ import annotations

from collections.abc import Iterator

from runbooks.evidence import FunctionEvidence
from runbooks.finding import FindingStatus
from runbooks.function import LATEST
from runbooks.timestamps import moment
from runbooks.verdict import NotYet, Verdict, VerdictKind

__all__ = ["FunctionEvidence", "judge_function"]

_PENDING = ("PENDING_INITIAL_SCAN", "PENDING_REVIVAL_SCAN")
"""Reasons of a coverage that pass by themselves (ScanStatus, Inspector API reference)."""
_Answer = tuple[VerdictKind | None, tuple[str, ...]]


def judge_function(case: str, evidence: FunctionEvidence, *, final: bool) -> Verdict | NotYet:
    """The verdict on a case about a function.

    Args:
        final: whether waiting is over: what is still missing then makes the verdict unverifiable.
    """
    kind, reasons = _judged(evidence, final=final)
    if kind is None and not final:
        return NotYet(reasons=reasons)
    return Verdict(case=case, kind=kind or VerdictKind.UNVERIFIABLE, reasons=reasons, evidence=(evidence,))


def _judged(evidence: FunctionEvidence, *, final: bool) -> _Answer:
    if evidence.gone or evidence.latest is None:
        return VerdictKind.UNVERIFIABLE, ("the function is gone: its finding closes without being fixed",)
    old, other = tuple(_old(evidence)), tuple(_other(evidence))
    if old:
        return VerdictKind.NOT_FIXED, old
    kind, reasons = _of_latest(evidence, final=final)
    if kind is not VerdictKind.FIXED:
        return kind, reasons
    if other:
        return VerdictKind.UNVERIFIABLE, (*other, *reasons)
    return kind, (*reasons, *_same(evidence))


def _old(evidence: FunctionEvidence) -> Iterator[str]:
    """What still serves the content that was found vulnerable.

    Of what $LATEST is now Inspector's scan is the evidence: a triage that reads a finding after the update, and before
    the scan that closes it, takes the patched content for a vulnerable one.
    """
    old = [content for content in evidence.vulnerable if content != evidence.latest]
    for alias in evidence.aliases:
        for served in alias.serves:
            if served.version != LATEST and served.content in old:
                share = f" to {share:.0%}" if (share := alias.weights.get(served.version)) else ""
                yield f"alias {alias.name} still serves version {served.version}{share}, which has the vulnerability"
    yield from (f"{words}, which nobody has brought to another" for words in evidence.pinned)


def _other(evidence: FunctionEvidence) -> Iterator[str]:
    """What serves neither the old content nor the one that was scanned."""
    for alias in evidence.aliases:
        for served in alias.serves:
            if served.version != LATEST and served.content not in (*evidence.vulnerable, evidence.latest):
                yield f"alias {alias.name} serves version {served.version}, which is not what Inspector has scanned"


def _of_latest(evidence: FunctionEvidence, *, final: bool) -> _Answer:
    """What Inspector says of $LATEST since it was changed last."""
    coverage, modified = evidence.coverage, evidence.modified_at
    if coverage is None:
        return None, ("Inspector does not list the function in its coverage",)
    if coverage.status != "ACTIVE" or coverage.reason in _PENDING:
        kind = None if coverage.reason in _PENDING else VerdictKind.UNVERIFIABLE
        return kind, (f"Inspector does not scan the function now: {coverage.reason}",)
    scanned = coverage.last_scanned_at
    if scanned is None or modified is None or scanned <= modified:
        return None, (f"Inspector has not scanned {LATEST} since it was changed",)
    if FindingStatus.SUPPRESSED in evidence.findings.values():
        return VerdictKind.UNVERIFIABLE, (f"a suppression rule hides the finding on {LATEST}",)
    if not evidence.findings:
        return VerdictKind.UNVERIFIABLE, ("no finding says what was to be fixed",)
    if FindingStatus.ACTIVE in evidence.findings.values():
        again = final or (evidence.reported_at is not None and evidence.reported_at > modified)
        words = f"Inspector scanned {LATEST} since it was changed, and still reports the finding"
        return (VerdictKind.NOT_FIXED if again else None), (words,)
    return VerdictKind.FIXED, (
        f"Inspector scanned {LATEST} at {moment(scanned)}, after its last change, and reports it no more",
    )


def _same(evidence: FunctionEvidence) -> Iterator[str]:
    for alias in evidence.aliases:
        version = alias.version
        if version == LATEST:
            yield f"alias {alias.name} serves {LATEST} itself"
        else:
            yield f"alias {alias.name} serves version {version}: the same code, layers and runtime as were scanned"
    if not evidence.aliases:
        yield f"no alias serves anything but {LATEST}"
