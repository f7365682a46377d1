"""The Slack messages: the alert that opens the thread, the question, the answer, the notes and the outcome."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from runbooks.case import CaseKey
from runbooks.container_image import ImageId, short_digest
from runbooks.definition import Runbook
from runbooks.finding import Finding
from runbooks.plan import Plan
from runbooks.records import Decision, ResponseEnded
from runbooks.telling.answering import answer_buttons
from runbooks.telling.blocks import (
    TEXT_LIMIT,
    Block,
    Message,
    actions,
    context,
    fields,
    header,
    link_button,
    links,
    list_of,
    section,
    value,
)
from runbooks.telling.escaping import NOTHING, fitted, plain, slack, slack_code
from runbooks.telling.plan_text import plan_title
from runbooks.telling.plan_words import approval_words, blast_radius, put_back_whole, window_words
from runbooks.telling.words import (
    ANSWERS,
    by_whom,
    case_name,
    counted,
    duration,
    listed,
    score,
    sentence,
    vulnerability_names,
    whereabouts,
    worst,
)
from runbooks.timestamps import moment
from runbooks.verdict import Verdict

_MARKS = {"fixed": "✅", "not fixed": "❌", "unverifiable": "❔", "nothing-to-do": "✅", "released": "✅"}
_ANSWER_MARKS = {"approved": "✅", "rejected": "❌", "expired": "⏰", "invalid": "⚠️"}
_PERSON_MARK = "⚠️"
_HALF = 1_000
_NAME = 200


def alert_message(
    keys: Mapping[str, CaseKey],
    findings: Mapping[str, tuple[Finding, ...]],
    runbook: Runbook,
    *,
    recurrence_of: Sequence[str] = (),
    run_url: str | None = None,
    ticket_url: str | None = None,
    console_url: str | None = None,
) -> Message:
    """What was found, where and how bad it is; the first message of the thread.

    Args:
        keys: case id -> where; all cases of the response.
        findings: case id -> its findings.
        recurrence_of: the cases that it was fixed in before, in words.
    """
    every = tuple(finding for each in findings.values() for finding in each)
    what = alert_summary(keys, findings)
    again = f": recurrence of {listed(recurrence_of)}" if recurrence_of else ""
    return _message(
        f"{what}{again}",
        header(f"🔴 {what}"),
        *list_of("Recurrence of", list(recurrence_of)),
        fields({name: value(text) for name, text in _how_bad(every, keys, runbook).items()}),
        *list_of("Where, the most urgent first", _places(keys, findings) if len(keys) > 1 else []),
        section(slack(what_happens_next(runbook))),
        *links({"Follow the run": run_url, "Ticket": ticket_url, "Amazon Inspector": console_url}),
    )


def alert_summary(keys: Mapping[str, CaseKey], findings: Mapping[str, tuple[Finding, ...]]) -> str:
    """`CRITICAL CVE-2026-10001 on checkout-7 (i-0abc)`, plain."""
    every = tuple(finding for each in findings.values() for finding in each)
    first = worst(every)
    severity = first.severity if first else "Finding"
    names = vulnerability_names([first] if first else []) or ("no finding",)
    others = len(vulnerability_names(every)) - 1
    more = f" and {others} more" if others > 0 else ""
    return plain(f"{severity} {names[0]}{more} on {_where(keys, every)}")


def most_urgent_first(cases: Iterable[str], findings: Mapping[str, tuple[Finding, ...]]) -> list[str]:
    """By the worst finding of each: its severity, whether an exploit is known, its score."""

    def urgency(case: str) -> tuple[int, bool, float]:
        first = worst(findings.get(case, ()))
        exploit = any(each.exploit_available for each in findings.get(case, ()))
        return (first.severity_rank, exploit, score(first) or 0.0) if first else (-1, exploit, 0.0)

    return sorted(cases, key=urgency, reverse=True)


def what_happens_next(runbook: Runbook) -> str:
    """What the reader may expect, by the runbook's own rules."""
    if runbook.playbook == "ticket":
        return "A person is asked to see to it: this runbook changes nothing."
    contain, remediate = runbook.contain, runbook.remediate
    contained_unasked = contain.when and (not contain.approval.required or contain.pre_authorised is not None)
    retired_unasked = runbook.playbook == "image" and not runbook.deprecate.approval.required
    if remediate.approval.required and not contained_unasked and not retired_unasked:
        if runbook.playbook == "image" and not runbook.rebuild.approval.required:
            return (
                "Triage comes next, and then a patched image may be built without asking. Nothing that runs is changed "
                "before a person approves the plan."
            )
        return "Triage comes next. Nothing is changed before a person approves the plan."
    return "Triage comes next. This runbook may change things without asking; each plan says what."


