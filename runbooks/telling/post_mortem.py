"""The post-mortem, written from the ledger: what happened, how long it took, why, who allowed what, what is left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from runbooks.case import CaseKey
from runbooks.definition import Runbook
from runbooks.finding import Finding
from runbooks.history import Dated, ResponseHistory
from runbooks.records import Record
from runbooks.telling.causes import prevention, root_cause
from runbooks.telling.durations import durations
from runbooks.telling.incident import Material, PostMortem, Vulnerability
from runbooks.telling.messages import verdict_lines
from runbooks.telling.remains import answers, changes, stays_open
from runbooks.telling.timeline import aware, moments, spans
from runbooks.telling.words import listed, score, vulnerability_names, whereabouts
from runbooks.triage import Assessment
from runbooks.verdict import Verdict

__all__ = ["PostMortem", "write_post_mortem"]


def write_post_mortem(
    history: ResponseHistory,
    cases: Mapping[str, CaseKey],
    findings: Mapping[str, tuple[Finding, ...]],
    assessments: Sequence[Assessment],
    verdicts: Sequence[Verdict],
    runbook: Runbook,
    *,
    case_entries: Iterable[Dated] = (),
) -> PostMortem:
    """Everything a post-mortem says, from what was written down.

    Args:
        history: the response; its end may not be written yet.
        cases: case id -> where.
        findings: case id -> the findings that were handled.
        case_entries: the entries of these cases since each was last opened: when findings were received, triaged and
            judged. Without them, the start of the response counts as the time of receipt.
    """
    material = Material(history, cases, findings, assessments, verdicts, runbook, _merged(history, case_entries))
    result = history.ended.result if history.ended else "not ended yet"
    return PostMortem(
        response=history.started.response if history.started else "",
        runbook=runbook.name,
        runbook_title=runbook.title,
        result=result,
        summary=_summary(material),
        resources=tuple(str(key) for key in cases.values()),
        vulnerabilities=_vulnerabilities(material),
        timeline=moments(material),
        spans=spans(material),
        durations=durations(material),
        root_cause=root_cause(material),
        changes=changes(material),
        answers=answers(material),
        evidence=tuple(verdict_lines(verdicts, cases)),
        stays_open=stays_open(material),
        prevention=prevention(material),
    )


def _merged(history: ResponseHistory, case_entries: Iterable[Dated]) -> tuple[Dated, ...]:
    """All entries in order of time, each once."""
    known: dict[datetime, list[Record]] = {}
    for dated in history.entries:
        known.setdefault(dated.at, []).append(dated.record)
    others = [dated for dated in case_entries if dated.record not in known.get(dated.at, [])]
    return tuple(sorted((*others, *history.entries), key=lambda dated: aware(dated.at)))


def _summary(material: Material) -> str:
    names = listed(vulnerability_names(material.every_finding)) or "no finding"
    where = whereabouts(tuple(material.keys), material.keys)
    ending = f" The response ended: {material.history.ended.reason}." if material.history.ended else ""
    return f"{names} on {where}.{ending}"


def _vulnerabilities(material: Material) -> tuple[Vulnerability, ...]:
    each = {
        finding.vulnerability_id or finding.title: Vulnerability(
            id=finding.vulnerability_id or finding.title,
            severity=finding.severity,
            score=score(finding),
            source_url=finding.source_url,
        )
        for finding in sorted(material.every_finding, key=lambda each: each.severity_rank)
    }
    return tuple(reversed(each.values()))
