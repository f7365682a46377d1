"""Whether a rebuilt image may be deployed, and whether a case about an image is fixed. Closed is not fixed.

Inspector closes an image's findings when it is gone, archived or out of its re-scan duration; it scans a digest when it
is pushed, and later only for a new CVE. So an old digest never becomes fixed: what counts is that nobody runs it, and
that the digest which runs instead was scanned and lacks the vulnerability.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runbooks.container_image import short_digest
from runbooks.definition import Runbook
from runbooks.evidence import ABSENT, CandidateEvidence, ImageEvidence, SuccessorEvidence
from runbooks.finding import SEVERITIES, Finding, FindingStatus
from runbooks.gating.coverage import scan_state
from runbooks.model import Model
from runbooks.verdict import NotYet, Verdict, VerdictKind

__all__ = [
    "CandidateEvidence",
    "Examination",
    "ImageEvidence",
    "SuccessorEvidence",
    "examine",
    "judge_image",
    "reduced",
]


class Examination(Model):
    """What Inspector's scan says of a rebuilt image before anybody runs it."""

    passed: bool
    reasons: tuple[str, ...]


def examine(
    candidate: CandidateEvidence, old: Sequence[Finding], runbook: Runbook, *, final: bool
) -> Examination | NotYet:
    """Whether the rebuilt image may go on.

    Args:
        old: every finding on the images whose place it takes, of whatever severity: what they had is nothing new.
        final: whether waiting is over: an image that was not scanned by then does not pass.
    """
    if candidate.digest in {finding.resource.id.rpartition("/")[2] for finding in old}:
        return Examination(passed=False, reasons=("the build has made the very image that is vulnerable",))
    state, name = scan_state(candidate.coverage), short_digest(candidate.digest)
    if state.kind == "pending" and not final:
        return NotYet(reasons=(f"{name}: {state.words}",))
    if state.kind != "ready":
        return Examination(passed=False, reasons=(f"{name} cannot be judged by its scan: {state.words}",))
    wanted = {_vulnerability(finding) for finding in old if runbook.matches.covers(finding)}
    if not wanted:
        return Examination(
            passed=False, reasons=("what was to be fixed is not known: no finding is left that says it",)
        )
    there = [finding for finding in candidate.findings if finding.status != FindingStatus.CLOSED]
    against = (*_still_there(there, wanted), *_brought(there, {_vulnerability(each) for each in old}, runbook))
    if against:
        return Examination(passed=False, reasons=tuple(f"{name}: {each}" for each in against))
    lacks = f"{name} was scanned, and lacks {', '.join(sorted(wanted))}"
    return Examination(
        passed=True, reasons=(lacks, f"it brings nothing new of severity {runbook.rebuild.refuse_new} or above")
    )


def judge_image(case: str, evidence: ImageEvidence, findings: Sequence[Finding], *, final: bool) -> Verdict | NotYet:
    """The verdict on a case about an image.

    Args:
        findings: the case's own.
        final: whether waiting is over.
    """
    kind, reasons = _judged(evidence, frozenset(map(_vulnerability, findings)), final=final)
    if kind is None:
        return NotYet(reasons=reasons)
    return Verdict(case=case, kind=kind, reasons=reasons, evidence=(evidence,))


def reduced(each: CandidateEvidence, findings: Sequence[Finding]) -> SuccessorEvidence:
    """What a verdict on a case with these findings keeps of it."""
    told = {_vulnerability(finding): finding.status for finding in each.findings}
    # Of two findings on one vulnerability, in two packages, the one that is open counts.
    told |= {
        _vulnerability(finding): finding.status for finding in each.findings if finding.status != FindingStatus.CLOSED
    }
    wanted = dict.fromkeys(map(_vulnerability, findings))
    return SuccessorEvidence(
        digest=each.digest,
        coverage=each.coverage,
        vulnerabilities={name: told.get(name, ABSENT) for name in wanted},
    )


