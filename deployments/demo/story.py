"""The demo's story, told from the ledger's entries as they are written."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from runbooks.chain import Entry
from runbooks.history import SUCCEEDED
from runbooks.plan import Plan
from runbooks.records import (
    ApprovalAsked,
    CaseOpened,
    CaseTriaged,
    CaseVerdict,
    Decision,
    FindingSeen,
    Outcome,
    PlanMade,
    ResponseEnded,
    Waiting,
)
from runbooks.telling.words import sentence
from runbooks.timestamps import moment
from runbooks.verdict import VerdictKind

MARKS = {"done": "[green]done[/]", "already-done": "[green]so already[/]", "in-progress": "[yellow]running[/]"}


class Story:
    """Turns entries into what a person in front of the terminal wants to read, in the playbook's order."""

    def __init__(self, console: Console, form_url: str) -> None:
        self._console = console
        self._form_url = form_url
        self._steps: dict[tuple[str, str], str] = {}
        self._statuses: dict[str, str] = {}

    def tell(self, entry: Entry) -> None:
        """Print what an entry says; many say nothing to a person."""
        for part in self._told(entry):
            self._console.print(part)

    def say(self, words: str) -> None:
        self._console.print(Text(words))

    def chapter(self, title: str) -> None:
        self._console.print()
        self._console.rule(f"[bold]{title}", align="left")

    def _told(self, entry: Entry) -> Iterator[RenderableType]:  # noqa: C901 - one line for each kind of record
        match entry.record():
            case CaseOpened() as opened:
                self.chapter("Alert")
                yield f"Case [bold]{opened.key.id}[/] for {opened.key} under runbook {opened.key.runbook}"
            case FindingSeen() as seen:
                yield f"{seen.finding.severity}: {seen.finding.title}, delivered by the {seen.source}"
            case CaseTriaged() as triaged:
                yield from self._triage(triaged)
            case PlanMade(plan=plan, digest=digest):
                yield from self._plan(plan, digest)
            case ApprovalAsked() as asked:
                yield f"[bold yellow]A person is asked[/], until {moment(asked.expires_at)}:"
                yield f"  {self._form(asked.flow_run)}"
            case Decision(approver=str()) as decision:
                said = f": {decision.comment}" if decision.comment else ""
                yield Text(f"{decision.answer.capitalize()} by {decision.approver}{said}", style="bold")
            case Decision() as decision:
                yield Text(f"{decision.answer.capitalize()}: {decision.reason}", style="dim")
            case Outcome() as outcome:
                yield from self._outcome(outcome)
            case Waiting() as waiting:
                yield f"[dim]Waiting: {waiting.reason}; looking again at {waiting.look_again_at:%H:%M:%S} UTC[/]"
            case CaseVerdict() as judged:
                yield from self._verdict(judged)
            case ResponseEnded() as ended:
                yield Text(f"The response has ended: {ended.result}. {sentence(ended.reason)}.", style="bold")
            case _:
                return

    def _form(self, flow_run: str) -> str:
        return f"{self._form_url}/runs/flow-run/{flow_run}"

    def _triage(self, triaged: CaseTriaged) -> Iterator[RenderableType]:
        triage = triaged.assessment.triage
        self.chapter("Triage: what was found, and why it matters")
        for reason in triage.reasons:
            yield Text(f"  - {reason}")
        if triage.patchability is not None:
            for check in (triage.patchability.control_path, triage.patchability.package_source):
                yield Text(f"  - {'can' if check.ok else 'cannot'} be patched under quarantine: {check.reason}")

    def _plan(self, plan: Plan, digest: str) -> Iterator[RenderableType]:
        self._steps |= {(digest, step.key): step.describe() for step in plan.steps}
        self.chapter(f"{plan.phase.capitalize()}: the plan")
        table = Table(show_edge=False, pad_edge=False, expand=False)
        for column in ("", "Step", "Undo"):
            table.add_column(column, overflow="fold")
        for number, step in enumerate(plan.steps, 1):
            undo = "is one" if step.undoes else "yes" if step.undo is not None else "none"
            table.add_row(str(number), Text(step.describe()), undo)
        yield table
        for words in plan.not_covered if plan.approval.required else ():
            yield Text(f"  not covered: {words}", style="dim")
        for words in plan.cannot_be_put_back:
            yield Text(f"  cannot be put back: {words}", style="dim")
        yield Text(f"digest {digest}", style="cyan")

    def _outcome(self, outcome: Outcome) -> Iterator[RenderableType]:
        if outcome.action == "create-ticket":
            yield f"Ticket [bold]{outcome.result.get('key')}[/] ({outcome.subject}): {outcome.result.get('url')}"
        elif outcome.digest is not None and self._is_news(outcome):
            words = self._steps.get((outcome.digest, outcome.subject), outcome.subject)
            mark = MARKS.get(outcome.status, f"[red]{outcome.status}[/]")
            yield Text.from_markup(f"  {mark}  ").append(Text(words))
            if outcome.detail and outcome.status not in (*SUCCEEDED, "in-progress"):
                yield Text(f"        {outcome.detail}", style="red")

    def _is_news(self, outcome: Outcome) -> bool:
        """Whether the step's status has changed since it was last told."""
        before = self._statuses.get(outcome.operation)
        self._statuses[outcome.operation] = outcome.status
        return before != outcome.status

    def _verdict(self, judged: CaseVerdict) -> Iterator[RenderableType]:
        self.chapter("Verdict")
        verdict = judged.verdict
        style = "green" if verdict.kind is VerdictKind.FIXED else "red"
        lines = "\n".join(f"- {reason}" for reason in verdict.reasons)
        yield Panel(Text(lines), title=verdict.kind.value.upper(), border_style=style, expand=False)
