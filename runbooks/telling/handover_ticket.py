"""The one ticket of what only people act upon: what it is, where, how bad, whose, and what is advised."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from runbooks.case import CaseKey
from runbooks.definition import Runbook, owner_in
from runbooks.finding import Finding, VulnerablePackage
from runbooks.telling.escaping import fitted, lines_within, wiki, wiki_code, wiki_link
from runbooks.telling.layout import bullets, wiki_section
from runbooks.telling.messages import alert_summary, most_urgent_first
from runbooks.telling.tickets import Ticket, cases_table, jira_label, labels_of, ticket
from runbooks.telling.words import counted, listed, score
from runbooks.timestamps import moment
from runbooks.triage import Assessment
from runbooks.triage.signals import active

NOBODY = "no tag of the resource names an owner"
_TEXT = 2_000
"""Of what Inspector says about one finding."""
_IN_FULL = 10
"""Cases that are told in full, the most urgent first; the table has the others."""
_FINDINGS = 20
"""Of one case, the worst first."""


def handover_ticket(
    assessments: Sequence[Assessment],
    keys: Mapping[str, CaseKey],
    runbook: Runbook,
    *,
    recurrence_of: Sequence[str] = (),
    run_url: str | None = None,
) -> Ticket:
    """All that a person needs who takes it over; the findings as Inspector has them now.

    Args:
        assessments: of the cases to hand over, at least one.
        keys: case id -> where; all cases of the response.
        recurrence_of: the cases that it was fixed in before, in words.
    """
    told = {each.case: each for each in assessments}
    findings = {each.case: active(each.facts) for each in assessments}
    every = tuple(finding for each in findings.values() for finding in each)
    where = {case: keys[case] for case in findings}
    owners = [owner for each in assessments if (owner := owner_in(each.facts.tags, runbook.handover))]
    return ticket(
        alert_summary(where, findings),
        (
            "A person is asked to see to this: nothing was changed, and nothing will be.",
            wiki_section("Recurrence of", bullets(map(wiki, recurrence_of), "*")),
            wiki_section("What is advised", bullets(map(wiki, runbook.handover.advice), "#")),
            f"Runbook {wiki_code(runbook.name)}: {wiki(runbook.title)}",
            wiki_link("Prefect run", run_url) if run_url else "",
            wiki_section("Cases", cases_table(where, findings)) if len(where) > 1 else "",
            *(_case(told[case], keys[case], runbook) for case in most_urgent_first(where, findings)[:_IN_FULL]),
        ),
        (
            *labels_of(runbook.name, where, every),
            "needs-a-person",
            *(jira_label(f"owner:{owner}") for owner in dict.fromkeys(owners)),
        ),
        runbook.alert.ticket_priority,
    )


def over_comment(ended: Mapping[CaseKey, str]) -> str:
    """What is said in a ticket of the cases that have ended: where, and why."""
    lines = (f"{wiki_code(key.resource_id)}: {wiki(why)}" for key, why in ended.items())
    said = lines_within([*bullets(lines, "*").splitlines()], _TEXT * 10)
    return f"{counted(len(ended), 'case')} of this ticket ended, and none of them is counted as fixed:\n{said}"


def _case(each: Assessment, key: CaseKey, runbook: Runbook) -> str:
    resource, tags = each.facts.resource, each.facts.tags
    lines = [
        f"Owner: {wiki(owner_in(tags, runbook.handover) or NOBODY)}",
        f"{wiki_code(key.resource_id)}, {wiki(key.resource_type)}, in account {wiki(key.account)}, {wiki(key.region)}",
        f"Priority {each.triage.priority}: {wiki('; '.join(each.triage.reasons[:-1]))}",
        f"Case {wiki_code(each.case)}",
    ]
    if tags and resource.kind == "other":
        lines.append(f"Tags: {fitted(', '.join(f'{name}={text}' for name, text in sorted(tags.items())), 300, wiki)}")
    findings = sorted(active(each.facts), key=lambda one: (-one.severity_rank, -(score(one) or 0.0)))
    left = len(findings) - _FINDINGS
    return "\n\n".join(
        (
            wiki_section(wiki(key.name), bullets(lines, "*")),
            *(bullets(_finding(one), "*") for one in findings[:_FINDINGS]),
            *([f"... and {counted(left, 'more finding')}"] if left > 0 else ()),
        )
    )


def _finding(finding: Finding) -> Iterator[str]:
    rated = score(finding)
    scored = f", score {rated:g}" if rated is not None else ""
    named = wiki_link(finding.title, finding.source_url)
    yield f"*{named}*: {wiki(finding.severity)}{scored}, first seen {moment(finding.first_observed_at)}"
    if finding.description:
        yield f"What it is: {fitted(finding.description, _TEXT, wiki)}"
    yield from _code(finding)
    yield from map(_package, finding.packages)
    if suggestion := _suggestion(finding):
        yield f"What Inspector suggests: {suggestion}"
    yield f"Finding {wiki_code(finding.arn)}"


def _code(finding: Finding) -> Iterator[str]:
    """Weakness, detector and place (CodeVulnerabilityDetails and CodeFilePath of Inspector's API)."""
    details = _members(finding.extra.get("codeVulnerabilityDetails"))
    if not details:
        return
    weaknesses = _texts(details.get("cwes"))
    if weaknesses:
        yield f"Weakness: {wiki(listed(weaknesses, most=10))}"
    name, detector = _text(details.get("detectorName")), _text(details.get("detectorId"))
    if name or detector:
        yield f"Detector: {wiki(name)} {wiki_code(detector)}".rstrip()
    if rule := _text(details.get("ruleId")):
        yield f"Rule: {wiki_code(rule)}"
    if place := _place(_members(details.get("filePath"))):
        yield f"Where in the code: {place}"
    if layer := _text(details.get("sourceLambdaLayerArn")):
        yield f"In the layer {wiki_code(layer)}"
    for url in _texts(details.get("referenceUrls"))[:5]:
        yield wiki_link(url, url)


def _place(path: Mapping[str, Any]) -> str:
    file = _text(path.get("filePath")) or _text(path.get("fileName"))
    if not file:
        return ""
    first, last = path.get("startLine"), path.get("endLine")
    if not isinstance(first, int):
        return wiki_code(file)
    lines = f"line {first}" if last in (None, first) else f"lines {first} to {last}"
    return f"{wiki_code(file)}, {wiki(lines)}"


def _package(package: VulnerablePackage) -> str:
    fix = f"fixed in {wiki(package.fixed_in)}" if package.fixed_in else "no fix is published"
    place = f", in {wiki_code(package.file_path)}" if package.file_path else ""
    return f"Package {wiki(f'{package.name} {package.version}')} ({wiki(package.manager)}){place}: {fix}"


def _suggestion(finding: Finding) -> str:
    """Its recommendation (Remediation.recommendation of Inspector's API); many findings have none."""
    recommendation = _members(_members(finding.extra.get("remediation")).get("recommendation"))
    text, url = _text(recommendation.get("text")), _text(recommendation.get("Url"))
    said = "" if text.lower() in ("", "none provided") else fitted(text, _TEXT, wiki)
    return " ".join(filter(None, (said, wiki_link(url, url) if url else "")))


def _members(value: object) -> Mapping[str, Any]:
    return cast(Mapping[str, Any], value) if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: object) -> list[str]:
    listed_ones = cast(list[object], value) if isinstance(value, list) else []
    return [each for each in listed_ones if isinstance(each, str)]
