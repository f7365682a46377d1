"""`runbooks cases`: what is going on, and what was done."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from cyclopts import App

from deployments.cli.case_lookup import find_case
from deployments.cli.halt import warn_if_halted
from deployments.cli.opening import opened
from deployments.cli.output import Json, data, lines, rows
from runbooks.timestamps import moment

if TYPE_CHECKING:
    from deployments.cli.case_story import CaseStory, PlanStory, ResponseStory
    from tasks.gateways.ledger import CaseRow, ResponseRow

app = App(
    name="cases",
    help_epilogue="""\
Examples:

  runbooks cases list --status open
  runbooks cases show i-0123456789abcdef0
  runbooks cases show case-0123 --json
""",
)


@app.command(name="list")
def list_cases(*, status: Literal["open", "closed"] | None = None, as_json: Json = False) -> None:
    """All cases, newest first.

    Args:
        status: Only these.
    """
    from deployments.cli.case_story import state_in_words

    with opened(ledger_exists=True) as have:
        warn_if_halted(have)
        responses = {row.id: row for row in have.ledger.responses()}
        found = [(case, responses.get(_response_of(case))) for case in reversed(have.ledger.cases(status))]
    if as_json:
        data([_as_json(case, response) for case, response in found])
        return
    header = ("CASE", "RESOURCE", "ACCOUNT", "REGION", "SEVERITY", "STATUS", "OPENED", "RUNBOOK", "STATE")
    rows(
        header,
        (
            (
                case.id,
                case.key.resource_id,
                case.key.account,
                case.key.region,
                case.severity,
                case.status,
                moment(case.opened_at),
                case.key.runbook,
                state_in_words(case, response),
            )
            for case, response in found
        ),
    )


@app.command
def show(case: str, /, *, as_json: Json = False) -> None:
    """One case: findings, responses, plans with their approvals and steps, verdict, and what comes next.

    Args:
        case: The case's id or the beginning of it, the id of its resource, or the ARN of one of its findings.
    """
    from deployments.cli.case_story import tell

    with opened(ledger_exists=True) as have:
        warn_if_halted(have)
        story = tell(have, find_case(have.ledger, case))
    if as_json:
        data(story)
    else:
        lines(*_in_lines(story))


def _response_of(case: CaseRow) -> str:
    return case.response_id or case.last_response_id or ""


def _as_json(case: CaseRow, response: ResponseRow | None) -> dict[str, Any]:
    return {**case.model_dump(mode="json"), "response": response}


def _in_lines(story: CaseStory) -> Iterator[str]:
    yield f"{story.id}: {story.key}"
    yield f"  status     {story.status}, {story.severity}, opened {moment(story.opened_at)}"
    yield f"  runbook    {story.key.runbook}"
    for finding in story.findings:
        name = finding.vulnerability_id or finding.title
        yield f"  finding    {name}, {finding.severity}, {finding.status} when it arrived: {finding.arn}"
    if story.successors:
        yield f"  replaced   by {', '.join(story.successors)}"
    if story.verdict:
        yield f"  verdict    {story.verdict.kind.value}: {'; '.join(story.verdict.reasons)}"
    for change in story.still_contained:
        yield f"  contained  {change}"
    yield f"  next       {story.next}"
    for response in story.responses:
        yield ""
        yield from _response_in_lines(response)


def _response_in_lines(response: ResponseStory) -> Iterator[str]:
    by = f"by {response.started_by}, {moment(response.started_at)}"
    yield f"{response.id}: to {response.purpose}, started {by}"
    state = f"ended, {response.result}: {response.reason}" if response.status == "ended" else response.status
    yield f"  state      {state}"
    if response.run_url:
        yield f"  run        {response.run_url}"
    for phase, result in response.phases.items():
        yield f"  {phase:10} {result}"
    for plan in response.plans:
        yield from _plan_in_lines(plan)
    if response.ticket:
        yield f"  ticket     {response.ticket}"
    yield f"  files      {response.files}"


def _plan_in_lines(plan: PlanStory) -> Iterator[str]:
    yield f"  plan       {plan.phase.value}, revision {plan.revision}, digest {plan.digest}"
    yield f"    {_answer(plan)}"
    for step in plan.steps:
        detail = f" ({step.detail})" if step.detail else ""
        yield f"    {step.status:13} {step.what}{detail}"


def _answer(plan: PlanStory) -> str:
    at = f", {moment(plan.answered_or_due_at)}" if plan.answered_or_due_at else ""
    match plan.answer:
        case "none":
            return "nobody has been asked yet"
        case "open":
            until = f" until {moment(plan.answered_or_due_at)}" if plan.answered_or_due_at else ""
            return f"waits for an answer{until}"
        case answer:
            return f"{answer}{f' by {plan.approver}' if plan.approver else ''} by way of {plan.channel}{at}"