def _judged(
    evidence: ImageEvidence, wanted: frozenset[str], *, final: bool
) -> tuple[VerdictKind | None, tuple[str, ...]]:
    """The answer, or None while the evidence is not in, with the reasons."""
    answers = [_successor(each, wanted, final=final) for each in evidence.successors]
    told = tuple(reason for _, reasons in answers for reason in reasons)
    kinds = [kind for kind, _ in answers]
    if VerdictKind.NOT_FIXED in kinds:
        return VerdictKind.NOT_FIXED, told
    if evidence.users:
        who = f"the vulnerable image is still run by {', '.join(evidence.users)}"
        left = _left(evidence.users, evidence)
        return (VerdictKind.NOT_FIXED if final or left else None), (who, *left, *told)
    if evidence.unseen:
        unseen = f"who runs the vulnerable image cannot be seen everywhere: {', '.join(evidence.unseen)}"
        left = _left(evidence.unseen, evidence)
        return (VerdictKind.UNVERIFIABLE if final or left else None), (unseen, *left, *told)
    if (gone := _gone(evidence)) is not None:
        return VerdictKind.UNVERIFIABLE, (gone,)
    if not evidence.successors or not wanted:
        why = "nothing is known of an image in its place" if wanted else "no finding says what was to be fixed"
        return (VerdictKind.UNVERIFIABLE if final or not wanted else None), (why,)
    if None in kinds or VerdictKind.UNVERIFIABLE in kinds:
        return (None if None in kinds else VerdictKind.UNVERIFIABLE), told
    return VerdictKind.FIXED, ("nobody runs the vulnerable image any more", *told)


def _left(users: Sequence[str], evidence: ImageEvidence) -> tuple[str, ...]:
    """Why it is not waited for those of them to whom nothing was deployed; empty where there is none."""
    left = [each for each in users if each in evidence.left]
    return (f"nothing was deployed to {', '.join(left)}: a person brings them to another image",) if left else ()


def _gone(evidence: ImageEvidence) -> str | None:
    """Why nothing was proven, where the image went away by itself."""
    if not (evidence.gone or evidence.archived) or evidence.deployed or evidence.was_run:
        return None
    what = "is gone" if evidence.gone else "is archived"
    return f"the vulnerable image {what}, and nobody was seen to run it: its findings close without being fixed"


def _successor(
    each: SuccessorEvidence, wanted: frozenset[str], *, final: bool
) -> tuple[VerdictKind | None, tuple[str, ...]]:
    name, state = short_digest(each.digest), scan_state(each.coverage)
    there = {status: [] for status in (FindingStatus.ACTIVE, FindingStatus.SUPPRESSED)} | _by_status(each, wanted)
    if has := there[FindingStatus.ACTIVE]:
        return VerdictKind.NOT_FIXED, (f"{name} runs in its place, and has {', '.join(has)} too",)
    if state.kind == "pending":
        return (VerdictKind.UNVERIFIABLE if final else None), (f"{name} runs in its place: {state.words}",)
    if state.kind == "unable":
        return VerdictKind.UNVERIFIABLE, (f"{name} runs in its place and cannot be judged: {state.words}",)
    if hidden := there[FindingStatus.SUPPRESSED]:
        return VerdictKind.UNVERIFIABLE, (f"a suppression rule hides {', '.join(hidden)} on {name}",)
    return VerdictKind.FIXED, (f"{name} is there in its place: it was scanned, and lacks {', '.join(sorted(wanted))}",)


def _by_status(each: SuccessorEvidence, wanted: frozenset[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, status in each.vulnerabilities.items():
        if name in wanted:
            found.setdefault(status, []).append(name)
    return found


def _still_there(there: Sequence[Finding], wanted: set[str]) -> Iterator[str]:
    for name in dict.fromkeys(_vulnerability(finding) for finding in there):
        if name in wanted:
            hidden = all(each.status != FindingStatus.ACTIVE for each in there if _vulnerability(each) == name)
            yield f"it has {name} still" + (", which a suppression rule hides" if hidden else "")


def _brought(there: Sequence[Finding], known: set[str], runbook: Runbook) -> Iterator[str]:
    """What is new in it and not tolerated. A threshold of UNTRIAGED tolerates nothing."""
    threshold = runbook.rebuild.refuse_new
    rank = SEVERITIES.index(threshold) if threshold in SEVERITIES else -1
    for finding in there:
        if _vulnerability(finding) not in known and finding.severity_rank >= rank:
            yield f"it brings {_vulnerability(finding)} ({finding.severity}), which the old image has not"


def _vulnerability(finding: Finding) -> str:
    return finding.vulnerability_id or finding.title