def approval_message(
    plan: Plan,
    keys: Mapping[str, CaseKey],
    form_url: str,
    expires_at: datetime,
    *,
    answers_in_slack: bool = False,
) -> Message:
    """The question, with the whole plan one press away.

    Args:
        answers_in_slack: adds buttons that answer here.
    """
    title = plan_title(plan, keys)
    question = f"Approve? {title}: {counted(len(plan.steps), 'step')}"
    return _message(
        question,
        header(f"✋ Approve? {title}"),
        fields(dict(_terms(plan, expires_at))),
        *list_of("What will be done", [step.describe() for step in plan.steps], most=15, numbered=True),
        *list_of("Why", plan.reasons),
        *list_of("How much of what there is", list(blast_radius(plan))),
        *list_of("When", list(window_words(plan))),
        *list_of("Who may approve", list(approval_words(plan))),
        *list_of("Not covered", plan.not_covered),
        *list_of("Cannot be put back", plan.cannot_be_put_back),
        *actions(
            link_button("Read the plan and decide", form_url), *(answer_buttons(plan, keys) if answers_in_slack else ())
        ),
        context(f"Plan {slack_code(plan.digest)}", f"Runbook {fitted(plan.runbook, _NAME, slack_code)}"),
    )


def decision_message(
    decision: Decision, plan: Plan, keys: Mapping[str, CaseKey], *, at: datetime | None = None
) -> Message:
    """What was answered, by whom; it takes the place of the question, so it has no buttons."""
    title, answer = plan_title(plan, keys), ANSWERS[decision.answer]
    who = [f"by {fitted(decision.approver, _NAME, slack_code)}"] if decision.approver else []
    how = " ".join(filter(None, (by_whom(decision), f"at {moment(at)}" if at else "")))
    lines = [f"*{slack(sentence(answer))}* {' '.join((*who, slack(how)))}".strip()]
    if decision.comment:
        lines.append(f"Comment: {fitted(decision.comment, _HALF, slack_code)}")
    if decision.reason:
        lines.append(f"Reason: {fitted(decision.reason, _HALF, slack)}")
    return _message(
        f"{title}: {answer}",
        header(f"{_ANSWER_MARKS[decision.answer]} {title}: {answer}"),
        section(*lines, _consequence(decision)),
        context(f"Plan {slack_code(plan.digest)}"),
    )


def note(text: str, targets: Mapping[str, str | None] | None = None) -> Message:
    """An update for the thread: plain text, and links by their label."""
    return _message(text, section(fitted(text, TEXT_LIMIT, slack)), *links(targets or {}))


def outcome_message(
    ended: ResponseEnded,
    verdicts: Sequence[Verdict],
    keys: Mapping[str, CaseKey],
    *,
    took: timedelta | None = None,
    run_url: str | None = None,
    ticket_url: str | None = None,
    post_mortem_url: str | None = None,
) -> Message:
    """How the response ended, what proves it and what is left for a person."""
    result = f"{sentence(ended.result.replace('-', ' '))}: {whereabouts(tuple(keys), keys)}"
    state = "Still contained: it stays so until a person releases it." if ended.contained else ""
    taken = f"Took {duration(took)} from received to ended." if took is not None else ""
    return _message(
        result,
        header(f"{_MARKS.get(ended.result, _PERSON_MARK)} {result}"),
        section(fitted(ended.reason, _HALF, slack), *filter(None, (f"*{state}*" if state else "", taken))),
        *list_of("Evidence", list(verdict_lines(verdicts, keys))),
        *links({"Post-mortem": post_mortem_url, "Ticket": ticket_url, "The run": run_url}),
    )


