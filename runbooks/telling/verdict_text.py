"""The verdicts with their evidence, and what is waited for until there are any."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from runbooks.case import CaseKey, resource_name
from runbooks.container_image import short_digest
from runbooks.evidence import Coverage, Evidence, FunctionEvidence, ImageEvidence, NetworkEvidence, SuccessorEvidence
from runbooks.telling.escaping import code, markdown
from runbooks.telling.layout import blocks, bullets, table
from runbooks.telling.words import case_name, sentence
from runbooks.timestamps import moment
from runbooks.verdict import Verdict, VerdictKind

_ORDER = (VerdictKind.NOT_FIXED, VerdictKind.UNVERIFIABLE, VerdictKind.FIXED)


def verdicts_markdown(verdicts: Sequence[Verdict], keys: Mapping[str, CaseKey]) -> str:
    """Each case with its verdict, the reasons and what was read; what is not fixed comes first."""
    if not verdicts:
        return blocks("## Verdict", "There is no verdict yet.")
    ordered = sorted(verdicts, key=lambda each: _ORDER.index(each.kind))
    return blocks(*(_verdict(each, keys) for each in ordered))


def waiting_markdown(reasons: Iterable[str]) -> str:
    """What is still waited for, each thing once."""
    return blocks("## Still waited for", bullets(markdown(reason) for reason in dict.fromkeys(reasons)))


def _verdict(verdict: Verdict, keys: Mapping[str, CaseKey]) -> str:
    header = ("Read from", "Inspector's coverage", "Last scan", "Inventory of", "Installed", "Findings")
    of_instances = [each for each in verdict.evidence if isinstance(each, Evidence)]
    of_images = [each for each in verdict.evidence if isinstance(each, ImageEvidence)]
    return blocks(
        f"## {markdown(sentence(verdict.kind.value))}: {markdown(case_name(verdict.case, keys))}",
        bullets(markdown(reason) for reason in verdict.reasons),
        table(header, map(_evidence, of_instances)),
        table(("Vulnerable image", "Run by", "Not seen"), map(_of_an_image, of_images)),
        table(
            ("In its place", "Inspector's coverage", "Last scan", "Vulnerabilities"),
            (_successor(each) for image in of_images for each in image.successors),
        ),
        table(
            ("Instance", "Ports", "Ways in now", "Inspector's coverage", "Last scan", "Findings"),
            (_ways(each) for each in verdict.evidence if isinstance(each, NetworkEvidence)),
        ),
        table(
            ("Function", "Inspector's coverage", "Last scan", "Changed", "Findings on $LATEST", "Served"),
            (_of_a_function(each) for each in verdict.evidence if isinstance(each, FunctionEvidence)),
        ),
    ).rstrip("\n")


def _ways(each: NetworkEvidence) -> Sequence[str]:
    return (
        code(each.resource) + (" (gone)" if each.gone else ""),
        markdown(", ".join(each.ports)) or "not known",
        markdown("; ".join(each.paths)) or "none",
        *_scan(each.coverage),
        markdown(", ".join(dict.fromkeys(each.findings.values()))),
    )


def _of_a_function(each: FunctionEvidence) -> Sequence[str]:
    served = (f"{alias.name}: {', '.join(one.version for one in alias.serves)}" for alias in each.aliases)
    return (
        code(resource_name(each.resource)) + (" (gone)" if each.gone else ""),
        *_scan(each.coverage),
        moment(each.modified_at) if each.modified_at else "not known",
        markdown(", ".join(dict.fromkeys(each.findings.values()))),
        markdown("; ".join(served)) or "$LATEST alone",
    )


def _of_an_image(each: ImageEvidence) -> Sequence[str]:
    state = " (gone)" if each.gone else " (archived)" if each.archived else ""
    return (
        code(resource_name(each.resource)) + state,
        markdown(", ".join(each.users)) or "nobody",
        markdown(", ".join(each.unseen)) or "nothing",
    )


def _successor(each: SuccessorEvidence) -> Sequence[str]:
    statuses = (f"{name}: {status.lower()}" for name, status in each.vulnerabilities.items())
    return (code(short_digest(each.digest)), *_scan(each.coverage), markdown(", ".join(statuses)))


def _scan(coverage: Coverage | None) -> tuple[str, str]:
    scanned = coverage.last_scanned_at if coverage else None
    return (
        markdown(f"{coverage.status}, {coverage.reason}") if coverage else "not listed",
        moment(scanned) if scanned else "not known",
    )


def _evidence(each: Evidence) -> Sequence[str]:
    return (
        code(each.resource) + (" (gone)" if each.gone else ""),
        *_scan(each.coverage),
        moment(each.inventory_captured_at) if each.inventory_captured_at else "not known",
        ", ".join(_installed(each)),
        markdown(", ".join(dict.fromkeys(each.findings.values()))),
    )


def _installed(each: Evidence) -> Iterator[str]:
    for name, version in each.installed.items():
        yield f"{code(name)} {code(version)}" if version else f"{code(name)} is not installed"
