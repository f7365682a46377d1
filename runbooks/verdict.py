"""The verdict on a case: fixed, not fixed or unverifiable, from evidence that agrees. Closed is not fixed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum

from runbooks.errors import BadInput
from runbooks.evidence import ABSENT, AnyEvidence, Coverage, Evidence, ImageEvidence
from runbooks.finding import FindingStatus
from runbooks.model import Model
from runbooks.packages import Scheme, is_fixed, scheme_for
from runbooks.timestamps import moment

__all__ = [
    "ABSENT",
    "PASSING",
    "WORST_FIRST",
    "AnyEvidence",
    "Coverage",
    "Evidence",
    "ImageEvidence",
    "NotYet",
    "Verdict",
    "VerdictKind",
    "judge",
]

PASSING = ("PENDING_INITIAL_SCAN", "UNMANAGED_EC2_INSTANCE", "NO_INVENTORY", "STALE_INVENTORY")
"""Why a new or just patched instance is not scanned at first; it passes with its first inventory (ScanStatus)."""


class VerdictKind(StrEnum):
    FIXED = "fixed"
    NOT_FIXED = "not fixed"
    UNVERIFIABLE = "unverifiable"


WORST_FIRST = (VerdictKind.NOT_FIXED, VerdictKind.UNVERIFIABLE, VerdictKind.FIXED)


class Verdict(Model):
    """The answer, with its reasons in words and the evidence behind it."""

    case: str
    kind: VerdictKind
    reasons: tuple[str, ...]
    evidence: tuple[AnyEvidence, ...]


class NotYet(Model):
    """The evidence is not in: what is still waited for."""

    reasons: tuple[str, ...]


def judge(
    case: str,
    evidence: Sequence[Evidence],
    fixed_in: Mapping[str, str | None],
    since: datetime,
    *,
    final: bool,
) -> Verdict | NotYet:
    """The verdict on a case, from all its resources.

    Args:
        fixed_in: package -> version that fixes it, as the findings say; None when none is published.
        since: when the last change that should have fixed it was made; only evidence later than this counts.
        final: whether waiting is over: what is still missing then makes the verdict unverifiable.
    """
    answers = [_judge_one(each, fixed_in, since) for each in evidence]
    reasons = tuple(reason for _, found in answers for reason in found)
    kinds = [kind for kind, _ in answers]
    if VerdictKind.NOT_FIXED in kinds:
        kind = VerdictKind.NOT_FIXED
    elif None in kinds and not final:
        return NotYet(reasons=tuple(reason for answer, found in answers if answer is None for reason in found))
    elif not kinds or None in kinds or VerdictKind.UNVERIFIABLE in kinds:
        kind = VerdictKind.UNVERIFIABLE
    else:
        kind = VerdictKind.FIXED
    return Verdict(case=case, kind=kind, reasons=reasons or ("there was nothing to read",), evidence=tuple(evidence))


def _judge_one(
    each: Evidence, fixed_in: Mapping[str, str | None], since: datetime
) -> tuple[VerdictKind | None, tuple[str, ...]]:
    """The answer for one resource; None while the evidence is not in."""
    if each.gone:
        return VerdictKind.UNVERIFIABLE, (f"{each.resource} is gone: its finding closes without being fixed",)
    if each.coverage is None:
        return None, (f"Inspector does not list {each.resource} in its coverage",)
    scanned = each.coverage.last_scanned_at
    if each.coverage.status != "ACTIVE":
        kind = None if each.coverage.reason in PASSING else VerdictKind.UNVERIFIABLE
        return kind, (f"Inspector does not scan {each.resource} now: {each.coverage.reason}",)
    if scanned is None or scanned <= since:
        return None, (f"Inspector has not scanned {each.resource} since the change",)
    if each.inventory_captured_at is None or each.inventory_captured_at <= since:
        return None, (f"the inventory of {each.resource} is older than the change",)
    return _agreement(each, fixed_in)


def _agreement(each: Evidence, fixed_in: Mapping[str, str | None]) -> tuple[VerdictKind | None, tuple[str, ...]]:
    """Whether the finding and the installed versions say the same."""
    active = [arn for arn, status in each.findings.items() if status == FindingStatus.ACTIVE]
    hidden = [arn for arn, status in each.findings.items() if status == FindingStatus.SUPPRESSED]
    packages = list(_packages(each, fixed_in))
    words = tuple(reason for _, reason in packages)
    if hidden:
        return VerdictKind.UNVERIFIABLE, (*words, f"a suppression rule hides the finding on {each.resource}")
    if any(fixed is False for fixed, _ in packages):
        return VerdictKind.NOT_FIXED, (*words, *_finding_words(each, active))
    if any(fixed is None for fixed, _ in packages):
        return VerdictKind.UNVERIFIABLE, words
    if not packages:
        return VerdictKind.UNVERIFIABLE, (f"no finding names a package whose version on {each.resource} could be read",)
    if active:
        return None, (*words, f"Inspector still reports the finding on {each.resource}, against the installed version")
    scanned = each.coverage.last_scanned_at if each.coverage else None
    at = f" at {moment(scanned)}" if scanned else ""
    seen = f"Inspector scanned {each.resource}{at}, after the change, and reports it no more"
    return VerdictKind.FIXED, (*words, seen)


def _packages(each: Evidence, fixed_in: Mapping[str, str | None]) -> Iterator[tuple[bool | None, str]]:
    scheme = scheme_for(each.platform, "OS")
    for name, fix in fixed_in.items():
        installed = each.installed.get(name)
        if name in each.unreadable:
            yield None, f"which version of {name} is on {each.resource} cannot be read: the system does not manage it"
        elif installed is None:
            yield True, f"{name} is not installed on {each.resource}"
        elif fix is None or scheme is None:
            yield (
                None,
                f"{name} {installed} on {each.resource}: which version fixes it, or how to compare, is not known",
            )
        else:
            yield _compared(each.resource, name, installed, fix, scheme)


def _compared(resource: str, name: str, installed: str, fix: str, scheme: Scheme) -> tuple[bool | None, str]:
    try:
        fixed = is_fixed(installed, fix, scheme)
    except BadInput as error:
        return None, f"{name} on {resource}: {error}"
    return fixed, f"{name} {installed} on {resource} is {'at or after' if fixed else 'before'} the fix {fix}"


def _finding_words(each: Evidence, active: Sequence[str]) -> tuple[str, ...]:
    if active:
        return (f"Inspector still reports the finding on {each.resource}",)
    return (f"Inspector closed the finding on {each.resource}, but the vulnerable version is still installed",)