def verdict_lines(verdicts: Sequence[Verdict], keys: Mapping[str, CaseKey]) -> Iterator[str]:
    """One plain line for each case: the verdict and its reasons."""
    for verdict in verdicts:
        yield f"{case_name(verdict.case, keys)} is {verdict.kind.value}: {'; '.join(verdict.reasons)}"


def _how_bad(findings: Sequence[Finding], keys: Mapping[str, CaseKey], runbook: Runbook) -> dict[str, str]:
    first = worst(findings)
    if first is None:
        return {"Where": whereabouts(tuple(keys), keys), "Runbook": runbook.title}
    rated = score(first)
    epss = max((each.epss for each in findings if each.epss is not None), default=None)
    packages = dict.fromkeys(f"{each.name} {each.version}" for finding in findings for each in finding.packages)
    fixes = dict.fromkeys(each.fixed_in for finding in findings for each in finding.packages if each.fixed_in)
    return {
        "Where": whereabouts(tuple(keys), keys),
        "Severity": first.severity + (f", score {rated:g}" if rated is not None else ""),
        "Vulnerability": listed(vulnerability_names(findings), most=5),
        "Exploit": "known" if any(each.exploit_available for each in findings) else "none known",
        "EPSS": "not known" if epss is None else f"{epss:.3f}",
        "Package": listed(packages) or "-",
        "Fixed in": listed(fixes) or "no fix is published",
        "First seen": moment(min(each.first_observed_at for each in findings)),
        "Runbook": runbook.title,
    }


def _places(keys: Mapping[str, CaseKey], findings: Mapping[str, tuple[Finding, ...]]) -> list[str]:
    first = {case: worst(findings.get(case, ())) for case in keys}
    named = {
        case: f": {found.severity} {found.vulnerability_id or found.title}" for case, found in first.items() if found
    }
    return [f"{keys[case]}{named.get(case, '')}" for case in most_urgent_first(keys, findings)]


def _where(keys: Mapping[str, CaseKey], findings: Sequence[Finding]) -> str:
    if len(keys) != 1:
        return whereabouts(tuple(keys), keys)
    (key,) = keys.values()
    if (image := ImageId.of(key.resource_id)) is not None:
        tag = next((tag for each in findings for tag in _tags(each)), None)
        return f"{image.repository}{f':{tag}' if tag else ''}@{short_digest(image.digest)}"
    name = next((each.resource.tags["Name"] for each in findings if each.resource.tags.get("Name")), None)
    return f"{name} ({key.resource_id})" if name else key.resource_id


def _tags(finding: Finding) -> Iterator[str]:
    """Of the image, as Inspector's details of it say (AwsEcrContainerImageDetails)."""
    details = finding.resource.details.get("awsEcrContainerImage")
    tags = details.get("imageTags") if isinstance(details, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    yield from (str(tag) for tag in tags or ())  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]


def _terms(plan: Plan, expires_at: datetime) -> Iterator[tuple[str, str]]:
    yield "Steps", value(f"{len(plan.steps)}, of which {put_back_whole(plan)} can be put back")
    yield "Answer before", value(moment(expires_at))
    if plan.phase == "contain":
        yield "When it is fixed", value("released by itself" if plan.releases_when_fixed else "a person releases it")
    if plan.revision > 1:
        yield "Revision", value(f"{plan.revision}: the facts changed since the last plan")


def _consequence(decision: Decision) -> str:
    match decision.answer:
        case "approved":
            return "The plan runs now, as it was shown."
        case "rejected":
            return "Nothing of this plan is done."
        case "expired":
            return "Nothing of this plan is done: nobody answered, or the first change was not made, in time."
        case "invalid":
            return "Nothing was done; the question stays open."


def _message(text: str, *blocks: Block) -> Message:
    return Message(text=fitted(text, TEXT_LIMIT, plain) or NOTHING, blocks=blocks)
