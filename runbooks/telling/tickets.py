"""The Jira tickets: the alert, the post-mortem, and what a person must take over; in wiki markup (REST version 2)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from pydantic import Field

from runbooks.case import CaseKey
from runbooks.definition import Runbook
from runbooks.finding import Finding
from runbooks.history import ResponseHistory
from runbooks.model import Model
from runbooks.records import Decision, ResponseEnded
from runbooks.telling.escaping import fitted, lines_within, plain, wiki, wiki_code, wiki_link
from runbooks.telling.incident import Answer, Moment, PostMortem
from runbooks.telling.layout import bullets, wiki_section, wiki_table
from runbooks.telling.messages import alert_summary, most_urgent_first, verdict_lines, what_happens_next
from runbooks.telling.plan_text import plan_title
from runbooks.telling.progress import STATUSES, WENT_WRONG
from runbooks.telling.words import (
    ANSWERS,
    by_whom,
    counted,
    listed,
    score,
    sentence,
    vulnerability_names,
    whereabouts,
    worst,
)
from runbooks.timestamps import moment
from runbooks.verdict import Verdict

SUMMARY_LIMIT = 255
DESCRIPTION_LIMIT = 32_000
LABEL_LIMIT = 255
COMMON_LABEL = "remediation-runbooks"
_LABELS_OF_A_KIND = 10
_CELL = 600
_ROWS = 40
"""Of a table: more nobody reads, and it would push out what follows."""
_CUT = "... and {} more lines, which are in the Prefect artifact"


class Ticket(Model):
    """A ticket to open; its description also serves as a comment on a ticket that is there already."""

    summary: str = Field(max_length=SUMMARY_LIMIT)
    description: str = Field(max_length=DESCRIPTION_LIMIT)
    labels: tuple[str, ...]
    priority: str | None = None


NEXT_STEPS: dict[str, tuple[str, ...]] = {
    "rejected": (
        "Nothing of the rejected plan was done.",
        "Decide how the vulnerability is handled instead, and start a new response when there is a plan to be made.",
    ),
    "expired": (
        "Nothing of the plan was done: no valid approval came in time.",
        "Make sure that someone who may approve is there, then start a new response; it makes a new plan.",
    ),
    "not fixed": (
        "The vulnerability is still there, although the remediation ran.",
        "Find out why the fix did not take (held package, wrong repository, other copies), then start a new response.",
    ),
    "fixed": (
        "The vulnerability is proven to be gone, and what was contained still is.",
        "Look at it, then end its containment with `runbooks release`.",
    ),
    "unverifiable": (
        "It could not be proven that the vulnerability is gone. Do not count it as fixed.",
        "Make Inspector scan the resource again, or check the installed version by hand, and say so here.",
    ),
    "failed": (
        "A step did not succeed; what comes after it was not done.",
        "Look at the steps below and at the resource, then start a new response; it plans from what is there now.",
    ),
    "drifted": (
        "Something else changed the resource after the plan was made, so the plan was not carried on.",
        "Find out what changed it, then start a new response; it plans from what is there now.",
    ),
    "partial": (
        "Some cases came through and some did not.",
        "See below which, and start a new response for those.",
    ),
    "person": ("This system cannot or must not remediate it by itself.", "Remediate it by hand, or accept the risk."),
}
"""Result of a response that ends with a person -> what that means, and what to do."""


def alert_ticket(
    keys: Mapping[str, CaseKey],
    findings: Mapping[str, tuple[Finding, ...]],
    runbook: Runbook,
    *,
    recurrence_of: Sequence[str] = (),
    run_url: str | None = None,
    console_url: str | None = None,
) -> Ticket:
    """What was found, where, how bad it is and what happens next.

    Args:
        keys: case id -> where; all cases of the response.
        findings: case id -> its findings.
        recurrence_of: the cases that it was fixed in before, in words.
    """
    every = tuple(finding for each in findings.values() for finding in each)
    links, has_many = {"Prefect run": run_url, "Amazon Inspector": console_url}, len(keys) > 1
    return ticket(
        alert_summary(keys, findings),
        (
            wiki(what_happens_next(runbook)),
            wiki_section("Recurrence of", bullets(map(wiki, recurrence_of), "*")),
            wiki_section("Findings", _vulnerabilities(every) if has_many else _findings(every)),
            wiki_section("Cases", cases_table(keys, findings)) if has_many else wiki_section("Where", _where(keys)),
            wiki_section("Links", bullets((wiki_link(label, url) for label, url in links.items() if url), "*")),
            f"Runbook {wiki_code(runbook.name)}: {wiki(runbook.title)}",
        ),
        labels_of(runbook.name, keys, every),
        runbook.alert.ticket_priority,
    )


def person_ticket(
    ended: ResponseEnded,
    history: ResponseHistory,
    keys: Mapping[str, CaseKey],
    verdicts: Sequence[Verdict],
    runbook: Runbook,
    *,
    run_url: str | None = None,
) -> Ticket:
    """What a person has to take over, for a response that ended without a proven fix.

    Args:
        ended: the end, which need not be in the history yet.
    """
    means, do = (*NEXT_STEPS.get(ended.result, NEXT_STEPS["person"]), "")[:2]
    contained = "*The containment is still in place.* It stays until a person releases it." if ended.contained else ""
    return ticket(
        f"A person is needed ({ended.result}): {whereabouts(tuple(keys), keys)}",
        (
            f"{wiki(means)} {wiki(ended.reason)}",
            contained,
            wiki_section("What to do", bullets([wiki(do)], "#") if do else ""),
            wiki_section("Answers", bullets(_refusals(history, keys), "*")),
            wiki_section("Steps that did not succeed", bullets(map(wiki, _troubles(history)), "*")),
            wiki_section("Evidence", bullets(map(_cell, verdict_lines(verdicts, keys)), "*")),
            wiki_section("Where", _where(keys)),
            wiki_link("Prefect run", run_url) if run_url else "",
        ),
        (*labels_of(runbook.name, keys, ()), "needs-a-person", jira_label(ended.result)),
        runbook.alert.ticket_priority,
    )


def post_mortem_ticket(pm: PostMortem) -> Ticket:
    """The post-mortem as a ticket; the timeline comes last, so that it is what is cut when it is too long."""
    vulnerabilities = (
        (wiki_link(each.id, each.source_url), wiki(each.severity), "" if each.score is None else f"{each.score:g}")
        for each in pm.vulnerabilities
    )
    changes = (
        (_cell(each.phase), _cell(each.what), _cell(each.result), _cell(sentence(each.remains))) for each in pm.changes
    )
    named = listed([each.id for each in pm.vulnerabilities]) or pm.runbook_title
    where = pm.resources[0] if len(pm.resources) == 1 else f"{len(pm.resources)} resources"
    return ticket(
        f"Post-mortem: {named} on {where}: {pm.result.replace('-', ' ')}",
        (
            f"*Result: {wiki(pm.result.replace('-', ' '))}.* {wiki(pm.summary)}",
            wiki_section("What stays open", bullets(map(_cell, pm.stays_open), "*") or "Nothing."),
            wiki_section("What would prevent it", bullets(map(_cell, pm.prevention), "*")),
            wiki_section("Root cause", bullets(map(_cell, pm.root_cause), "*")),
            wiki_section("Vulnerabilities", wiki_table(("Vulnerability", "Severity", "Score"), vulnerabilities)),
            wiki_section("Where", bullets(map(wiki, pm.resources), "*")),
            wiki_section("How long it took", wiki_table(("Part", "Time"), _durations(pm))),
            wiki_section("Who allowed what", wiki_table(_ANSWER_HEADER, map(_answer, pm.answers))),
            wiki_section("What was changed", wiki_table(("Phase", "Done", "Result", "What has become of it"), changes)),
            wiki_section("What proves it", bullets(map(_cell, pm.evidence), "*")),
            wiki_section("Timeline", wiki_table(("When", "What happened"), map(_moment, pm.timeline))),
        ),
        (*map(jira_label, (COMMON_LABEL, "post-mortem", pm.runbook, pm.result, pm.response)),),
        None,
    )


def cases_table(keys: Mapping[str, CaseKey], findings: Mapping[str, tuple[Finding, ...]]) -> str:
    """The most urgent first; what is left out is counted."""
    rows: list[Sequence[str]] = []
    for case in most_urgent_first(keys, findings)[:_ROWS]:
        key, theirs = keys[case], findings.get(case, ())
        first = worst(theirs)
        named = wiki(f"{first.severity} {first.vulnerability_id or first.title}") if first else "-"
        place = (wiki_code(key.resource_id), wiki(key.account), wiki(key.region))
        rows.append((*place, named, str(len(theirs)), wiki_code(case)))
    header = ("Resource", "Account", "Region", "Worst finding", "Findings", "Case")
    return _and_more(wiki_table(header, rows), len(keys), "case", "cases")


def jira_label(text: str) -> str:
    """As a label: no spaces, at most 255 characters (Jira refuses others)."""
    return re.sub(r"[^A-Za-z0-9._:-]+", "-", plain(text)).strip("-")[:LABEL_LIMIT] or "none"


def ticket(summary: str, parts: Iterable[str], labels: Iterable[str], priority: str | None) -> Ticket:
    """A ticket of these parts, in this order; what is too long is cut at the end."""
    text = "\n\n".join(part for part in parts if part)
    return Ticket(
        summary=fitted(summary, SUMMARY_LIMIT, plain),
        description=lines_within(text.split("\n"), DESCRIPTION_LIMIT, _CUT),
        labels=tuple(dict.fromkeys(labels)),
        priority=priority,
    )


def labels_of(runbook: str, keys: Mapping[str, CaseKey], findings: Sequence[Finding]) -> tuple[str, ...]:
    """What a ticket is found by: the runbook, the worst severity, some vulnerabilities, some cases."""
    first = worst(findings)
    each = (
        COMMON_LABEL,
        runbook,
        *((first.severity.lower(),) if first else ()),
        *vulnerability_names(findings)[:_LABELS_OF_A_KIND],
        *tuple(keys)[:_LABELS_OF_A_KIND],
    )
    return tuple(map(jira_label, each))


_RATED = ("Severity", "Score", "EPSS", "Exploit known", "Package", "Fixed in", "First seen")
_FINDING_HEADER = ("Vulnerability", "On", *_RATED)
_ANSWER_HEADER = ("When", "Plan", "Answer", "Who", "Through", "Comment", "Reason", "Digest")


def _findings(findings: Sequence[Finding]) -> str:
    rows = list(map(_finding, sorted(findings, key=_severity)))
    return _and_more(wiki_table(_FINDING_HEADER, rows[:_ROWS]), len(rows), "finding", "findings")


def _severity(finding: Finding) -> tuple[int, float]:
    """Sorts the worst first."""
    return -finding.severity_rank, -(score(finding) or 0.0)


def _finding(finding: Finding) -> Sequence[str]:
    rated = score(finding)
    return (
        wiki_link(finding.vulnerability_id or finding.title, finding.source_url),
        wiki_code(finding.resource.id),
        wiki(finding.severity),
        "not scored" if rated is None else f"{rated:g}",
        "not known" if finding.epss is None else f"{finding.epss:.3f}",
        "yes" if finding.exploit_available else "no",
        _cell(listed(f"{package.name} {package.version}" for package in finding.packages)),
        _cell(listed(package.fixed_in or "no fix published" for package in finding.packages)),
        moment(finding.first_observed_at),
    )


def _vulnerabilities(findings: Sequence[Finding]) -> str:
    """Each once, the worst first, with how many resources have it."""
    alike: dict[str, list[Finding]] = {}
    for each in findings:
        alike.setdefault(each.vulnerability_id or each.title, []).append(each)
    first = sorted((worst(each) or each[0] for each in alike.values()), key=_severity)
    rows: list[Sequence[str]] = []
    for finding in first[:_ROWS]:
        resources = {each.resource.id for each in alike[finding.vulnerability_id or finding.title]}
        name, on, *rest = _finding(finding)
        rows.append((name, on if len(resources) == 1 else counted(len(resources), "resource"), *rest))
    return _and_more(wiki_table(_FINDING_HEADER, rows), len(first), "vulnerability", "vulnerabilities")


def _where(keys: Mapping[str, CaseKey]) -> str:
    rows = [
        (wiki_code(key.resource_id), wiki(key.account), wiki(key.region), wiki_code(case)) for case, key in keys.items()
    ]
    return _and_more(wiki_table(("Resource", "Account", "Region", "Case"), rows[:_ROWS]), len(rows), "case", "cases")


def _and_more(table: str, number: int, one: str, many: str) -> str:
    left = number - _ROWS
    return f"{table}\n... and {left} more {one if left == 1 else many}" if left > 0 else table


def _refusals(history: ResponseHistory, keys: Mapping[str, CaseKey]) -> Iterator[str]:
    """The answers that settled a plan without a yes."""
    for digest, decision in history.decisions.items():
        if decision.answer != "approved":
            plan = history.plans.get(digest)
            yield f"{wiki(plan_title(plan, keys) if plan else 'A plan')}: {_refusal(decision)}"


def _refusal(decision: Decision) -> str:
    who = f" by {_said(decision.approver)}" if decision.approver else ""
    said = f", saying {_said(decision.comment)}" if decision.comment else ""
    why = f" ({wiki(decision.reason)})" if decision.reason else ""
    return f"{ANSWERS[decision.answer]}{who} {wiki(by_whom(decision))}".strip() + f"{said}{why}; plan {decision.digest}"


def _troubles(history: ResponseHistory) -> Iterator[str]:
    for plan in history.plans.values():
        for step in plan.steps:
            outcome = history.outcome(plan, step)
            if outcome is not None and outcome.status in WENT_WRONG:
                yield f"{step.describe()}: {STATUSES[outcome.status]}. {outcome.detail}"


def _durations(pm: PostMortem) -> Iterator[Sequence[str]]:
    yield from ((wiki(each.name), wiki(each.words)) for each in pm.durations)


def _answer(each: Answer) -> Sequence[str]:
    return (
        moment(each.at) if each.at else "",
        wiki(each.plan),
        wiki(sentence(each.answer)),
        _said(each.who),
        wiki(each.channel),
        _said(each.comment),
        _cell(each.reason),
        wiki_code(each.digest),
    )


def _moment(each: Moment) -> Sequence[str]:
    by = f" by {_said(each.who)}" if each.who else ""
    said = f", saying {_said(each.said)}" if each.said else ""
    return moment(each.at), f"{_cell(each.what)}{by}{said}"


def _said(text: str) -> str:
    return fitted(text, _CELL, wiki_code)


def _cell(text: str) -> str:
    return fitted(text, _CELL, wiki)
